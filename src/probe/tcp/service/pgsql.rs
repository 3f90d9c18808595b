//! PostgreSQL, protocol 3.0: the login, and a query.

use md5::Md5;

use super::Parameters;
use super::bytes::{Reader, put_text};
use super::digests::{hash, hex};
use super::scram::{Proof, Scram, Stuck};
use super::verdicts::{NOBODY, Rows, known, not_permitted, too_long, wrong_answer};
use crate::probe::Judgement;
use crate::probe::tcp::dialogue::{Dialogue, MOST_HEARD, Turn, shown};

const VERSION: u32 = 3 << 16;
const MECHANISM: &[u8] = b"SCRAM-SHA-256";
/// Terminate.
const TERMINATE: [u8; 5] = [b'X', 0, 0, 0, 4];

/// Where the conversation is.
#[derive(Clone, Debug)]
enum Stage {
    Start,
    /// The login has begun, and it is the server's turn.
    Login,
    /// SCRAM has begun.
    Scram(Scram),
    /// The server has to prove itself.
    Proof(Proof),
    /// Logged in, and not ready yet.
    Accepted,
    /// The query was sent.
    Query,
}

/// One login.
#[derive(Clone, Debug)]
pub struct Login {
    user: String,
    named: bool,
    password: String,
    database: Option<String>,
    query: Option<String>,
    nonce: [u8; 16],
    stage: Stage,
    rows: Rows,
}

impl Login {
    /// As `user` with `password` into `database` (that of the user's name where there is none), then `request`, of whose
    /// rows one has to match `receive`. Without a user and a request a name is said that no one has, and that it is refused
    /// or asked for a password is enough. `nonce` is random.
    pub fn new(with: &Parameters, nonce: [u8; 16]) -> Self {
        let named = with.user.is_some() || with.request.is_some();
        Self {
            user: with.user.as_deref().unwrap_or(NOBODY).to_owned(),
            named,
            password: with.password.clone().unwrap_or_default(),
            database: with.database.clone().or_else(|| with.user.is_none().then(|| "postgres".to_owned())),
            query: with.request.clone(),
            nonce,
            stage: Stage::Start,
            rows: Rows::new(with.receive.clone()),
        }
    }

    fn start(&self) -> Vec<u8> {
        let mut body = VERSION.to_be_bytes().to_vec();
        let mut pairs = vec![("user", self.user.as_str()), ("application_name", "takeover")];
        pairs.extend(self.database.as_deref().map(|database| ("database", database)));
        for (name, value) in pairs {
            put_text(&mut body, name);
            put_text(&mut body, value);
        }
        body.push(0);
        framed(None, &body)
    }

    /// What one message leads to; None when the next one is needed.
    fn message(&mut self, kind: u8, body: &[u8]) -> Option<Turn> {
        match (kind, &self.stage) {
            // Notices, parameters, the key for cancelling, news, a protocol minor that we did not ask for.
            (b'N' | b'S' | b'K' | b'A' | b'v', _) => None,
            (b'E', Stage::Query) => Some(done(failed(body))),
            (b'E', _) => known(self.refused(body)),
            (b'R', Stage::Login | Stage::Scram(_) | Stage::Proof(_)) => {
                self.asked(body).unwrap_or_else(|| known(wrong_answer(body, "way to log in")))
            }
            (b'Z', Stage::Accepted) => match &self.query {
                None => Some(done(Judgement::up("it accepted the login"))),
                Some(query) => {
                    let mut body = Vec::new();
                    put_text(&mut body, query);
                    self.stage = Stage::Query;
                    Some(Turn::Say(framed(Some(b'Q'), &body)))
                }
            },
            (b'D', Stage::Query) => match values(body) {
                Some(values) => {
                    self.rows.row(values.into_iter());
                    None
                }
                None => known(wrong_answer(body, "row")),
            },
            (b'T' | b'C' | b'I' | b'H' | b'd' | b'c', Stage::Query) => None,
            (b'G', Stage::Query) => {
                let cause = "the query waits for data from us, which a probe has not";
                let parting = [framed(Some(b'f'), &[0]).as_slice(), &TERMINATE].concat();
                Some(Turn::Done(Judgement::cannot_tell("wrong-request", cause), parting))
            }
            (b'Z', Stage::Query) => Some(done(self.rows.judge(true))),
            _ => known(wrong_answer(&[&[kind], body].concat(), "message of PostgreSQL that fits here")),
        }
    }

    /// What the server asks for before it lets us in; None where that is malformed or comes at a wrong time.
    fn asked(&mut self, body: &[u8]) -> Option<Option<Turn>> {
        let mut reader = Reader(body);
        let code = reader.be32()?;
        let stage = std::mem::replace(&mut self.stage, Stage::Login);
        if code != 0 && !self.named {
            // The server has forked, has a place for us, and asks who we are. It takes this end for one who has to ask for
            // the password first, and logs nothing.
            return Some(known(Judgement::up("it answers, and asks for a password")));
        }
        let say = |body: &[u8]| Some(Some(Turn::Say(framed(Some(b'p'), body))));
        let password = |text: &str| {
            let mut body = Vec::new();
            put_text(&mut body, text);
            Some(Some(Turn::Say(framed(Some(b'p'), &body))))
        };
        match (code, stage) {
            // Not before the server has proved that it knew the password.
            (0, Stage::Login) => {
                self.stage = Stage::Accepted;
                Some(None)
            }
            (3, Stage::Login) => password(&self.password),
            (5, Stage::Login) => {
                let salt = reader.array::<4>()?;
                let inner = hex(&hash::<Md5>(&[self.password.as_bytes(), self.user.as_bytes()]));
                password(&format!("md5{}", hex(&hash::<Md5>(&[inner.as_bytes(), &salt]))))
            }
            (10, Stage::Login) => {
                let mut names = std::iter::from_fn(|| reader.text().filter(|name| !name.is_empty()));
                if !names.any(|name| name == MECHANISM) {
                    return Some(known(unsupported("SASL without SCRAM-SHA-256")));
                }
                // Its own name is empty: the server has it from the beginning.
                let scram = Scram::new("", &self.nonce);
                let first = scram.first();
                let length = (first.len() as u32).to_be_bytes();
                let said = [MECHANISM, &[0], &length, first.as_bytes()].concat();
                self.stage = Stage::Scram(scram);
                say(&said)
            }
            (11, Stage::Scram(scram)) => match scram.prove(&self.password, reader.0) {
                Ok((last, proof)) => {
                    self.stage = Stage::Proof(proof);
                    say(last.as_bytes())
                }
                Err(Stuck::Malformed) => None,
                Err(Stuck::Rounds) => Some(known(unsupported("SCRAM-SHA-256 with too many rounds"))),
            },
            (12, Stage::Proof(proof)) if proof.holds(reader.0) => Some(None),
            (12, Stage::Proof(_)) => {
                Some(known(Judgement::down("wrong-answer", "it does not know the password that it lets us in with")))
            }
            (2 | 7 | 9, Stage::Login) => Some(known(unsupported("GSSAPI, SSPI or Kerberos"))),
            _ => None,
        }
    }

    /// What an error before the end of the login means.
    fn refused(&self, body: &[u8]) -> Judgement {
        let Some((state, said)) = error(body) else { return wrong_answer(body, "error of PostgreSQL") };
        if let Some(judgement) = trouble(&state, &said) {
            return judgement;
        }
        match (state.get(..2).unwrap_or_default(), state.as_str()) {
            ("3D", _) if self.named && self.database.is_some() => {
                Judgement::down("wrong-answer", format!("it lacks the database: {said}"))
            }
            ("3D", _) if self.named => Judgement::cannot_tell(
                "wrong-request",
                format!("the user has no database of the same name: see --database: {said}"),
            ),
            // Also a user who may not connect to the database.
            ("28", _) | (_, "42501") if self.named => not_permitted(&said),
            ("28" | "3D", _) | (_, "42501") => {
                Judgement::up(format!("it answers, and refuses a user whom nobody knows: {said}"))
            }
            _ => Judgement::cannot_tell("unknown", format!("the login failed in a way that is not known: {said}")),
        }
    }
}

impl Dialogue for Login {
    fn next(&mut self, heard: &mut Vec<u8>) -> Turn {
        if matches!(self.stage, Stage::Start) {
            self.stage = Stage::Login;
            return Turn::Say(self.start());
        }
        loop {
            let mut head = Reader(heard);
            let (Some(kind), Some(length)) = (head.byte(), head.be32()) else {
                return match heard.first() {
                    Some(kind) if !plausible(*kind) => Turn::known(wrong_answer(heard, "message of PostgreSQL")),
                    _ => Turn::Listen,
                };
            };
            // The type is not counted. A server that could not fork says so in words behind an E.
            let length = (length as usize).saturating_add(1);
            let begun = matches!(self.stage, Stage::Login);
            if length < 5 || !plausible(kind) || begun && length > 32 * 1024 {
                return Turn::known(wrong_answer(heard, "message of PostgreSQL"));
            }
            if length > MOST_HEARD {
                return match self.stage {
                    Stage::Query => done(self.rows.judge(false)),
                    _ => Turn::known(too_long()),
                };
            }
            if heard.len() < length {
                return Turn::Listen;
            }
            let body: Vec<u8> = heard.drain(..length).skip(5).collect();
            if matches!(self.stage, Stage::Query) && self.rows.heard(length) {
                return done(self.rows.judge(false));
            }
            if let Some(turn) = self.message(kind, &body) {
                return turn;
            }
        }
    }

    fn awaits(&self) -> &'static str {
        match self.stage {
            Stage::Query => "its answer to the query",
            _ => "its answer to the login",
        }
    }
}

/// Whether a message can begin like this: all types are letters.
fn plausible(kind: u8) -> bool {
    kind.is_ascii_alphabetic()
}

fn done(judgement: Judgement) -> Turn {
    Turn::Done(judgement, TERMINATE.to_vec())
}

fn framed(kind: Option<u8>, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::from_iter(kind);
    message.extend(u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes());
    message.extend(body);
    message
}

fn unsupported(what: &str) -> Judgement {
    let cause = format!("the server wants to log this user in by {what}, which is not spoken here");
    Judgement::cannot_tell("login-unsupported", cause)
}

/// The SQLSTATE of an error, and both it and its words.
fn error(body: &[u8]) -> Option<(String, String)> {
    let mut reader = Reader(body);
    let (mut state, mut words) = (None, String::new());
    while let Some(field) = reader.byte().filter(|f| *f != 0) {
        let text = shown(reader.text()?);
        match field {
            b'C' => state = Some(text),
            b'M' => words = text,
            _ => {}
        }
    }
    state.map(|state| (state.clone(), format!("{state}, '{words}'")))
}

/// What keeps everybody out.
fn trouble(state: &str, said: &str) -> Option<Judgement> {
    match (state.get(..2)?, state) {
        // Too many connections, out of memory or disk.
        ("53", _) => Some(Judgement::down("busy", format!("it takes no more clients: {said}"))),
        // Starting, recovering, shutting down, another server's crash, its own configuration, its disks, itself.
        (_, "57P01" | "57P02" | "57P03") | ("58" | "F0" | "XX", _) => {
            Some(Judgement::down("not-ready", format!("it is not ready: {said}")))
        }
        _ => None,
    }
}

/// What an error in answer to a query means.
fn failed(body: &[u8]) -> Judgement {
    let Some((state, said)) = error(body) else { return wrong_answer(body, "error of PostgreSQL") };
    match state.as_str() {
        "42501" => not_permitted(&said),
        "42601" => Judgement::cannot_tell("wrong-request", format!("the server does not understand the query: {said}")),
        _ => trouble(&state, &said)
            .unwrap_or_else(|| Judgement::down("wrong-answer", format!("the query failed: {said}"))),
    }
}

/// The values of a row.
fn values(body: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    let mut reader = Reader(body);
    let count = reader.be16()?;
    let mut values = Vec::new();
    for _ in 0..count {
        let length = reader.be32()?;
        // -1 is NULL.
        values.push(if length == u32::MAX { None } else { Some(reader.take(length as usize)?) });
    }
    Some(values)
}
