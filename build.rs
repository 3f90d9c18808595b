//! How our commands are linked: each start pays for what the loader has to read, move and map.

use std::env::var;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=NAMELESS={}", NAMELESS.join(" ")); // for tests/linking.rs
    let is = |name: &str, value: &str| var(name).is_ok_and(|v| v == value);
    if !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return;
    }
    // Packed relocations are a tenth of the size. GNU ld knows them since binutils 2.38 (an older one says that it ignores
    // the word), the loader since glibc 2.36.
    println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    if is("PROFILE", "release") && var("HOST") == var("TARGET") {
        // Without these everything works as well, with shared libraries.
        let _ = unwinder_inside();
        let _ = libc_inside();
    }
}

/// The commands that look up no names: what a static glibc would do for those needs the very glibc of its build at run time.
const NAMELESS: &[&str] = &[
    "fs-claim",
    "fs-release",
    "garp",
    "ha-conf",
    "ha-event",
    "ha-status",
    "ha-watch",
    "lvs-sync",
    "run-resource",
    "vip-drop",
    "vip-take",
    "vip-who",
];

/// The standard library asks for the shared libgcc_s, for backtraces alone: 120 kB and a tenth of the start of a small
/// command. A linker script of that name, found first, stands for the static one where the compiler has it.
fn unwinder_inside() -> Option<()> {
    has("libgcc_eh.a")?;
    let folder = PathBuf::from(var("OUT_DIR").ok()?);
    std::fs::write(folder.join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n").ok()?;
    println!("cargo:rustc-link-search=native={}", folder.display());
    Some(())
}

/// To load, move and bind the shared libc is a third of the start of a small command, and each of its pages is copied in each
/// fork. What `-C target-feature=+crt-static` does for all commands or none, for some: the compiler asks for the shared
/// libraries, and finds linker scripts that stand for the static ones.
fn libc_inside() -> Option<()> {
    let folder = PathBuf::from(var("OUT_DIR").ok()?).join("static");
    ["libc.a", "libm.a", "rcrt1.o"].into_iter().try_for_each(has)?;
    std::fs::create_dir_all(&folder).ok()?;
    std::fs::write(folder.join("libc.so"), "GROUP(-l:libc.a -lgcc_eh -lgcc)\n").ok()?;
    std::fs::write(folder.join("libm.so"), "INPUT(-l:libm.a)\n").ok()?;
    for command in NAMELESS {
        println!("cargo:rustc-link-arg-bin={command}=-static-pie");
        println!("cargo:rustc-link-arg-bin={command}=-L{}", folder.display());
    }
    Some(())
}

/// Whether the compiler has this file; one that it does not have is answered by its bare name.
fn has(file: &str) -> Option<()> {
    let found = Command::new("cc").arg(format!("-print-file-name={file}")).output().ok()?;
    Path::new(String::from_utf8(found.stdout).ok()?.trim()).is_absolute().then_some(())
}
