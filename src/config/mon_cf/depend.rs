//! On what a service depends: `SELF:ping && (routers:snmp || !lab:power)`. The part of Perl's grammar that is logic.

use std::fmt;

/// A service by its group and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The watch that it stands in.
    pub group: String,
    /// Its own name.
    pub service: String,
}

impl Name {
    /// As the target of a check.
    pub fn target(&self) -> String {
        format!("{} {}", self.group, self.service)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}", self.group, self.service)
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A service does not fail.
    Service(Name),
    /// 0 or 1.
    Constant(bool),
    /// Not.
    Not(Box<Expression>),
    /// Both.
    And(Box<Expression>, Box<Expression>),
    /// One of them.
    Or(Box<Expression>, Box<Expression>),
}

impl Expression {
    /// Its value, where each service has the one that it is given.
    pub fn holds(&self, of: &mut impl FnMut(&Name) -> bool) -> bool {
        match self {
            Self::Service(name) => of(name),
            Self::Constant(value) => *value,
            Self::Not(one) => !one.holds(of),
            Self::And(one, other) => one.holds(of) && other.holds(of),
            Self::Or(one, other) => one.holds(of) || other.holds(of),
        }
    }

    /// All services in it.
    pub fn services(&self) -> Vec<&Name> {
        match self {
            Self::Service(name) => vec![name],
            Self::Constant(_) => Vec::new(),
            Self::Not(one) => one.services(),
            Self::And(one, other) | Self::Or(one, other) => [one.services(), other.services()].concat(),
        }
    }
}

/// Words longer than a person writes.
const MOST_TOKENS: usize = 500;
/// Parentheses and negations in each other.
const DEEPEST: usize = 50;

/// Reads an expression; `group` is what SELF stands for.
///
/// # Errors
/// Words for whoever wrote it.
pub fn parse(text: &str, group: &str) -> Result<Expression, String> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, group, depth: 0 };
    let expression = reader.any()?;
    match reader.tokens.first() {
        None => Ok(expression),
        Some(token) => Err(format!("'{token}' stands where && or || should")),
    }
}

/// Only the services, in whatever they stand: a list of them will do.
///
/// # Errors
/// Words for whoever wrote it.
pub fn names(text: &str, group: &str) -> Result<Vec<Name>, String> {
    let mut names = Vec::new();
    for token in tokens(text)?.into_iter().filter(|t| t.contains(':')) {
        let name = name(token, group)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { Err("it names no GROUP:SERVICE".to_owned()) } else { Ok(names) }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.:-".contains(c)
}

fn tokens(text: &str) -> Result<Vec<&str>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' | ',' => 1,
            '!' if !rest.starts_with("!=") => 1,
            '&' | '|' if rest.starts_with("&&") || rest.starts_with("||") => 2,
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            other => {
                return Err(format!("'{other}' is no part of a dependency: write GROUP:SERVICE, &&, ||, ! and ( )"));
            }
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
        if tokens.len() > MOST_TOKENS {
            return Err(format!("it has more than {MOST_TOKENS} words"));
        }
    }
    Ok(tokens)
}

fn name(token: &str, group: &str) -> Result<Name, String> {
    match token.split_once(':') {
        Some((of, service)) if !of.is_empty() && !service.is_empty() && !service.contains(':') => {
            let of = if of == "SELF" { group } else { of };
            Ok(Name { group: of.to_owned(), service: service.to_owned() })
        }
        _ => Err(format!("'{token}' is no GROUP:SERVICE")),
    }
}

struct Reader<'a> {
    tokens: &'a [&'a str],
    group: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn take(&mut self, words: &[&str]) -> bool {
        match self.tokens.split_first() {
            Some((first, rest)) if words.contains(first) => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    fn any(&mut self) -> Result<Expression, String> {
        let mut all = self.all()?;
        while self.take(&["||", "or"]) {
            all = Expression::Or(Box::new(all), Box::new(self.all()?));
        }
        Ok(all)
    }

    fn all(&mut self) -> Result<Expression, String> {
        let mut one = self.one()?;
        while self.take(&["&&", "and"]) {
            one = Expression::And(Box::new(one), Box::new(self.one()?));
        }
        Ok(one)
    }

    fn one(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("it is nested more than {DEEPEST} times"));
        }
        let one = if self.take(&["!", "not"]) {
            Expression::Not(Box::new(self.one()?))
        } else if self.take(&["("]) {
            let inner = self.any()?;
            if !self.take(&[")"]) {
                return Err("a parenthesis is not closed".to_owned());
            }
            inner
        } else if self.take(&["1"]) {
            Expression::Constant(true)
        } else if self.take(&["0"]) {
            Expression::Constant(false)
        } else {
            let (token, rest) = self.tokens.split_first().ok_or("it ends where a GROUP:SERVICE should stand")?;
            self.tokens = rest;
            Expression::Service(name(token, self.group)?)
        };
        self.depth -= 1;
        Ok(one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn expressions() {
        let holds = |text: &str, up: &[&str]| {
            parse(text, "web").unwrap().holds(&mut |name| up.contains(&name.to_string().as_str()))
        };
        assert!(holds("SELF:ping", &["web:ping"]) && !holds("SELF:ping", &[]));
        assert!(holds("a:b && c-d.e:f_g", &["a:b", "c-d.e:f_g"]) && !holds("a:b && c:d", &["a:b"]));
        assert!(holds("a:b || c:d && e:f", &["a:b"]) && !holds("(a:b || c:d) && e:f", &["a:b"]));
        assert!(holds("not a:b and !c:d or 0", &[]) && holds("1", &[]) && !holds("!1", &[]));
        assert_eq!(parse("a:b && SELF:c", "g").unwrap().services().len(), 2);
        assert_eq!(names("SELF:a, b:c SELF:a", "g").unwrap().len(), 2);
        for bad in
            ["", "a", "a:", ":b", "a:b:c", "a:b c:d", "(a:b", "a:b)", "a:b &&", "a:b & c:d", "a:b != 0", "$x", "`id`"]
        {
            assert!(parse(bad, "g").is_err(), "{bad}");
        }
        assert!(parse(&"(".repeat(100_000), "g").is_err() && parse(&"!".repeat(400), "g").is_err());
        assert!(names("a && b", "g").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-cä:!&|() 01]{0,40}") {
            let _ = parse(&text, "g");
            let _ = names(&text, "g");
        }
    }
}
