//! TLS for a probe: whom to trust, and what a failed handshake says about whom.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::probe::Judgement;

/// The settings of every handshake: the authorities in this bundle of PEM certificates, or anybody where there is none.
///
/// # Errors
/// A judgement that tells nothing about the target: the bundle cannot be read, or holds no certificate.
pub fn settings(bundle: Option<&Path>) -> Result<Arc<ClientConfig>, Judgement> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| Judgement::cannot_tell("tls-incompatible", e.to_string()))?;
    let Some(path) = bundle else {
        let anybody = Arc::new(Anybody(provider));
        return Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth()));
    };
    let bad = |why: String| {
        let cause = format!(
            "the bundle of trusted certificates {} cannot be used ({why}): name a good one with --cacert",
            path.display()
        );
        Judgement::cannot_tell("ca-bundle", cause)
    };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))?;
    // Bundles hold certificates that nobody understands any more: those of the rest are enough.
    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    if roots.is_empty() {
        return Err(bad("it holds no certificate".to_owned()));
    }
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// What a failed handshake, or a failure after it, means.
pub fn failed(error: &Error, at: &str) -> Judgement {
    match error {
        Error::InvalidCertificate(why) => Judgement::cannot_tell(
            "certificate",
            format!(
                "the certificate{at} is not trusted here ({why}): check the clock, name the authority with --cacert, the host \
                 with --server-name, or look away with --insecure"
            ),
        ),
        // Versions or ciphers that do not meet may be our own lack; what breaks the protocol is not.
        Error::PeerIncompatible(_)
        | Error::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure) => {
            let cause = format!("the server{at} and this probe have no kind of TLS in common ({error})");
            Judgement::cannot_tell("tls-incompatible", cause)
        }
        _ => Judgement::down("tls", format!("the TLS handshake with the server{at} failed ({error})")),
    }
}

/// Takes any certificate, but not a broken handshake.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer,
        _: &[CertificateDer],
        _: &ServerName,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
