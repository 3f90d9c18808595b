//! The netstring form: each field as `length:(type)name=value,` between `###` and `%%%`, the authentication behind it.

use std::io::Write as _;

use super::authentication::{Key, Keyring, MAX_SIGNATURE};
use super::message::{Field, Message, Value, is_item, is_name, is_text};
use super::{Budget, Form, Opened, Rejection, classic};

pub(super) const START: &[u8] = b"###\n";
const END: &[u8] = b"%%%\n";
/// A field's type in front of its name.
const KIND: usize = 3;

/// Verifies a message in this form, outside and inside, and parses it between the two.
pub(super) fn open(bytes: &[u8], keys: &Keyring) -> Result<Opened, Rejection> {
    let (signed, signature) = trailer(bytes)?;
    let key = keys.verify(signature, signed)?;

    let body = signed.strip_prefix(START).and_then(|rest| rest.strip_suffix(END));
    let body = body.ok_or(Rejection::Malformed("the message has no end"))?;
    let mut inner = None;
    let message = parse(body, 0, &mut Budget::new(), &mut inner)?;
    if let Some(signature) = inner {
        let mut lines = Vec::with_capacity(bytes.len() + bytes.len() / 2);
        classic::write(&message, 0, &mut lines);
        match keys.verify(signature, &lines) {
            // The whole was verified already, with a key that is configured: during a rotation this may be another.
            Ok(_) | Err(Rejection::UnknownKey { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(Opened { message, form: Form::Netstring, key: key.index(), method: key.method(), compressed: false })
}

/// What is signed, and the signature: found from the end, since nothing in front of it can be trusted yet.
fn trailer(bytes: &[u8]) -> Result<(&[u8], &[u8]), Rejection> {
    let no_end = Rejection::Malformed("the message has no end");
    // Two digits of length, a colon and a comma around the signature, and the newline of `%%%` in front.
    let tail = bytes.len().saturating_sub(MAX_SIGNATURE + 5);
    let newline = bytes[tail..].iter().rposition(|b| *b == b'\n').ok_or(no_end.clone())?;
    let (signed, rest) = bytes.split_at(tail + newline + 1);
    if !signed.ends_with(END) {
        return Err(no_end);
    }
    if rest.is_empty() {
        return Err(Rejection::Unauthenticated);
    }
    match take(rest)? {
        (signature, []) => Ok((signed, signature)),
        _ => Err(no_end),
    }
}

/// The first netstring of these bytes, and what follows it.
fn take(bytes: &[u8]) -> Result<(&[u8], &[u8]), Rejection> {
    const MALFORMED: Rejection = Rejection::Malformed("a length is not that of a field");
    // More digits than the largest message has could only be wrong, and cannot overflow.
    let digits = bytes.iter().take(7).take_while(|b| b.is_ascii_digit()).count();
    let length = bytes[..digits].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    if digits == 0 || (bytes[0] == b'0' && digits > 1) {
        return Err(MALFORMED);
    }
    match bytes[digits..].split_first() {
        Some((b':', rest)) if rest.get(length) == Some(&b',') => Ok((&rest[..length], &rest[length + 1..])),
        _ => Err(MALFORMED),
    }
}

/// The message of these fields. `auth` receives the value of the message's own field of that name, which must be the
/// last and is not part of the message that comes back.
fn parse<'a>(
    mut bytes: &'a [u8],
    depth: usize,
    budget: &mut Budget,
    auth: &mut Option<&'a [u8]>,
) -> Result<Message, Rejection> {
    budget.enter(depth)?;
    let mut message = Message { fields: Vec::with_capacity(if bytes.len() < 64 { 2 } else { 16 }) };
    while !bytes.is_empty() {
        let (field, rest) = take(bytes)?;
        bytes = rest;
        let [b'(', kind @ b'0'..=b'5', b')', field @ ..] = field else {
            return Err(Rejection::Malformed("a field has no type"));
        };
        let equals = field.iter().position(|b| *b == b'=').ok_or(Rejection::Malformed("a field has no value"))?;
        let (name, value) = (&field[..equals], &field[equals + 1..]);
        if depth == 0 && *kind == b'0' && name == b"auth" && bytes.is_empty() {
            *auth = Some(value);
            break;
        }
        budget.take()?;
        let name = is_name(name, depth)?;
        let value = match kind - b'0' {
            0 => Value::Text(is_text(value)?.to_owned()),
            1 => Value::Binary(value.to_vec()),
            2 => {
                let body = value.strip_prefix(START).and_then(|rest| rest.strip_suffix(END));
                let body = body.ok_or(Rejection::Malformed("a message in the message has no end"))?;
                Value::Struct(parse(body, depth + 1, budget, auth)?)
            }
            3 => Value::List(items(value, budget)?),
            other => Value::Raw(other, value.to_vec()),
        };
        message.fields.push(Field { name: name.to_owned(), value });
    }
    Ok(message)
}

/// The items of a list, which both forms write alike.
pub(super) fn items(mut bytes: &[u8], budget: &mut Budget) -> Result<Vec<String>, Rejection> {
    let mut items = Vec::new();
    while !bytes.is_empty() {
        budget.take()?;
        let (item, rest) = take(bytes)?;
        items.push(is_item(item)?.to_owned());
        bytes = rest;
    }
    Ok(items)
}

/// Appends the items of a list.
pub(super) fn write_items(items: &[String], out: &mut Vec<u8>) {
    for item in items {
        write_length(item.len(), out);
        out.extend_from_slice(item.as_bytes());
        out.push(b',');
    }
}

fn write_length(length: usize, out: &mut Vec<u8>) {
    // Writing into a vector does not fail.
    let _ = write!(out, "{length}:");
}

/// The whole message, signed outside, and inside too where `inner` says so.
pub(super) fn seal(message: &Message, key: &Key, inner: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(START);
    write(message, &mut out);
    let mut signature = Vec::with_capacity(MAX_SIGNATURE);
    if inner {
        let mut lines = Vec::with_capacity(out.len());
        classic::write(message, 0, &mut lines);
        key.sign(&lines, &mut signature);
        write_length(KIND + b"auth=".len() + signature.len(), &mut out);
        out.extend_from_slice(b"(0)auth=");
        out.extend_from_slice(&signature);
        out.push(b',');
        signature.clear();
    }
    out.extend_from_slice(END);
    key.sign(&out, &mut signature);
    write_length(signature.len(), &mut out);
    out.extend_from_slice(&signature);
    out.push(b',');
    out
}

/// Appends the fields of the message.
fn write(message: &Message, out: &mut Vec<u8>) {
    let mut made = Vec::new();
    for Field { name, value } in &message.fields {
        made.clear();
        let bytes = match value {
            Value::Text(text) => text.as_bytes(),
            Value::Binary(bytes) | Value::Raw(_, bytes) => bytes,
            Value::Struct(inner) => {
                made.extend_from_slice(START);
                write(inner, &mut made);
                made.extend_from_slice(END);
                &made
            }
            Value::List(items) => {
                write_items(items, &mut made);
                &made
            }
        };
        write_length(KIND + name.len() + 1 + bytes.len(), out);
        out.extend_from_slice(&[b'(', b'0' + value.kind(), b')']);
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(bytes);
        out.push(b',');
    }
}
