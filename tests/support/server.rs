//! Servers for the tests of probes: one in the test itself, and one that speaks TLS.

#![allow(dead_code, clippy::unwrap_used)] // each test uses a part of it

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

/// A server whose every connection is handled by `answer` in a thread of its own; lives as long as the test.
pub fn serve(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            thread::spawn(move || answer(stream));
        }
    });
    address
}

/// A TLS server with a certificate for localhost and 127.0.0.1, of an authority of its own. Gone when dropped.
pub struct Certified {
    dir: PathBuf,
    server: Child,
    /// Where it listens on the loopback.
    pub port: u16,
}

/// Starts one; it answers HTTP requests.
pub fn certified(name: &str) -> Certified {
    let dir = std::env::temp_dir().join(format!("certified-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let made = Command::new("sh")
        .arg("-ec")
        .arg(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=Test-CA
             openssl req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj /CN=localhost
             printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' > ext
             openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out leaf.pem -days 2 -extfile ext",
        )
        .current_dir(&dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Command::new("openssl")
        .args(["s_server", "-quiet", "-www", "-cert", "leaf.pem", "-key", "leaf.key", "-accept", &port.to_string()])
        .current_dir(&dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let site = Certified { dir, server, port };
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        thread::yield_now();
    }
    site
}

impl Certified {
    /// The path of one of its files, such as `ca.pem`.
    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

impl Drop for Certified {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
