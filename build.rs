//! How our commands are linked: each start pays for what the loader has to read, move and map.

use std::env::var;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| var(name).is_ok_and(|v| v == value);
    if !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return;
    }
    // Packed relocations are a tenth of the size. GNU ld knows them since binutils 2.38 (an older one says that it ignores
    // the word), the loader since glibc 2.36.
    println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    if is("PROFILE", "release") && var("HOST") == var("TARGET") {
        // Without it everything works as well, with a shared library more.
        let _ = unwinder_inside();
    }
}

/// The standard library asks for the shared libgcc_s, for backtraces alone: 120 kB and a tenth of the start of a small
/// command. A linker script of that name, found first, stands for the static one where the compiler has it.
fn unwinder_inside() -> Option<()> {
    let found = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output().ok()?;
    // A library that it does not have is answered by its bare name.
    Path::new(String::from_utf8(found.stdout).ok()?.trim()).is_absolute().then_some(())?;
    let folder = PathBuf::from(var("OUT_DIR").ok()?);
    std::fs::write(folder.join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n").ok()?;
    println!("cargo:rustc-link-search=native={}", folder.display());
    Some(())
}
