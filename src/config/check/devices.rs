//! What runs as root because a fencing device of ha.cf names it: the program, and the file of its parameters.

use std::path::Path;

use super::super::ha_cf::HaCf;
use super::super::{ConfigError, Problem, trust};
use super::error;

/// Programs and files that others could have written, or that are none. One that is not here is nobody's: the device may be
/// another node's, and ha-fence says what it cannot ask.
pub fn problems(file: &Path, ha_cf: &HaCf) -> Vec<Problem> {
    let mut found = Vec::new();
    for device in &ha_cf.stonith {
        let program = device.kind.starts_with('/').then_some(("program", &device.kind));
        let parameters = device.parameters.first().filter(|_| device.host.is_none()).map(|path| ("file", path));
        for (what, path) in program.into_iter().chain(parameters) {
            let (why, mend) = match trust::check_trusted(Path::new(path)) {
                Err(ConfigError::Untrusted(why)) => (format!("is not to be trusted: {}", why.what()), why.mend()),
                Err(ConfigError::NotAFile(_)) => ("is no ordinary file".to_owned(), "name a file".to_owned()),
                _ => continue,
            };
            let line = ha_cf.line_of(if device.host.is_some() { "stonith_host" } else { "stonith" }).unwrap_or(1);
            found.push(error(file, line, format!("the {what} {path} of a fencing device {why}"), mend));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::ha_cf;

    #[test]
    fn whatever_others_could_have_written_is_named() {
        let dir = std::env::temp_dir().join(format!("takeover-devices-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        let write = |name: &str, mode: u32| {
            let file = dir.join(name);
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            file.display().to_string()
        };
        let (good, bad) = (write("good", 0o755), write("bad", 0o777));
        let text = format!(
            "stonith_host * {good} secret\nstonith_host * {bad} secret\nstonith {good} {good}\nstonith fence_x {bad}\n\
             stonith_host ha1 fence_x ip={bad}\nstonith_host * /nowhere/x y\nstonith fence_x /nowhere\nstonith {good} /tmp\n"
        );
        let problems = problems(Path::new("ha.cf"), &ha_cf::parse(Path::new("ha.cf"), &text).content);
        let told: Vec<&str> = problems.iter().map(|p| p.what.as_str()).collect();
        let others = "of a fencing device is not to be trusted: it can be written by others (owner";
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].starts_with(&format!("the program {bad} {others}")), "{told:?}");
        assert!(told[1].starts_with(&format!("the file {bad} {others}")), "{told:?}");
        assert_eq!(told[2], "the file /tmp of a fencing device is no ordinary file");
        assert_eq!(problems.iter().map(|p| p.line.unwrap()).collect::<Vec<_>>(), [6, 8, 8]);
        assert_eq!(problems[0].hint, format!("chmod go-w {bad}"));
        fs::remove_dir_all(&dir).unwrap();
    }
}
