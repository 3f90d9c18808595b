//! Completions for bash, zsh and fish.

use std::io;

use clap_complete::{Generator, shells};

use super::Command;

/// The three files of one command, under the names that the shells look for.
pub fn scripts(command: &Command) -> io::Result<[(String, String); 3]> {
    let name = command.name();
    Ok([
        (format!("completions/bash/{name}"), script(shells::Bash, command)?),
        (format!("completions/zsh/_{name}"), script(shells::Zsh, command)?),
        (format!("completions/fish/{name}.fish"), script(shells::Fish, command)?),
    ])
}

fn script(shell: impl Generator, command: &Command) -> io::Result<String> {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut command.definition.clone(), command.name(), &mut bytes);
    String::from_utf8(bytes).map_err(io::Error::other)
}
