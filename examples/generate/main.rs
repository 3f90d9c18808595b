//! Writes the manual pages and the shell completions from the command lines in `src/args` and the events in
//! `src/cli/vocabulary`: `cargo run --example generate`.

mod pages;

use std::path::Path;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for stray in pages::strays(root)? {
        std::fs::remove_file(root.join(&stray)).with_context(|| format!("cannot remove {stray}"))?;
        println!("removed {stray}");
    }
    for (path, text) in pages::all()? {
        let target = root.join(&path);
        if std::fs::read_to_string(&target).is_ok_and(|old| old == text) {
            continue;
        }
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        std::fs::write(&target, text).with_context(|| format!("cannot write {path}"))?;
        println!("wrote {path}");
    }
    Ok(())
}
