//! A page in the making: the few macros of man(7) that the pages use, and the escapes that groff and mandoc share.

use super::{DATE, MARK};

/// A manual page.
pub struct Page(String);

impl Page {
    /// A page with its heading. `section` also chooses the words in the middle of the first line.
    pub fn new(name: &str, section: u8) -> Self {
        let volume = match section {
            1 => "User Commands",
            7 => "Miscellaneous Information",
            8 => "System Administration",
            _ => "",
        };
        let version = env!("CARGO_PKG_VERSION");
        let title = escape(&name.to_uppercase());
        Self(format!(".\\\" {MARK}\n.TH {title} {section} {DATE} \"takeover {version}\" \"{volume}\"\n"))
    }

    /// The source of the page.
    pub fn finish(self) -> String {
        self.0
    }

    /// A line that is a macro or holds escapes already.
    pub fn raw(&mut self, line: &str) -> &mut Self {
        self.0.push_str(line);
        self.0.push('\n');
        self
    }

    /// `.SH`
    pub fn section(&mut self, title: &str) -> &mut Self {
        self.raw(&format!(".SH {title}"))
    }

    /// `.SS`
    pub fn subsection(&mut self, title: &str) -> &mut Self {
        self.raw(&format!(".SS {}", escape(title)))
    }

    /// Running text, see [`prose`].
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.filled(&prose(text))
    }

    /// Running text with its escapes already in place.
    pub fn filled(&mut self, text: &str) -> &mut Self {
        self.raw(&fill(text, "\n"))
    }

    /// A new paragraph of running text.
    pub fn paragraph(&mut self, text: &str) -> &mut Self {
        self.raw(".PP").text(text)
    }

    /// A tag, with its escapes already in place, and the text that explains it.
    pub fn item(&mut self, tag: &str, text: &str) -> &mut Self {
        self.raw(".TP").raw(&line(tag)).text(text)
    }

    /// Lines of a terminal, as they are.
    pub fn terminal(&mut self, lines: &str) -> &mut Self {
        self.raw(".RS 4").raw(".EX");
        for l in lines.lines() {
            self.raw(&fill(&escape(l), " \\\n"));
        }
        self.raw(".EE").raw(".RE")
    }

    /// SEE ALSO: pages as `name(section)`, in the order of sections and names, each once.
    pub fn see_also(&mut self, pages: &[&str]) -> &mut Self {
        let mut pages: Vec<(&str, &str)> =
            pages.iter().map(|p| p.split_once('(').map_or(("", *p), |(name, rest)| (rest, name))).collect();
        pages.sort_unstable();
        pages.dedup();
        self.section("SEE ALSO");
        for (n, (rest, name)) in pages.iter().enumerate() {
            let comma = if n + 1 < pages.len() { "," } else { "" };
            self.raw(&format!(".BR {} ({rest}{comma}", escape(name)));
        }
        self
    }
}

/// Bold.
pub fn bold(text: &str) -> String {
    format!("\\fB{}\\fP", escape(text))
}

/// Italic.
pub fn italic(text: &str) -> String {
    format!("\\fI{}\\fP", escape(text))
}

/// Text that shows as it is: hyphens that can be copied, straight quotes, nothing that starts an escape.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            '"' => out.push_str("\\(dq"),
            c if c.is_ascii() => out.push(c),
            c => out.push_str(&format!("\\[u{:04X}]", u32::from(c))),
        }
    }
    out
}

/// Running text: options, references to pages and what stands in backticks become bold.
pub fn prose(text: &str) -> String {
    let mut out = String::new();
    for (n, part) in text.split('`').enumerate() {
        if n % 2 == 1 {
            out.push_str(&bold(part));
            continue;
        }
        for (m, word) in part.split(' ').enumerate() {
            if m > 0 {
                out.push(' ');
            }
            out.push_str(&emphasised(word));
        }
    }
    out
}

fn emphasised(word: &str) -> String {
    let start = word.len() - word.trim_start_matches(['(', '[']).len();
    let (opening, rest) = word.split_at(start);
    let name = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(rest.len());
    let (name, after) = rest.split_at(name);
    let option = name.strip_prefix("--").is_some_and(|n| n.starts_with(|c: char| c.is_ascii_lowercase()));
    let mut after_chars = after.chars();
    let page = !name.is_empty()
        && after_chars.next() == Some('(')
        && after_chars.next().is_some_and(|c| c.is_ascii_digit())
        && after_chars.next() == Some(')');
    if option || page { format!("{}{}{}", escape(opening), bold(name), escape(after)) } else { escape(word) }
}

/// A text line must not start like a macro.
fn line(text: &str) -> String {
    if text.starts_with('.') { format!("\\&{text}") } else { text.to_owned() }
}

/// Breaks text at spaces, so that no line of the source is long; `joint` stands for the space where it breaks.
fn fill(text: &str, joint: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for (n, word) in text.split(' ').enumerate() {
        if n > 0 && width + word.len() >= 76 {
            out.push_str(joint);
            width = 0;
        } else if n > 0 {
            out.push(' ');
            width += 1;
        }
        // A word in the middle of a paragraph can come to stand at the start of a line.
        let word = if width == 0 { line(word) } else { word.to_owned() };
        out.push_str(&word);
        width += word.len();
    }
    out
}
