//! MySQL and MariaDB, protocol 10: the whole login, and a query.
//!
//! The login is always finished, even when it cannot succeed: the server counts connections that end before that against
//! the address they come from, and shuts it out after max_connect_errors of them.

use sha1::Sha1;
use sha2::Sha256;

use super::Parameters;
use super::bytes::{Reader, put_text};
use super::digests::{hash, xor};
use super::verdicts::{NOBODY, Rows, known, not_permitted, too_long, wrong_answer};
use crate::probe::Judgement;
use crate::probe::tcp::dialogue::{Dialogue, MOST_HEARD, Turn, shown};

const LONG_PASSWORD: u32 = 1;
const CONNECT_WITH_DB: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;
/// What no server of the last twenty years lacks.
const NEEDED: u32 = PROTOCOL_41 | SECURE_CONNECTION;

/// utf8_general_ci: servers of all ages know it.
const CHARSET: u8 = 33;
/// How many bytes of a scramble count.
const SCRAMBLE: usize = 20;
const NATIVE: &[u8] = b"mysql_native_password";
const CACHING: &[u8] = b"caching_sha2_password";
const ED25519: &[u8] = b"client_ed25519";

const OK: u8 = 0;
const MORE: u8 = 1;
const END: u8 = 0xfe;
const ERROR: u8 = 0xff;

/// COM_QUIT.
const QUIT: [u8; 5] = [1, 0, 0, 0, 1];
const QUERY: u8 = 3;

/// A server asks for another way to log in once or twice.
const MOST_REPLIES: u8 = 8;

/// Where the conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greeting,
    /// Our login was said, and so many replies.
    Login(u8),
    Answer,
    /// So many descriptions of columns are left, then a packet that ends them.
    Columns(u64),
    Rows,
}

/// One login.
#[derive(Clone, Debug)]
pub struct Login {
    user: String,
    named: bool,
    password: Vec<u8>,
    database: Option<String>,
    query: Option<String>,
    stage: Stage,
    plugin: Vec<u8>,
    scramble: Vec<u8>,
    /// Why our login cannot succeed, when that is known before the server refuses it.
    stuck: Option<Judgement>,
    rows: Rows,
}

impl Login {
    /// As `user` with `password` into `database`, then `request`, of whose rows one has to match `receive`. Without a user
    /// and a request a name logs in that no one has: that it is refused is enough.
    pub fn new(with: &Parameters) -> Self {
        Self {
            user: with.user.as_deref().unwrap_or(NOBODY).to_owned(),
            named: with.user.is_some() || with.request.is_some(),
            password: with
                .user
                .as_ref()
                .and(with.password.as_ref())
                .map(|p| p.clone().into_bytes())
                .unwrap_or_default(),
            database: with.database.clone(),
            query: with.request.clone(),
            stage: Stage::Greeting,
            plugin: Vec::new(),
            scramble: Vec::new(),
            stuck: None,
            rows: Rows::new(with.receive.clone()),
        }
    }

    /// What one packet leads to; None when the next one is needed.
    fn packet(&mut self, sequence: u8, body: &[u8]) -> Option<Turn> {
        let kind = body.first().copied();
        match self.stage {
            Stage::Greeting => match kind {
                Some(ERROR) => known(self.refused(body, true)),
                _ => match self.greeted(body) {
                    Some(Ok(reply)) => Some(self.reply(sequence, reply)),
                    Some(Err(judgement)) => known(judgement),
                    None => known(wrong_answer(body, "greeting of MySQL")),
                },
            },
            Stage::Login(replies) => match kind {
                Some(ERROR) => known(self.refused(body, false)),
                Some(OK) => match &self.query {
                    Some(query) => {
                        self.stage = Stage::Answer;
                        let words = [&[QUERY], query.as_bytes()].concat();
                        Some(Turn::Say(packet(0, &words)))
                    }
                    None => Some(done(Judgement::up("it accepted the login"))),
                },
                Some(_) if replies >= MOST_REPLIES => known(wrong_answer(body, "end of a login")),
                Some(MORE) if body == [MORE, 3] && self.plugin == CACHING => None,
                Some(MORE) => {
                    // The server has no digest of the password at hand, and asks for the password itself. One byte is
                    // neither that nor the request for its key: it ends the login in order.
                    self.stuck.get_or_insert_with(|| {
                        Judgement::cannot_tell(
                            "needs-tls",
                            "the server asks for the password itself, which is not sent without TLS: log this user in once \
                             elsewhere (the server remembers it until it restarts), or give --user another plugin",
                        )
                    });
                    Some(self.reply(sequence, vec![0]))
                }
                Some(END) => {
                    let reply = self.switched(body);
                    Some(self.reply(sequence, reply))
                }
                _ => known(wrong_answer(body, "answer to a login")),
            },
            Stage::Answer => match kind {
                Some(ERROR) => Some(done(failed(body))),
                Some(OK) => Some(done(self.rows.judge(true))),
                // LOAD DATA LOCAL asks for a file of ours there, and gets none.
                _ => match number(&mut Reader(body)).flatten() {
                    Some(columns) => {
                        self.stage = Stage::Columns(columns);
                        None
                    }
                    None => known(wrong_answer(body, "answer to a query")),
                },
            },
            Stage::Columns(0) => {
                self.stage = Stage::Rows;
                if kind == Some(END) { None } else { known(wrong_answer(body, "end of the columns")) }
            }
            Stage::Columns(left) => {
                self.stage = Stage::Columns(left - 1);
                None
            }
            Stage::Rows => match kind {
                Some(ERROR) => Some(done(failed(body))),
                // A value of more than 16 MiB would begin like this as well.
                Some(END) if body.len() < 9 => Some(done(self.rows.judge(true))),
                _ => match values(body) {
                    Some(values) => {
                        self.rows.row(values.into_iter());
                        None
                    }
                    None => known(wrong_answer(body, "row")),
                },
            },
        }
    }

    /// Our login, if this is a greeting.
    fn greeted(&mut self, body: &[u8]) -> Option<Result<Vec<u8>, Judgement>> {
        let mut reader = Reader(body);
        if reader.byte()? != 10 {
            return None;
        }
        let (_version, _thread) = (reader.text()?, reader.take(4)?);
        let mut scramble = reader.take(8)?.to_vec();
        reader.byte()?;
        let low = reader.le16()?;
        let (_charset, _status, high) = (reader.byte()?, reader.le16()?, reader.le16()?);
        let server = u32::from(high) << 16 | u32::from(low);
        if server & NEEDED != NEEDED {
            let cause = "the server logs in as before version 4.1 only";
            return Some(Err(Judgement::cannot_tell("login-unsupported", cause)));
        }
        let length = usize::from(reader.byte()?);
        reader.take(10)?;
        scramble.extend(reader.take(length.saturating_sub(8).max(13))?);
        scramble.truncate(SCRAMBLE);
        self.scramble = scramble;
        let named = if server & PLUGIN_AUTH != 0 { reader.text().unwrap_or(reader.0) } else { NATIVE };
        // Where the server's own is not ours to say, it will ask for the user's in a moment.
        self.plugin = if named == CACHING { CACHING } else { NATIVE }.to_vec();

        let database = self.database.as_deref().filter(|d| !d.is_empty());
        let wanted = NEEDED | LONG_PASSWORD | TRANSACTIONS | PLUGIN_AUTH;
        let flags = (wanted | if database.is_some() { CONNECT_WITH_DB } else { 0 }) & (server | LONG_PASSWORD);
        let mut reply = [flags, MOST_HEARD as u32].map(u32::to_le_bytes).concat();
        reply.push(CHARSET);
        reply.extend([0; 23]);
        put_text(&mut reply, &self.user);
        let proof = self.proof();
        reply.push(proof.len() as u8);
        reply.extend(proof);
        if let Some(database) = database.filter(|_| flags & CONNECT_WITH_DB != 0) {
            put_text(&mut reply, database);
        }
        if flags & PLUGIN_AUTH != 0 {
            reply.extend(&self.plugin);
            reply.push(0);
        }
        Some(Ok(reply))
    }

    /// Our reply to a server that wants another way to log in.
    fn switched(&mut self, body: &[u8]) -> Vec<u8> {
        let mut reader = Reader(body.get(1..).unwrap_or_default());
        let plugin = reader.text().unwrap_or_default();
        self.plugin = plugin.to_vec();
        self.scramble = reader.0.iter().copied().take(SCRAMBLE).collect();
        if plugin == NATIVE || plugin == CACHING {
            self.stuck = None;
            let proof = self.proof();
            // No password is a lone NUL there.
            return if proof.is_empty() && plugin == CACHING { vec![0] } else { proof };
        }
        // mysql_clear_password among them: nobody gets to see the password. Whatever we reply is wrong; it only has to be
        // of the length that makes it a wrong password, and no broken conversation.
        let cause = format!(
            "the server wants to log this user in by '{}', which is not spoken here: give a user of \
             mysql_native_password or caching_sha2_password",
            if plugin.is_empty() { "mysql_old_password".to_owned() } else { shown(plugin) }
        );
        self.stuck = Some(Judgement::cannot_tell("login-unsupported", cause));
        vec![0; if plugin == ED25519 { 64 } else { 0 }]
    }

    /// What proves that we know the password.
    fn proof(&self) -> Vec<u8> {
        let (password, scramble) = (self.password.as_slice(), self.scramble.as_slice());
        if password.is_empty() {
            return Vec::new();
        }
        if self.plugin == CACHING {
            let mut proof = hash::<Sha256>(&[password]);
            let twice = hash::<Sha256>(&[&proof]);
            xor(&mut proof, &hash::<Sha256>(&[&twice, scramble]));
            proof.to_vec()
        } else {
            let mut proof = hash::<Sha1>(&[password]);
            let twice = hash::<Sha1>(&[&proof]);
            xor(&mut proof, &hash::<Sha1>(&[scramble, &twice]));
            proof.to_vec()
        }
    }

    fn reply(&mut self, sequence: u8, body: Vec<u8>) -> Turn {
        self.stage = match self.stage {
            Stage::Login(replies) => Stage::Login(replies + 1),
            _ => Stage::Login(0),
        };
        Turn::Say(packet(sequence.wrapping_add(1), &body))
    }

    /// What an error in place of a greeting or a login means.
    fn refused(&self, body: &[u8], greeting: bool) -> Judgement {
        let Some((code, words)) = error(body) else { return wrong_answer(body, "error of MySQL") };
        let said = format!("error {code}, '{words}'");
        match code {
            // Host blocked, host not allowed: we are, and nobody else.
            1129 => Judgement::cannot_tell(
                "not-permitted",
                format!("the server takes no more connections from this machine: FLUSH HOSTS there: {said}"),
            ),
            1130 => Judgement::cannot_tell(
                "not-permitted",
                format!("the server takes no connections from this machine: create a user for it there: {said}"),
            ),
            _ => match trouble(code, &said) {
                Some(judgement) => judgement,
                None if greeting => Judgement::cannot_tell("unknown", format!("the server does not greet: {said}")),
                None => match &self.stuck {
                    Some(judgement) if self.named => judgement.clone(),
                    _ => self.denied(code, &said),
                },
            },
        }
    }

    fn denied(&self, code: u16, said: &str) -> Judgement {
        match code {
            // A database that whoever asks for it cannot have.
            1049 if self.named => Judgement::down("wrong-answer", format!("it lacks the database: {said}")),
            // Access denied, to the database, to this plugin, without TLS, with an expired password, to a locked account,
            // to one with too many connections of its own.
            1044 | 1045 | 1049 | 1203 | 1226 | 1251 | 1275 | 1524 | 1698 | 1820 | 1862 | 1873 | 3118 | 3159 | 3878
            | 3955 | 4151 => {
                if self.named {
                    not_permitted(said)
                } else {
                    Judgement::up(format!("it answers, and refuses a user whom nobody knows: {said}"))
                }
            }
            _ => Judgement::cannot_tell("unknown", format!("the login failed in a way that is not known: {said}")),
        }
    }
}

impl Dialogue for Login {
    fn next(&mut self, heard: &mut Vec<u8>) -> Turn {
        loop {
            let Some([a, b, c, sequence]) = heard.first_chunk().copied() else { return Turn::Listen };
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            if self.stage == Stage::Greeting && (sequence != 0 || length > 1024) {
                return Turn::known(wrong_answer(heard, "greeting of MySQL"));
            }
            if length + 4 > MOST_HEARD {
                return match self.stage {
                    Stage::Rows => done(self.rows.judge(false)),
                    _ => Turn::known(too_long()),
                };
            }
            if heard.len() < length + 4 {
                return Turn::Listen;
            }
            let body: Vec<u8> = heard.drain(..length + 4).skip(4).collect();
            if matches!(self.stage, Stage::Columns(_) | Stage::Rows) && self.rows.heard(length + 4) {
                return done(self.rows.judge(false));
            }
            if let Some(turn) = self.packet(sequence, &body) {
                return turn;
            }
        }
    }

    fn awaits(&self) -> &'static str {
        match self.stage {
            Stage::Greeting => "its greeting",
            Stage::Login(_) => "its answer to the login",
            _ => "its answer to the query",
        }
    }
}

fn done(judgement: Judgement) -> Turn {
    Turn::Done(judgement, QUIT.to_vec())
}

fn packet(sequence: u8, body: &[u8]) -> Vec<u8> {
    // A query of 16 MiB would have to be split; it is cut instead, and is none.
    let body = &body[..body.len().min(0xff_fffe)];
    let mut packet = (body.len() as u32).to_le_bytes().to_vec();
    packet[3] = sequence;
    packet.extend(body);
    packet
}

/// The code and the words of an error. Its state comes between them, but in place of a greeting.
fn error(body: &[u8]) -> Option<(u16, String)> {
    let mut reader = Reader(body.get(1..)?);
    let code = reader.le16()?;
    if reader.0.starts_with(b"#") {
        reader.take(6)?;
    }
    Some((code, shown(reader.0)))
}

/// What keeps everybody out.
fn trouble(code: u16, said: &str) -> Option<Judgement> {
    match code {
        // Too many connections, out of memory or threads.
        1037 | 1038 | 1040 | 1041 | 1135 => Some(Judgement::down("busy", format!("it takes no more clients: {said}"))),
        // Shutting down, killed, offline, starting.
        1053 | 1152 | 1927 | 3032 | 3168 => Some(Judgement::down("not-ready", format!("it is not ready: {said}"))),
        _ => None,
    }
}

/// What an error in answer to a query means.
fn failed(body: &[u8]) -> Judgement {
    let Some((code, words)) = error(body) else { return wrong_answer(body, "error of MySQL") };
    let said = format!("error {code}, '{words}'");
    match code {
        1044 | 1045 | 1142 | 1143 | 1227 | 1370 => not_permitted(&said),
        1046 | 1064 | 1065 | 1149 | 1295 => {
            Judgement::cannot_tell("wrong-request", format!("the server does not understand the query: {said}"))
        }
        _ => {
            trouble(code, &said).unwrap_or_else(|| Judgement::down("wrong-answer", format!("the query failed: {said}")))
        }
    }
}

/// A length or a count; Some(None) is NULL.
fn number(reader: &mut Reader) -> Option<Option<u64>> {
    let mut bytes = [0; 8];
    let count = match reader.byte()? {
        small @ 0..=0xfa => return Some(Some(u64::from(small))),
        0xfb => return Some(None),
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        0xff => return None,
    };
    bytes[..count].copy_from_slice(reader.take(count)?);
    Some(Some(u64::from_le_bytes(bytes)))
}

/// The values of a row.
fn values(body: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    let mut reader = Reader(body);
    let mut values = Vec::new();
    while !reader.0.is_empty() {
        let length = number(&mut reader)?;
        values.push(match length {
            None => None,
            Some(length) => Some(reader.take(usize::try_from(length).ok()?)?),
        });
    }
    Some(values)
}
