//! What the command line and ha.cf say together: the command line goes before the file.

use crate::args::cluster::Cluster;
use crate::cli::{Error, Failure};
use crate::config::ha_cf::{HaCf, Medium};
use crate::config::{self, Problem};
use crate::heartbeat::membership::is_node_name;
use crate::heartbeat::wire::authentication::Keyring;

/// The keys where nothing else is said.
const AUTHKEYS: &str = "/etc/ha.d/authkeys";

/// Reads the ha.cf of `--ha-d`; its warnings go to stderr.
///
/// # Errors
/// It cannot be read or trusted, or has an error.
pub fn ha_cf(tool: &str, args: &Cluster) -> Result<Option<HaCf>, Error> {
    let Some(dir) = &args.ha_d else { return Ok(None) };
    let parsed = config::load_ha_cf(dir)?;
    warn(tool, &parsed.problems);
    Ok(Some(parsed.content))
}

fn warn(tool: &str, problems: &[Problem]) {
    for problem in problems {
        crate::cli::eprint_line(&format!("{tool}: {problem}"));
    }
}

/// Reads the keys: those of `--authkeys`, else of `--ha-d`, else of heartbeat's own place. Warnings go to stderr.
///
/// # Errors
/// The file cannot be read, may be read or written by others, or has an error.
pub fn keyring(tool: &str, args: &Cluster) -> Result<Keyring, Error> {
    let path = match (&args.authkeys, &args.ha_d) {
        (Some(file), _) => file.clone(),
        (None, Some(dir)) => dir.join("authkeys"),
        (None, None) => AUTHKEYS.into(),
    };
    let parsed = config::load_authkeys(&path)?;
    warn(tool, &parsed.problems);
    parsed.content.keyring().ok_or_else(|| {
        let message = format!("{}: the keys make no ring", path.display());
        Failure { fault: crate::cli::exit::Fault::Configuration, code: "configuration", message, hint: None }.into()
    })
}

/// The name of this node: the given one, else the host's.
///
/// # Errors
/// The host's name is none for a node.
pub fn node(given: Option<&str>) -> Result<String, Error> {
    if let Some(name) = given {
        return Ok(name.to_owned());
    }
    let name = nix::unistd::gethostname().map_err(std::io::Error::from)?.to_string_lossy().to_ascii_lowercase();
    match is_node_name(&name) {
        true => Ok(name),
        false => {
            Err(Failure::usage(format!("the host name '{name}' is no name for a node"), "name this node with --node")
                .into())
        }
    }
}

/// The media: those that are given, else those of ha.cf, none twice.
pub fn media<T: PartialEq + for<'a> From<&'a Medium>>(given: impl Iterator<Item = T>, ha_cf: Option<&HaCf>) -> Vec<T> {
    let mut given = given.peekable();
    let configured = ha_cf.filter(|_| given.peek().is_none()).map_or(&[][..], |c| &c.media);
    let mut media = Vec::new();
    for medium in given.chain(configured.iter().map(T::from)) {
        if !media.contains(&medium) {
            media.push(medium);
        }
    }
    media
}
