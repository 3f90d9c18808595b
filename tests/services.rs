//! The probes against real servers: what they say of each that is well, cut off in silence, frozen, stopped, and killed.
//!
//! Each server runs in a host of its own (a network namespace), on the ports that it always has, from a folder of the
//! test's own. Verdicts against servers of the tests' own making are in probe_http.rs, probe_ftp.rs and probe_tcp.rs.

#![allow(clippy::unwrap_used)] // helpers of tests are not seen as tests

#[path = "support/hosts.rs"]
mod hosts;
#[path = "support/service.rs"]
mod service;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use service::{SERVER, Service};

/// Nobody's ids: of a server that refuses to run as root and has no user of its own.
const NOBODY: u32 = 65534;

/// What probe-tcp says when there is no answer.
const SILENT: &str = "timeout-answer";

type Verdict = (i32, Option<bool>, String);

fn up() -> Verdict {
    (0, Some(true), "ok".to_owned())
}

fn down(reason: &str) -> Verdict {
    (1, Some(false), reason.to_owned())
}

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    // A password that others can read is refused.
    let mode = if name.starts_with("secret") { 0o600 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// One way of asking a server.
struct Asked {
    /// The command and its arguments.
    probe: Vec<String>,
    /// What is said of a server that is cut off, and of one that is frozen.
    silent: [Verdict; 2],
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// Asked over TCP with an answer that only the server itself can give.
fn asked(probe: &[&str]) -> Asked {
    // libcurl's probes tell how far the answer came.
    let frozen = if probe[0] == "probe-tcp" { SILENT } else { "timeout-first-byte" };
    Asked { probe: words(probe), silent: [down("timeout-connect"), down(frozen)] }
}

/// Asked with datagrams: nothing tells a cut from a silence.
fn by_datagram(probe: &[&str]) -> Asked {
    Asked { probe: words(probe), silent: [down(SILENT), down(SILENT)] }
}

/// The kernel takes connections for a frozen server: who only connects cannot see it.
fn by_connection(probe: &[&str]) -> Asked {
    Asked { probe: words(probe), silent: [down("timeout-connect"), up()] }
}

/// Leads the server through all states, and asks in every way in each.
#[track_caller]
fn states(mut service: Service, ways: &[Asked]) {
    for way in ways {
        service.await_up(&way.probe);
    }
    let well = |service: &Service, when: &str| {
        for way in ways {
            assert_eq!(service.verdict(&way.probe, "30s"), up(), "{when}: {:?}", way.probe);
        }
    };
    let silent = |service: &Service, which: usize, when: &str| {
        for way in ways {
            assert_eq!(service.verdict(&way.probe, "1s"), way.silent[which], "{when}: {:?}", way.probe);
        }
    };
    well(&service, "well");
    service.cut();
    silent(&service, 0, "cut");
    service.heal();
    well(&service, "healed");
    service.freeze();
    silent(&service, 1, "frozen");
    service.thaw();
    well(&service, "thawed");
    let refused = |service: &Service, when: &str| {
        for way in ways {
            assert_eq!(service.verdict(&way.probe, "30s"), down("refused"), "{when}: {:?}", way.probe);
        }
    };
    service.restart(|service| refused(service, "stopped"));
    for way in ways {
        service.await_up(&way.probe);
    }
    service.kill();
    refused(&service, "killed");
}

#[test]
fn apache() {
    let prepare = |dir: &Path| {
        let module = |name: &str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
        let modules: String = ["mpm_event", "authz_core"].map(module).concat();
        let d = dir.display();
        let text = format!(
            "ServerName web\nServerRoot {d}\nPidFile {d}/pid\nListen 80\n{modules}DocumentRoot {d}/www\n\
             ErrorLog {d}/log\nUser #{NOBODY}\nGroup #{NOBODY}\n"
        );
        write(dir, "conf", &text);
        write(dir, "www/notice", "all is well\n");
    };
    let service = Service::start("apache", prepare, "exec apache2 -DFOREGROUND -f $DIR/conf");
    let url = format!("http://{SERVER}/notice");
    let at = format!("{SERVER}:80");
    let talk = ["probe-tcp", "--send", "GET /notice HTTP/1.0\\r\\n\\r\\n", "--expect", "all is well", &at];
    let ways =
        [asked(&["probe-http", "--body", "all is well", &url]), asked(&talk), by_connection(&["probe-tcp", &at])];
    states(service, &ways);
}

#[test]
fn vsftpd() {
    let prepare = |dir: &Path| {
        write(dir, "root/notice", "all is well\n");
        fs::create_dir(dir.join("empty")).unwrap();
        // Nobody may write where anonymous is at home.
        fs::set_permissions(dir.join("root"), Permissions::from_mode(0o555)).unwrap();
        let d = dir.display();
        let text = format!(
            "listen=YES\nbackground=NO\nseccomp_sandbox=NO\nanonymous_enable=YES\nanon_root={d}/root\n\
             secure_chroot_dir={d}/empty\n"
        );
        write(dir, "conf", &text);
    };
    let service = Service::start("vsftpd", prepare, "exec vsftpd $DIR/conf");
    let (root, file) = (format!("ftp://{SERVER}/"), format!("ftp://{SERVER}/notice"));
    let ways = [
        asked(&["probe-ftp", &root]),
        asked(&["probe-ftp", "--body", "all is well", &file]),
        asked(&["probe-tcp", "--service", "ftp", SERVER]),
    ];
    states(service, &ways);
}

#[test]
fn dovecot() {
    let prepare = |dir: &Path| {
        let d = dir.display();
        let login = |name: &str, port: u16| {
            format!(
                "service {name}-login {{\n  chroot =\n  inet_listener {name} {{\n    port = {port}\n  }}\n  \
                 inet_listener {name}s {{\n    port = 0\n  }}\n}}\n"
            )
        };
        let text = format!(
            "base_dir = {d}/run\nstate_dir = {d}/state\nlog_path = /dev/stderr\nssl = no\n\
             protocols = imap pop3 submission\nlisten = {SERVER}\ndisable_plaintext_auth = no\n\
             mail_location = maildir:{d}/mail\nmail_uid = {NOBODY}\nmail_gid = {NOBODY}\nfirst_valid_uid = {NOBODY}\n\
             hostname = mail\nsubmission_relay_host = {SERVER}\n\
             passdb {{\n  driver = passwd-file\n  args = {d}/users\n}}\n\
             userdb {{\n  driver = static\n  args = uid={NOBODY} gid={NOBODY} home={d}/mail\n}}\n\
             service stats {{\n  chroot =\n}}\n{}{}{}",
            login("imap", 143),
            login("pop3", 110),
            login("submission", 587)
        );
        write(dir, "conf", &text);
        write(dir, "users", "me:{PLAIN}open sesame\n");
        write(dir, "secret", "open sesame\n");
        fs::create_dir(dir.join("mail")).unwrap();
        std::os::unix::fs::chown(dir.join("mail"), Some(NOBODY), Some(NOBODY)).unwrap();
    };
    let service = Service::start("dovecot", prepare, "exec dovecot -F -c $DIR/conf");
    let secret = service.path("secret");
    let login = ["--user", "me", "--password-file", &secret, SERVER];
    let (imap, pop) = (["probe-tcp", "--service", "imap"], ["probe-tcp", "--service", "pop"]);
    let ways = [
        asked(&["probe-tcp", "--service", "imap", SERVER]),
        asked(&[&imap[..], &login].concat()),
        asked(&["probe-tcp", "--service", "pop", SERVER]),
        asked(&[&pop[..], &login].concat()),
        asked(&["probe-tcp", "--service", "submission", SERVER]),
        asked(&["probe-tcp", "--service", "smtp", &format!("{SERVER}:587")]),
    ];
    states(service, &ways);
}

#[test]
fn exim() {
    let prepare = |dir: &Path| {
        let d = dir.display();
        // It takes no mail from anybody, and writes nowhere else.
        let text = format!(
            "primary_hostname = mail\nspool_directory = {d}/spool\nlog_file_path = {d}/log-%s\npid_file_path = {d}/pid\n\
             local_interfaces = 0.0.0.0\ndaemon_smtp_ports = 25 : 587\nhost_lookup =\nrfc1413_query_timeout = 0s\n\
             tls_advertise_hosts =\nkeep_environment =\nacl_smtp_rcpt = deny\n"
        );
        write(dir, "conf", &text);
        // It becomes a user of its own.
        fs::create_dir(dir.join("spool")).unwrap();
        fs::set_permissions(dir, Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(dir.join("spool"), Permissions::from_mode(0o777)).unwrap();
    };
    let service = Service::start("exim", prepare, "exec exim4 -bdf -C $DIR/conf");
    let talk = [
        "probe-tcp",
        "--expect",
        "^220 ",
        "--send",
        "EHLO probe\\r\\n",
        "--expect",
        "(?m)^250 ",
        &format!("{SERVER}:25"),
    ];
    let ways = [
        asked(&["probe-tcp", "--service", "smtp", SERVER]),
        asked(&["probe-tcp", "--service", "submission", SERVER]),
        asked(&talk),
    ];
    states(service, &ways);
}

#[test]
fn mariadb() {
    let prepare = |dir: &Path| {
        // A statement a line.
        let grants = "create or replace user u@'%' identified by 'open sesame';\ncreate or replace database d;\n\
                      create table d.t(s text);\ninsert into d.t values('alpha');\ngrant select on d.* to u@'%';\n";
        write(dir, "grants", grants);
        write(dir, "secret", "open sesame\n");
    };
    let line = "[ -d $DIR/data ] || mariadb-install-db --no-defaults --user=root --datadir=$DIR/data \
                --auth-root-authentication-method=normal --skip-test-db >&2
                exec mariadbd --no-defaults --user=root --datadir=$DIR/data --bind-address=0.0.0.0 --socket=$DIR/sock \
                --pid-file=$DIR/pid --init-file=$DIR/grants --skip-name-resolve";
    let service = Service::start("mariadb", prepare, line);
    let secret = service.path("secret");
    let login = ["probe-tcp", "--service", "mysql", "--user", "u", "--password-file", &secret, "--database", "d"];
    let query = ["--request", "select s from t", "--receive", "alpha", SERVER];
    let ways = [asked(&["probe-tcp", "--service", "mysql", SERVER]), asked(&[&login[..], &query].concat())];
    states(service, &ways);
}

/// The newest PostgreSQL of this machine: each version has a folder of its own, none of them on PATH.
fn postgres() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|v| v.path().join("bin")).filter(|b| b.join("postgres").exists()).collect();
    found.sort();
    found.pop().unwrap_or_else(|| panic!("no PostgreSQL server in /usr/lib/postgresql"))
}

#[test]
fn postgresql() {
    let prepare = |dir: &Path| {
        write(dir, "secret", "open sesame\n");
        write(dir, "password", "open sesame\n");
        fs::create_dir(dir.join("own")).unwrap();
        std::os::unix::fs::chown(dir.join("own"), Some(NOBODY), Some(NOBODY)).unwrap();
    };
    let line = format!(
        "as=\"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups\"
         if [ ! -d $DIR/own/data ]; then
             $as {0}/initdb -D $DIR/own/data -A scram-sha-256 --pwfile=$DIR/password -U u --locale=C -N >&2
             echo 'host all all 0.0.0.0/0 scram-sha-256' >>$DIR/own/data/pg_hba.conf
         fi
         exec $as {0}/postgres -D $DIR/own/data -h 0.0.0.0 -k $DIR/own -F",
        postgres().display()
    );
    let service = Service::start("postgresql", prepare, &line);
    let secret = service.path("secret");
    let login =
        ["probe-tcp", "--service", "pgsql", "--user", "u", "--password-file", &secret, "--database", "postgres"];
    let query = ["--request", "select 'alpha'", "--receive", "^alpha$", SERVER];
    let ways = [asked(&["probe-tcp", "--service", "pgsql", SERVER]), asked(&[&login[..], &query].concat())];
    states(service, &ways);
}

#[test]
fn unbound() {
    let prepare = |dir: &Path| {
        let d = dir.display();
        // Its root is its own: no query leaves it.
        let text = format!(
            "server:\n  interface: {SERVER}\n  do-daemonize: no\n  chroot: \"\"\n  username: \"\"\n  directory: \"{d}\"\n  \
             pidfile: \"\"\n  use-syslog: no\n  access-control: 0.0.0.0/0 allow\n  local-zone: \"example.test.\" static\n  \
             local-data: \"www.example.test. A 192.0.2.10\"\n  local-zone: \".\" static\n  \
             local-data: \". NS a.root.test.\"\n"
        );
        write(dir, "conf", &text);
    };
    let service = Service::start("unbound", prepare, "exec unbound -d -c $DIR/conf");
    let query = ["--request", "www.example.test", "--receive", "^192\\.0\\.2\\.10$", SERVER];
    let dns = ["probe-tcp", "--service", "dns"];
    let ways = [
        asked(&["probe-tcp", "--service", "dns", SERVER]),
        asked(&[&dns[..], &query].concat()),
        by_datagram(&["probe-tcp", "--service", "dns", "--udp", SERVER]),
        by_datagram(&[&dns[..], &["--udp"], &query].concat()),
    ];
    states(service, &ways);
}

#[test]
fn slapd() {
    let prepare = |dir: &Path| {
        fs::create_dir(dir.join("db")).unwrap();
        let d = dir.display();
        let text = format!(
            "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {d}/pid\n\
             database mdb\nsuffix \"dc=example,dc=test\"\nrootdn \"cn=admin,dc=example,dc=test\"\nrootpw secret\n\
             directory {d}/db\n"
        );
        write(dir, "conf", &text);
        write(dir, "secret", "secret\n");
    };
    let line = format!("exec slapd -d 0 -f $DIR/conf -h ldap://{SERVER}");
    let service = Service::start("slapd", prepare, &line);
    let secret = service.path("secret");
    let ways = [
        asked(&["probe-tcp", "--service", "ldap", SERVER]),
        asked(&[
            "probe-tcp",
            "--service",
            "ldap",
            "--user",
            "cn=admin,dc=example,dc=test",
            "--password-file",
            &secret,
            SERVER,
        ]),
    ];
    states(service, &ways);
}

#[test]
fn freeradius() {
    let prepare = |dir: &Path| {
        let d = dir.display();
        let text = format!(
            "prefix = /usr\nraddbdir = {d}\nlogdir = {d}\nrun_dir = {d}\npidfile = {d}/pid\nlibdir = /usr/lib/freeradius\n\
             security {{\n  reject_delay = 0\n  status_server = yes\n  allow_vulnerable_openssl = yes\n}}\n\
             thread pool {{\n}}\n\
             client all {{\n  ipaddr = 10.9.0.0/24\n  secret = testing123\n  require_message_authenticator = yes\n}}\n\
             modules {{\n  pap {{\n  }}\n  files {{\n    usersfile = {d}/users\n  }}\n}}\n\
             server default {{\n  listen {{\n    type = auth\n    ipaddr = {SERVER}\n    port = 1812\n  }}\n  \
             authorize {{\n    files\n    pap\n  }}\n  authenticate {{\n    Auth-Type PAP {{\n      pap\n    }}\n  }}\n}}\n"
        );
        write(dir, "radiusd.conf", &text);
        write(dir, "users", "me Cleartext-Password := \"open sesame\"\n");
        write(dir, "secret", "open sesame\n");
        write(dir, "secret-shared", "testing123\n");
    };
    let line = "exec freeradius -f -l $DIR/log -d $DIR -n radiusd -D /usr/share/freeradius";
    let service = Service::start("freeradius", prepare, line);
    let (secret, shared) = (service.path("secret"), service.path("secret-shared"));
    let probe = ["probe-tcp", "--service", "radius", "--secret-file", &shared, SERVER];
    let login = ["--user", "me", "--password-file", &secret];
    states(service, &[by_datagram(&probe), by_datagram(&[&probe[..], &login].concat())]);
}
