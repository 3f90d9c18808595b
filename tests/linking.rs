//! Holds the commands that get a libc inside (see build.rs) to what such a libc can do.

#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

/// A static glibc does these with the shared libraries of the very version that it was built with, if they are there.
const WITH_SHARED: &str =
    "getaddrinfo|gethostbyname|getnameinfo|getservby|getpwnam|getpwuid|getgrnam|getgrgid|dlopen|iconv_open";

#[test]
fn nothing_that_is_linked_statically_looks_up_names() {
    // Linked dynamically, as tests are, a program names what it takes from a library.
    let found = |name: &str| {
        let output = Command::new("grep").args(["-aoE", WITH_SHARED]).arg(support::path(name)).output().unwrap();
        assert!(output.status.code().is_some_and(|code| code < 2), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(found("probe-ping").contains("getaddrinfo"), "this test finds nothing");
    for name in env!("NAMELESS").split(' ') {
        assert_eq!(found(name), "", "{name}: take it out of NAMELESS in build.rs");
    }
}
