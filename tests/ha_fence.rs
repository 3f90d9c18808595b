//! ha-fence with devices of the test's own: what it ends with, and what it does not run.
#![allow(clippy::unwrap_used)] // in its helper functions too

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{Run, finish, path};

/// A folder with a ha.cf and devices, gone at the end of its test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = Self(std::env::temp_dir().join(format!("takeover-fence-{name}-{}", std::process::id())));
        let _ = fs::remove_dir_all(&dir.0);
        fs::create_dir(&dir.0).unwrap();
        fs::set_permissions(&dir.0, Permissions::from_mode(0o755)).unwrap();
        dir
    }

    fn write(&self, name: &str, mode: u32, text: &str) -> String {
        let file = self.0.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        file.display().to_string()
    }

    /// A device that notes its words and what it reads, and then does this.
    fn device(&self, name: &str, then: &str) -> String {
        let log = self.0.join("log").display().to_string();
        self.write(name, 0o755, &format!("#!/bin/sh\necho \"{name} $*\" >>{log}\ncat >>{log}\n{then}\n"))
    }

    /// What devices noted since this was last asked.
    fn log(&self) -> String {
        let log = self.0.join("log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(log);
        text
    }

    fn ha_cf(&self, lines: &str) {
        self.write("ha.cf", 0o644, &format!("bcast lo\nkeepalive 200ms\ndeadtime 1\nnode HA1 ha2\n{lines}\n"));
    }

    fn fence(&self, words: &str) -> Run {
        let ours = path("ha-conf").parent().unwrap().display().to_string();
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ha-fence"));
        command.args(["--ha-d", &self.0.display().to_string()]).args(words.split(' ')).stdin(Stdio::null());
        command.env("PATH", format!("{}:{ours}:/usr/sbin:/usr/bin:/sbin:/bin", self.0.display())).env("LC_ALL", "C");
        finish(&mut command)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_status_is_what_a_device_says_and_nothing_else() {
    let dir = Dir::new("statuses");
    let (off, no) = (dir.device("off", "exit 0"), dir.device("no", "exit 3"));
    // What timeout(1) ends with for a device that does not answer, and for one that does not end either.
    let (silent, stubborn) = (dir.device("silent", "exit 124"), dir.device("stubborn", "exit 137"));
    let other = dir.write("other", 0o755, "#!/nowhere/interpreter\n");
    let plain = dir.write("plain", 0o644, "");
    for (devices, status) in [
        (vec![], 69),
        (vec![&off], 0),
        (vec![&no], 1),
        (vec![&no, &off, &no], 0),
        (vec![&silent], 75),
        (vec![&stubborn], 75),
        (vec![&no, &silent], 75),
        (vec![&silent, &no], 1),
        (vec![&silent, &off], 0),
        (vec![&other], 69),
        (vec![&plain], 69),
        (vec![&no, &other], 1),
        (vec![&silent, &plain], 75),
    ] {
        let lines: String = devices.iter().map(|device| format!("stonith_host * {device} x\n")).collect();
        dir.ha_cf(&lines);
        let run = dir.fence("--node ha2");
        assert_eq!(run.status, Some(status), "{devices:?} {run:#?}");
    }
    dir.ha_cf(&format!("stonith_host * {} x", dir.device("endless", "exec sleep 600")));
    dir.fence("--node ha2 --timeout 0.1").ends_with(75);
}

#[test]
fn what_it_is_called_with() {
    let dir = Dir::new("words");
    dir.ha_cf(&format!("stonith_host * {} x", dir.device("off", "exit 0")));
    for words in [
        "--node nosuch",
        "--node ha2;reboot",
        "--node ha2 --action explode",
        "--node ha2 --timeout abc",
        "--node ha2 --timeout 0",
        "--node ha2 --timeout 0.0",
        "--node ha2 --timeout 1.2.3",
        "--node ha2 --timeout .",
        "--node ha2 --timeout 1m",
        "--node",
        "--colour red",
    ] {
        let run = dir.fence(words);
        assert_eq!((run.status, dir.log().as_str()), (Some(64), ""), "{words}: {run:#?}");
    }
    dir.fence("--help").ends_with(0);
    dir.fence("--node ha2 --timeout 60").ends_with(0);
    assert_eq!(dir.log(), "off x off ha2\n");
    // Names are in any case.
    dir.fence("--node Ha1 --action=reboot").ends_with(0);
    assert_eq!(dir.log(), "off x reboot Ha1\n");
}

#[test]
fn a_device_belongs_to_the_node_that_reaches_it() {
    let dir = Dir::new("hosts");
    let [first, second] = ["first", "second"].map(|name| dir.device(name, "exit 0"));
    dir.ha_cf(&format!("stonith_host HA1 {first} a  b # c\nstonith_host ha2 {second}"));
    for (me, log) in [("ha1", "first a b off ha2\n"), ("HA1", "first a b off ha2\n"), ("Ha2", "second off ha2\n")] {
        dir.fence(&format!("--me {me} --node ha2")).ends_with(0);
        assert_eq!(dir.log(), log, "{me}");
    }
    dir.fence("--me ha3 --node ha2").ends_with(69);
    // The parameters in a file, and an agent that reads them.
    let agent = dir.device("fence_x", "exit 0");
    let file = dir.write("parameters", 0o600, "ip=192.0.2.1\nlogin=me\n");
    dir.ha_cf(&format!("stonith fence_x  {file} \r\n"));
    dir.fence("--node ha2").ends_with(0);
    assert_eq!(dir.log(), "fence_x \naction=off\nport=ha2\nnodename=ha2\nip=192.0.2.1\nlogin=me\n", "{agent}");
}

#[test]
fn nothing_is_run_that_others_could_have_written() {
    let dir = Dir::new("trust");
    let (good, bad) = (dir.device("good", "exit 0"), dir.device("bad", "exit 0"));
    fs::set_permissions(&bad, Permissions::from_mode(0o777)).unwrap();
    let file = dir.write("file", 0o666, "x\n");
    for line in [format!("stonith_host * {bad} x"), format!("stonith {good} {file}")] {
        dir.ha_cf(&line);
        let run = dir.fence("--node ha2");
        assert_eq!((run.status, dir.log().as_str()), (Some(78), ""), "{line}: {run:#?}");
        assert!(run.stderr.contains("can be written by others"), "{run:#?}");
    }
}
