//! stdin as other commands print it: a JSON object a line, all of them before anything is done.

use std::io::Read;

use serde_json::Value;

use super::Failure;
use super::exit::Fault;

/// The most that is read, in bytes.
pub const LARGEST: u64 = 16 << 20;

/// Reads all objects, each with the number of its line. Empty lines are passed over.
///
/// # Errors
/// For a line that is no object, for one that is the error of whoever printed it, and where there is no line at all: a
/// command that failed in front of us must not make a success of nothing. `example` says how it is done.
pub fn read(input: impl Read, example: &str) -> Result<Vec<(usize, Value)>, Failure> {
    let wrong = |message: String| Failure::usage(message, example);
    let mut text = Vec::new();
    input.take(LARGEST + 1).read_to_end(&mut text).map_err(|e| Failure::io("cannot read stdin", &e))?;
    if text.len() as u64 > LARGEST {
        return Err(wrong(format!("stdin is larger than {} MiB", LARGEST >> 20)));
    }
    let mut objects = Vec::new();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        objects.extend(of_line(line, number, example)?.map(|object| (number, object)));
    }
    if objects.is_empty() { Err(wrong("stdin is empty".to_owned())) } else { Ok(objects) }
}

/// The object of one line; none where that is empty.
///
/// # Errors
/// As those of [`read`], with this number of the line.
pub fn of_line(line: &[u8], number: usize, example: &str) -> Result<Option<Value>, Failure> {
    let wrong = |what: String| Failure::usage(format!("line {number} of stdin {what}"), example);
    let line = str::from_utf8(line).map_err(|e| wrong(format!("is no text: {e}")))?;
    if line.trim().is_empty() {
        return Ok(None);
    }
    let object: Value = serde_json::from_str(line).map_err(|e| wrong(format!("is no JSON: {e}")))?;
    if !object.is_object() {
        return Err(wrong("is no JSON object".to_owned()));
    }
    if object["event"] == "error" {
        let message = object["message"].as_str().unwrap_or("an error");
        let message = format!("line {number} of stdin tells of an error: {message}");
        let failure = Failure::new(Fault::Configuration, "input-error", message);
        return Err(Failure { hint: object["hint"].as_str().map(str::to_owned), ..failure });
    }
    Ok(Some(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: impl AsRef<[u8]>) -> Result<Vec<usize>, Fault> {
        let numbers = |all: Vec<(usize, Value)>| all.into_iter().map(|(n, _)| n).collect();
        super::read(text.as_ref(), "so").map(numbers).map_err(|f| f.fault)
    }

    #[test]
    fn objects_by_their_lines() {
        assert_eq!(read("{\"a\":1}\n\n{}"), Ok(vec![1, 3]));
        assert!(of_line(b"half", 7, "so").is_err_and(|e| e.message.starts_with("line 7 of stdin ")));
        assert_eq!(of_line(b" ", 7, "so").ok(), Some(None));
        for bad in ["", "\n \n", "nonsense", "[1]", "{\"a\":1}\n{"] {
            assert_eq!(read(bad), Err(Fault::Usage), "{bad}");
        }
        let wrong = super::read(&b"{}\n{\"a\":\"\xff\"}\n"[..], "so").unwrap_err();
        assert_eq!(wrong.fault, Fault::Usage);
        assert!(wrong.message.starts_with("line 2 "), "{wrong}");
        let told = "{\"event\":\"error\",\"code\":\"c\",\"message\":\"m\",\"hint\":null}";
        assert_eq!(read(told), Err(Fault::Configuration));
    }

    #[test]
    fn what_is_cut_off_is_not_half_done() {
        let most = "\n".repeat(LARGEST as usize - 2) + "{}";
        assert_eq!(read(&most).map(|all| all.len()), Ok(1));
        assert_eq!(read(&(most + "\n")), Err(Fault::Usage));
    }
}
