//! Words of a line, quoted as for a shell: 'one word', "one word", one\ word.

/// The words of a line.
///
/// # Errors
/// A quote without its partner.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            quote @ ('\'' | '"') => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        None => return Err(format!("a {quote} has no partner")),
                        Some(c) if c == quote => break,
                        Some('\\') if quote == '"' => word.extend(chars.next()),
                        Some(c) => word.push(c),
                    }
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    #[test]
    fn words() {
        let split = |text: &str| super::split(text).unwrap();
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split("  a 'b c'd \"e \\\" f\" g\\ h '' "), ["a", "b cd", "e \" f", "g h", ""]);
        assert_eq!(split("'a\\b' c\\"), ["a\\b", "c"]);
        assert!(super::split("'a").is_err() && super::split("a\"").is_err());
    }
}
