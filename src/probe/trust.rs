//! Where the certificates of the authorities are that this machine trusts.

use std::path::{Path, PathBuf};

/// Where systems keep them.
const BUNDLES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// The file of PEM certificates to trust: the named one, else that of `SSL_CERT_FILE`, else the system's. It may not be
/// there: that is told with the first probe over TLS.
pub fn bundle(named: Option<&Path>) -> PathBuf {
    let named = named.map(Path::to_owned).or_else(|| std::env::var_os("SSL_CERT_FILE").map(PathBuf::from));
    named.unwrap_or_else(|| {
        let there = BUNDLES.iter().map(Path::new).find(|path| path.exists());
        there.unwrap_or(Path::new(BUNDLES[0])).to_owned()
    })
}
