use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

const ME: u32 = 1000;

fn asker(unmapped: Option<u32>) -> Asker {
    Asker { uid: ME, unmapped }
}

fn seen(uid: u32, mode: u32) -> Seen {
    Seen { uid, mode, link: false, last: false, in_sticky: false }
}

/// One row a rule: what is seen, what is asked, and what comes of it.
#[test]
fn the_rules() {
    use Need::{Secret, Trusted};
    use Why::{Owner, Readable, Writable};
    let last = |s: Seen| Seen { last: true, ..s };
    let link = |s: Seen| Seen { link: true, ..s };
    let in_sticky = |s: Seen| Seen { in_sticky: true, ..s };
    let table = [
        (seen(0, 0o755), Trusted, Ok(())),
        (seen(ME, 0o700), Trusted, Ok(())),
        (seen(1001, 0o755), Trusted, Err(Owner)),
        (seen(65534, 0o755), Trusted, Err(Owner)),
        (seen(0, 0o775), Trusted, Err(Writable)),
        (seen(0, 0o757), Trusted, Err(Writable)),
        (seen(0, 0o1777), Trusted, Ok(())),
        (seen(1001, 0o1777), Trusted, Err(Owner)),
        (last(seen(0, 0o644)), Trusted, Ok(())),
        (last(seen(0, 0o644)), Secret, Err(Readable)),
        (last(seen(0, 0o640)), Secret, Err(Readable)),
        (last(seen(0, 0o600)), Secret, Ok(())),
        (last(seen(ME, 0o400)), Secret, Ok(())),
        (last(seen(0, 0o620)), Secret, Err(Writable)),
        (last(seen(0, 0o1666)), Trusted, Err(Writable)), // on a file the sticky bit protects nothing
        (link(seen(0, 0o777)), Trusted, Ok(())),
        (link(seen(1001, 0o777)), Trusted, Err(Owner)),
        (in_sticky(seen(ME, 0o755)), Trusted, Ok(())),
        (in_sticky(seen(1001, 0o755)), Trusted, Err(Owner)),
    ];
    for (n, (seen, need, expected)) in table.into_iter().enumerate() {
        assert_eq!(judge(seen, need, asker(None)), expected, "row {n}: {seen:?} {need:?}");
    }
}

/// In a user namespace the true root shows as nobody; but in /tmp that nobody may be anybody.
#[test]
fn unmapped_owners() {
    let inside = asker(Some(65534));
    assert_eq!(judge(seen(65534, 0o755), Need::Trusted, inside), Ok(()));
    assert_eq!(judge(seen(65534, 0o1777), Need::Trusted, inside), Ok(()));
    assert_eq!(judge(seen(65534, 0o775), Need::Trusted, inside), Err(Why::Writable));
    assert_eq!(judge(Seen { in_sticky: true, ..seen(65534, 0o755) }, Need::Trusted, inside), Err(Why::Owner));
    assert_eq!(judge(seen(1001, 0o755), Need::Trusted, inside), Err(Why::Owner));
    assert!(!in_user_namespace("         0          0 4294967295\n"));
    assert!(in_user_namespace("         0       1000          1\n"));
    assert!(in_user_namespace("0 0 1000\n1000 1000 10\n"));
    assert!(!in_user_namespace(""));
}

/// A folder of this test alone, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("takeover-trust-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        let folder = Self(path);
        folder.chmod("", 0o755);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.0.clone() } else { self.0.join(name) }
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        fs::write(self.path(name), name).unwrap();
        self.chmod(name, mode);
        self.path(name)
    }

    fn folder(&self, name: &str, mode: u32) {
        fs::create_dir(self.path(name)).unwrap();
        self.chmod(name, mode);
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn refused<T: fmt::Debug>(result: Result<T, ConfigError>) -> Untrusted {
    match result {
        Err(ConfigError::Untrusted(untrusted)) => *untrusted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_and_folders() {
    let folder = Folder::new("files");
    let file = folder.file("plain", 0o644);
    assert_eq!(read_trusted(&file).unwrap(), b"plain");
    let why = refused(read_secret(&file));
    assert_eq!((why.why, why.mode, &why.component), (Why::Readable, 0o644, &file));
    assert_eq!(why.mend(), format!("chmod 600 {}", file.display()));
    assert!(why.to_string().contains("mode 0644"), "{why}");
    assert_eq!(read_secret(&folder.file("secret", 0o600)).unwrap(), b"secret");

    folder.folder("open", 0o775);
    let inside = folder.file("open/file", 0o600);
    let why = refused(read_secret(&inside));
    assert_eq!((why.why, why.component.clone()), (Why::Writable, folder.path("open")));
    assert!(why.to_string().contains("/open can be written by others"), "{why}");
    assert_eq!(refused(check_trusted(&inside)).component, folder.path("open"));
    assert_eq!(read_unjudged(&inside).unwrap(), b"open/file");
    folder.chmod("open", 0o1777);
    assert_eq!(read_secret(&inside).unwrap(), b"open/file");
    // A way through a folder that others can write is one that they can turn elsewhere, though it leads back.
    folder.chmod("open", 0o777);
    assert_eq!(refused(check_trusted(&folder.path("open/../plain"))).component, folder.path("open"));
    assert!(check_trusted(&folder.path("./plain")).is_ok());
}

#[test]
fn symbolic_links() {
    let folder = Folder::new("links");
    folder.file("target", 0o644);
    folder.folder("open", 0o777);
    folder.file("open/target", 0o644);
    for (link, to) in [
        ("near", PathBuf::from("target")),
        ("far", folder.path("target")),
        ("round", PathBuf::from("near")),
        ("bad", folder.path("open/target")),
        ("up", PathBuf::from(format!("../{}/target", folder.0.file_name().unwrap().display()))),
        ("loop", PathBuf::from("loop")),
        ("nowhere", PathBuf::from("nothing")),
        ("dir", PathBuf::from(".")),
    ] {
        symlink(to, folder.path(link)).unwrap();
    }
    for good in ["near", "far", "round", "up", "dir/dir/target"] {
        assert_eq!(read_trusted(&folder.path(good)).unwrap(), b"target", "{good}");
    }
    assert_eq!(refused(read_trusted(&folder.path("bad"))).component, folder.path("open"));
    for broken in ["loop", "nowhere"] {
        assert!(matches!(read_trusted(&folder.path(broken)), Err(ConfigError::Unreadable { .. })), "{broken}");
    }
}

#[test]
fn what_is_no_file() {
    let folder = Folder::new("kinds");
    nix::unistd::mkfifo(&folder.path("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
    for path in [folder.path("pipe"), folder.path(""), "/".into(), folder.path(".."), "/dev/null".into()] {
        let got = read_secret(&path);
        assert!(matches!(got, Err(ConfigError::NotAFile(_))), "{}: {got:?}", path.display());
    }
    assert!(matches!(read_trusted(&folder.path("pipe/x")), Err(ConfigError::Unreadable { .. })));
    fs::write(folder.path("large"), vec![b'#'; LARGEST as usize + 1]).unwrap();
    assert!(matches!(read_unjudged(&folder.path("large")), Err(ConfigError::TooLarge(_))));
}

#[test]
fn paths_in_commands_are_quoted() {
    assert_eq!(shell_word(Path::new("/etc/ha.d")), "/etc/ha.d");
    assert_eq!(shell_word(Path::new("/a b/it's")), r"'/a b/it'\''s'");
}
