//! What an event looks like in each channel: escaped so that no text means anything to the service, and cut to what
//! the service takes.

use serde_json::{Value, json};

use super::channel::Channel;
use super::event::{Event, EventKind};

/// Said of a message that may have been shown before.
const REPEAT: &str = "(possibly a repeat: the first message wasn't answered)";

/// The message in the service's JSON.
pub(super) fn payload(channel: Channel, event: &Event, is_repeat: bool) -> Value {
    match channel {
        Channel::Slack => slack(event, is_repeat),
        Channel::Discord => discord(event, is_repeat),
    }
}

fn headline(event: &Event, is_repeat: bool) -> String {
    let repeat = if is_repeat { format!(" {REPEAT}") } else { String::new() };
    format!("{}: {}{repeat}: {}", event.environment, event.kind.words(), event.headline)
}

/// What stands beside the text: name and value.
fn facts(event: &Event) -> [(&'static str, &str); 3] {
    [("Environment", &event.environment), ("Host", &event.host), ("What", &event.what)]
}

// ---- Slack ----

/// Limits of Slack's blocks, characters: header, section, field. The fallback's is 40,000, and 4,000 are advised.
const HEADER: usize = 150;
const SECTION: usize = 3_000;
const SLACK_FIELD: usize = 2_000;
const FALLBACK: usize = 3_000;

fn slack(event: &Event, is_repeat: bool) -> Value {
    let line = one_line(&headline(event, is_repeat));
    let text = |text: &str, most: usize| json!({ "type": "mrkdwn", "text": fit(text, most, entity), "verbatim": true });
    let fields: Vec<Value> =
        facts(event).iter().map(|(name, value)| text(&format!("{name}: {}", shown(value)), SLACK_FIELD)).collect();
    let title = json!({ "type": "plain_text", "text": fit(&line, HEADER, entity), "emoji": false });
    let mut blocks = vec![json!({ "type": "header", "text": title }), json!({ "type": "section", "fields": fields })];
    let details = lines(event);
    if !details.is_empty() {
        blocks.push(json!({ "type": "section", "text": text(&details, SECTION) }));
    }
    blocks.push(json!({ "type": "context", "elements": [text(&event.at.to_string(), SLACK_FIELD)] }));
    json!({ "text": fit(&line, FALLBACK, entity), "blocks": blocks })
}

/// Without `<` nothing is a link or a mention.
fn entity(c: char, to: &mut String) {
    match c {
        '&' => to.push_str("&amp;"),
        '<' => to.push_str("&lt;"),
        '>' => to.push_str("&gt;"),
        c => to.push(c),
    }
}

// ---- Discord ----

/// Limits of Discord, characters: content, description and value of an embed; 6,000 in all embeds of a message.
const CONTENT: usize = 2_000;
const DESCRIPTION: usize = 4_000;
const VALUE: usize = 500;

fn discord(event: &Event, is_repeat: bool) -> Value {
    let fields: Vec<Value> = facts(event)
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": fit(&shown(value), VALUE, backslash), "inline": true }))
        .collect();
    let mut embed = json!({ "color": color(event.kind), "fields": fields, "timestamp": event.at.to_string() });
    let details = lines(event);
    if !details.is_empty() {
        embed["description"] = fit(&details, DESCRIPTION, backslash).into();
    }
    json!({
        "content": fit(&one_line(&headline(event, is_repeat)), CONTENT, backslash),
        "embeds": [embed],
        // Nobody is called, whatever the text says.
        "allowed_mentions": { "parse": [] },
    })
}

/// Markdown's signs lose their meaning, and nothing after an `@` is a name.
fn backslash(c: char, to: &mut String) {
    if r"\*_~`|<>#[]()-@".contains(c) {
        to.push('\\');
    }
    to.push(c);
    if c == '@' {
        to.push('\u{200b}');
    }
}

fn color(kind: EventKind) -> u32 {
    match kind {
        EventKind::Started | EventKind::Test => 0x34_98_db,
        EventKind::Succeeded => 0x2e_cc_71,
        EventKind::RolledBack => 0xf1_c4_0f,
        EventKind::Failed | EventKind::Unhealthy | EventKind::UnitFailed => 0xe7_4c_3c,
    }
}

// ---- both ----

/// The details, a line each.
fn lines(event: &Event) -> String {
    let lines: Vec<String> = event.details.iter().map(|line| one_line(line)).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

/// A value that is never blank, which the services refuse.
fn shown(value: &str) -> String {
    Some(one_line(value)).filter(|value| !value.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// One line, without what isn't seen or turns the text around.
fn one_line(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c });
    visible.collect::<String>().trim().to_owned()
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}')
}

/// The text, escaped, in at most so many UTF-16 units, of which every service counts no more. An escape stays whole.
fn fit(text: &str, most: usize, escape: fn(char, &mut String)) -> String {
    let escaped = |c: char| {
        let mut piece = String::new();
        escape(c, &mut piece);
        piece
    };
    let pieces: Vec<String> = text.chars().map(escaped).collect();
    let units = |piece: &String| piece.encode_utf16().count();
    if pieces.iter().map(units).sum::<usize>() <= most {
        return pieces.concat();
    }
    // One unit is the ellipsis.
    let mut left = most.saturating_sub(1);
    let fits = move |piece: &&String| {
        let used = units(piece);
        let fits = used <= left;
        left = left.saturating_sub(used);
        fits
    };
    pieces.iter().take_while(fits).map(String::as_str).collect::<String>() + "…"
}
