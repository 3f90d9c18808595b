//! ha-events(7), from the vocabulary.

use takeover::cli::vocabulary::{self, COMMON};

use super::man::upper_first;
use super::roff::{Page, bold, italic, prose};

/// The whole page.
pub fn page() -> String {
    let mut page = Page::new("ha-events", 7);
    page.section("NAME").raw("ha\\-events \\- the events that the takeover commands print");
    page.section("DESCRIPTION")
        .text(
            "Every command of takeover(7) prints its results as JSON Lines on standard output: one object a line, flushed \
             with each line. An event is one such object.",
        )
        .paragraph(
            "A field has one type and one meaning, whatever event carries it, and may be null in any of them: null says \
             that the value is not known. A field of an event is always there. Later versions add events and fields and \
             rename none; programs skip what they do not know.",
        )
        .paragraph(
            "Times in fields that end in `_ms` are milliseconds, in `_s` seconds. A change of state carries `was`, `is` \
             and `cause`, the reason in words that a person can act on.",
        );
    common(&mut page);
    columns(&mut page);
    page.section("EVENTS")
        .text("Every event with the commands that print it, and the fields it has beside the common ones.");
    for event in vocabulary::events() {
        let tools = if event.tools.is_empty() { "every command".to_owned() } else { event.tools.join(", ") };
        let fields: Vec<String> = event.fields.iter().map(|f| italic(f)).collect();
        page.raw(".TP").raw(&format!("{} ({})", bold(event.name), prose(&tools))).text(event.doc);
        page.raw(".br").filled(&fields.join(", "));
    }
    page.section("FIELDS").text("Every field with its type, in the order of the alphabet.");
    let mut fields: Vec<_> = vocabulary::all_fields().collect();
    fields.sort_by_key(|f| f.name);
    for field in fields {
        page.item(
            &format!("{} ({})", bold(field.name), prose(field.kind.name())),
            &format!("{}.", upper_first(field.doc)),
        );
    }
    page.section("EXAMPLES")
        .text("An event:")
        .terminal(
            r#"{"at":"2026-11-21T01:20:30.123456Z","tool":"vip-drop","event":"dropped",
"address":"192.0.2.10","prefix":24,"dev":"eth0","changed":true,
"dry_run":false,"cause":"as asked"}"#,
        )
        .raw(".PP")
        .text("(On one line in truth.) The same in a shell, which needs no program to take JSON apart:")
        .terminal(
            "tab=$(printf '\\t')\n\
             vip-drop 192.0.2.10 --dev eth0 --fields event,changed |\n\
             while IFS=\"$tab\" read -r event changed; do\n\
             \x20   [ \"$event\" = dropped ] && echo \"changed: $changed\"\n\
             done",
        );
    page.see_also(&["ha-event(1)", "takeover(7)"]);
    page.finish()
}

fn common(page: &mut Page) {
    page.section("COMMON FIELDS").text("Every event has the first three, in this order, before its own.");
    for field in COMMON {
        page.item(&format!("{} ({})", bold(field.name), field.kind.name()), &format!("{}.", upper_first(field.doc)));
    }
}

fn columns(page: &mut Page) {
    page.section("COLUMNS").text(
        "With --fields a line holds the named fields only, separated by tabs; `a.b` reaches inside an object. No column is ever \
         empty, as shells run empty columns together:",
    );
    for (what, how) in [
        ("-", "Null, or a field that this event does not have."),
        ("\\e", "The empty string."),
        ("\\-", "A string that is one hyphen."),
        ("\\t \\n \\r \\\\", "A tab, a newline, a carriage return, a backslash within a string."),
        ("\\xHH", "Another control character, by its number in hexadecimal."),
        ("a,b", "A list."),
    ] {
        page.item(&bold(what), how);
    }
    page.paragraph("A name that no event has is refused with status 64: a mistyped one would print a hyphen for ever.");
}
