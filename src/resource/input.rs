//! Resources as other commands print them: the groups of `ha-conf haresources`, a JSON object a line.

use std::io::Read;

use serde_json::Value;

use super::spec::Resource;
use crate::cli::Failure;
use crate::cli::exit::Fault;

/// The most that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// Reads all resources of all groups, in their order.
///
/// # Errors
/// For a line that is no such object, for one that is the error of whoever printed it, and where there is no line at all:
/// a command that failed in front of us must not make a success of nothing.
pub fn groups(input: impl Read) -> Result<Vec<Resource>, Failure> {
    let mut resources = Vec::new();
    let mut lines = 0;
    let mut text = String::new();
    input.take(LARGEST + 1).read_to_string(&mut text).map_err(|e| Failure::io("cannot read stdin", &e))?;
    if text.len() as u64 > LARGEST {
        return Err(wrong(format!("stdin is larger than {} MiB", LARGEST >> 20)));
    }
    for line in text.lines() {
        if line.trim().is_empty() {
            continue;
        }
        lines += 1;
        group(lines, line, &mut resources)?;
    }
    match lines {
        0 => Err(wrong("stdin has no resources".to_owned())),
        _ => Ok(resources),
    }
}

fn group(number: usize, line: &str, resources: &mut Vec<Resource>) -> Result<(), Failure> {
    let object: Value = serde_json::from_str(line).unwrap_or_default();
    if object["event"] == "error" {
        let message = object["message"].as_str().unwrap_or("an error");
        return Err(Failure {
            fault: Fault::Configuration,
            code: "input-error",
            message: format!("line {number} of stdin tells of an error: {message}"),
            hint: object["hint"].as_str().map(str::to_owned),
        });
    }
    let Some(all) = object["resources"].as_array() else {
        return Err(wrong(format!("line {number} of stdin is no group of resources")));
    };
    for one in all {
        let Some(spec) = one["spec"].as_str() else {
            return Err(wrong(format!("line {number} of stdin has a resource without spec")));
        };
        let resource: Resource = spec.parse().map_err(|e: super::spec::ResourceError| {
            Failure::usage(format!("line {number} of stdin: {}", e.what), e.hint)
        })?;
        resources.push(resource);
    }
    Ok(())
}

fn wrong(message: String) -> Failure {
    Failure::usage(message, "as in: ha-conf haresources | run-resource status -")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, (Fault, String)> {
        let specs = |all: Vec<Resource>| all.into_iter().map(|r| r.spec).collect();
        groups(text.as_bytes()).map(specs).map_err(|f| (f.fault, f.message))
    }

    #[test]
    fn groups_in_their_order() {
        let text = "{\"event\":\"group\",\"resources\":[{\"spec\":\"10.0.0.3\",\"class\":\"heartbeat\"},{\"spec\":\"httpd\"}]}\n\n\
                    {\"resources\":[{\"spec\":\"lsb:x\"}]}";
        assert_eq!(read(text), Ok(vec!["10.0.0.3".into(), "httpd".into(), "lsb:x".into()]));
    }

    #[test]
    fn what_is_cut_off_is_not_half_done() {
        let line = "{\"resources\":[{\"spec\":\"a\"}]}\n";
        let most = "\n".repeat(LARGEST as usize - line.len()) + line;
        assert_eq!(read(&most), Ok(vec!["a".into()]));
        assert_eq!(read(&(most + "\n")).map_err(|(fault, _)| fault), Err(Fault::Usage));
    }

    #[test]
    fn what_is_refused() {
        for (text, fault) in [
            ("", Fault::Usage),
            ("\n \n", Fault::Usage),
            ("nonsense", Fault::Usage),
            ("{\"event\":\"ha-cf\"}", Fault::Usage),
            ("{\"resources\":[{\"agent\":\"x\"}]}", Fault::Usage),
            ("{\"resources\":[{\"spec\":\"../x\"}]}", Fault::Usage),
            ("{\"event\":\"error\",\"code\":\"c\",\"message\":\"m\",\"hint\":null}", Fault::Configuration),
        ] {
            assert_eq!(read(text).map_err(|(fault, _)| fault), Err(fault), "{text}");
        }
    }
}
