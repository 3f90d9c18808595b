//! What the command line and ha.cf say together: the command line goes before the file.

use std::path::Path;

use crate::cli::{Error, Failure};
use crate::config::{self, Problem, ha_cf::HaCf};
use crate::heartbeat::membership::is_node_name;
use crate::heartbeat::wire::authentication::Keyring;

/// The keys where nothing else is said.
const AUTHKEYS: &str = "/etc/ha.d/authkeys";

/// Reads the ha.cf of a folder; its warnings go to stderr.
///
/// # Errors
/// It cannot be read or trusted, or has an error.
pub fn ha_cf(tool: &str, dir: Option<&Path>) -> Result<Option<HaCf>, Error> {
    let Some(dir) = dir else { return Ok(None) };
    let parsed = config::load_ha_cf(dir)?;
    warn(tool, &parsed.problems);
    Ok(Some(parsed.content))
}

fn warn(tool: &str, problems: &[Problem]) {
    for problem in problems {
        crate::cli::eprint_line(&format!("{tool}: {problem}"));
    }
}

/// Reads the keys: those of `file`, else of the folder, else of heartbeat's own place. Warnings go to stderr.
///
/// # Errors
/// The file cannot be read, may be read or written by others, or has an error.
pub fn keyring(tool: &str, file: Option<&Path>, dir: Option<&Path>) -> Result<Keyring, Error> {
    let path = match (file, dir) {
        (Some(file), _) => file.to_owned(),
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
