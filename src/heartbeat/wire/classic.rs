//! The classic form: lines of `name=value` between `>>>` and `<<<`. Its text is what every inner digest runs over.
//!
//! A value cannot hold the newline that ends its line, so the real library stands control characters in for it, and so
//! does this: 0x13 within a text, and 0x14 plus its depth at the end of each line of a message in a message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::authentication::{Key, Keyring};
use super::message::{Field, Message, Value, is_name, is_text};
use super::netstring;
use super::{Budget, Form, Opened, Rejection};

pub(super) const START: &[u8] = b">>>\n";
pub(super) const END: &[u8] = b"<<<\n";
/// What begins the line of the authentication, which is the last one.
const AUTH: &[u8] = b"auth=";

/// Stands for a newline in a text.
const NEWLINE_IN_TEXT: u8 = 0x13;

/// What ends the lines at this depth; 0 is the message itself.
fn line_end(depth: usize) -> u8 {
    // Depths are limited to far less than a byte holds: Budget::MAX_DEPTH.
    if depth == 0 { b'\n' } else { NEWLINE_IN_TEXT + depth as u8 }
}

/// Verifies a message in this form, then parses it.
pub(super) fn open(bytes: &[u8], keys: &Keyring) -> Result<Opened, Rejection> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let lines = bytes
        .strip_prefix(START)
        .and_then(|rest| rest.strip_suffix(END))
        .ok_or(Rejection::Malformed("the message has no end"))?;
    let last = lines.strip_suffix(b"\n").ok_or(Rejection::Unauthenticated)?;
    let (signed, last) = last.split_at(last.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1));
    let key = keys.verify(last.strip_prefix(AUTH).ok_or(Rejection::Unauthenticated)?, signed)?;

    let message = parse(signed, 0, &mut Budget::new())?;
    Ok(Opened { message, form: Form::Classic, key: key.index(), method: key.method(), compressed: false })
}

/// The message whose lines these are.
fn parse(lines: &[u8], depth: usize, budget: &mut Budget) -> Result<Message, Rejection> {
    budget.enter(depth)?;
    let mut message = Message::default();
    if lines.is_empty() {
        return Ok(message);
    }
    let end = line_end(depth);
    let lines = lines.strip_suffix(&[end]).ok_or(Rejection::Malformed("a line has no end"))?;
    for line in lines.split(|b| *b == end) {
        budget.take()?;
        message.fields.push(field(line, depth, budget)?);
    }
    Ok(message)
}

/// The field that stands on this line.
fn field(line: &[u8], depth: usize, budget: &mut Budget) -> Result<Field, Rejection> {
    let (kind, rest) = match line {
        [b'(', kind @ b'1'..=b'5', b')', rest @ ..] => (*kind - b'0', rest),
        _ => (0, line),
    };
    let equals = rest.iter().position(|b| *b == b'=').ok_or(Rejection::Malformed("a field has no value"))?;
    let (name, value) = (&rest[..equals], &rest[equals + 1..]);
    let name = is_name(name, depth)?;
    let value = match kind {
        0 => Value::Text(text(value)?),
        1 => Value::Binary(binary(value)?),
        2 => {
            let end = line_end(depth + 1);
            let lines = value
                .strip_prefix(&[b'>', b'>', b'>', end])
                .and_then(|rest| rest.strip_suffix(&[b'<', b'<', b'<', end]))
                .ok_or(Rejection::Malformed("a message in the message has no end"))?;
            Value::Struct(parse(lines, depth + 1, budget)?)
        }
        3 => Value::List(netstring::items(value, budget)?),
        other => Value::Raw(other, binary(value)?),
    };
    Ok(Field { name: name.to_owned(), value })
}

fn text(value: &[u8]) -> Result<String, Rejection> {
    if value.contains(&NEWLINE_IN_TEXT) {
        let plain: Vec<u8> = value.iter().map(|b| if *b == NEWLINE_IN_TEXT { b'\n' } else { *b }).collect();
        return Ok(is_text(&plain)?.to_owned());
    }
    Ok(is_text(value)?.to_owned())
}

fn binary(value: &[u8]) -> Result<Vec<u8>, Rejection> {
    STANDARD.decode(value).map_err(|_| Rejection::Malformed("a binary value is no base64"))
}

/// The whole message, signed.
pub(super) fn seal(message: &Message, key: &Key) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(START);
    write(message, 0, &mut out);
    let mut signature = Vec::with_capacity(AUTH.len() + super::authentication::MAX_SIGNATURE);
    key.sign(&out[START.len()..], &mut signature);
    out.extend_from_slice(AUTH);
    out.extend_from_slice(&signature);
    out.push(b'\n');
    out.extend_from_slice(END);
    out
}

/// Appends the lines of the message: what an inner digest runs over.
pub(super) fn write(message: &Message, depth: usize, out: &mut Vec<u8>) {
    for Field { name, value } in &message.fields {
        let kind = value.kind();
        if kind != 0 {
            out.extend_from_slice(&[b'(', b'0' + kind, b')']);
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        match value {
            Value::Text(text) => {
                let from = out.len();
                out.extend_from_slice(text.as_bytes());
                out[from..].iter_mut().filter(|b| **b == b'\n').for_each(|b| *b = NEWLINE_IN_TEXT);
            }
            Value::Binary(bytes) | Value::Raw(_, bytes) => write_base64(bytes, out),
            Value::Struct(inner) => {
                let end = line_end(depth + 1);
                out.extend_from_slice(&[b'>', b'>', b'>', end]);
                write(inner, depth + 1, out);
                out.extend_from_slice(&[b'<', b'<', b'<', end]);
            }
            Value::List(items) => netstring::write_items(items, out),
        }
        out.push(line_end(depth));
    }
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    out.resize(from + bytes.len().div_ceil(3) * 4, b'=');
    let written = STANDARD.encode_slice(bytes, &mut out[from..]);
    debug_assert_eq!(written, Ok(out.len() - from));
}
