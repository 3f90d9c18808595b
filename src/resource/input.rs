//! Resources as other commands print them: the groups of `ha-conf haresources`, a JSON object a line.

use std::io::Read;

use serde_json::Value;

use super::spec::Resource;
use crate::cli::{Failure, objects};

const EXAMPLE: &str = "as in: ha-conf haresources | run-resource status -";

/// Reads all resources of all groups, in their order.
///
/// # Errors
/// Those of [`objects::read`], and an object that is no group of resources.
pub fn groups(input: impl Read) -> Result<Vec<Resource>, Failure> {
    let mut resources = Vec::new();
    for (number, object) in objects::read(input, EXAMPLE)? {
        group(number, &object, &mut resources)?;
    }
    Ok(resources)
}

fn group(number: usize, object: &Value, resources: &mut Vec<Resource>) -> Result<(), Failure> {
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
    Failure::usage(message, EXAMPLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Fault;

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
