//! What the command line prints: JSON for programs, tables for people. Texts of others are cleaned on the way.

pub(super) use crate::clock::age;
use anyhow::Result;
use porchlight_rpc::Client;
use porchlight_wire::name::is_direction_mark;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns assumed where the width is not known.
const USUAL_WIDTH: usize = 100;

/// The least a shrinking column keeps.
const LEAST_COLUMN: usize = 12;

/// Columns without which no words are broken.
const LEAST_WIDTH: usize = 20;

/// Modules of light around a QR code, as its standard wants them.
const QUIET_ZONE: usize = 4;

/// How to print, and for which home.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) json: bool,
    pub(super) home: PathBuf,
    colour: bool,
    terminal: bool,
    /// Whether it is a terminal that lines can be drawn over.
    pub(super) draws: bool,
}

impl Output {
    pub(super) fn new(json: bool, home: PathBuf) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let draws = terminal && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb");
        Self {
            json,
            home,
            colour: draws && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            terminal,
            draws,
        }
    }

    /// A connection to the home's node.
    pub(super) async fn client(&self) -> Result<Client> {
        Ok(Client::connect(&crate::home::socket(&self.home)).await?)
    }

    /// The command line that does something with this home.
    pub(super) fn command(&self, rest: &str) -> String {
        command_at(&self.home, rest)
    }

    /// A text of ours for people, in which commands are for this home.
    pub(super) fn advice(&self, text: &str) -> String {
        commands_in(&clean(text), &self.home)
    }

    /// Prints an object as JSON, in one line.
    pub(super) fn object(&self, object: &impl Serialize) -> Result<()> {
        self.line(&escaped(serde_json::to_string(object)?))
    }

    /// Prints an object as JSON for people.
    pub(super) fn pretty(&self, object: &impl Serialize) -> Result<()> {
        self.line(&escaped(serde_json::to_string_pretty(object)?))
    }

    /// Prints words, broken between them where the terminal ends, with further lines indented as the first. What stands in
    /// columns stays.
    pub(super) fn words(&self, text: &str) -> Result<()> {
        if visible_width(text) <= self.words_width() || text.trim_start().contains("  ") {
            return self.line(text);
        }
        let indent = text.len() - text.trim_start_matches(' ').len();
        self.wrapped(&" ".repeat(indent), text)
    }

    /// Prints a line as it is.
    #[expect(clippy::unused_self, reason = "all printing goes through the output")]
    pub(super) fn line(&self, line: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()?;
        Ok(())
    }

    /// Prints a text after a label, broken between words where the terminal ends, with further lines indented as far.
    pub(super) fn wrapped(&self, label: &str, text: &str) -> Result<()> {
        for line in wrapped(label, text, self.words_width()) {
            self.line(&line)?;
        }
        Ok(())
    }

    /// Prints a table. The last column is cut where the terminal ends; on one that is too narrow even so, each row is
    /// printed as a block of lines.
    pub(super) fn table(&self, head: &[&str], rows: &[Vec<String>]) -> Result<()> {
        for line in self.table_lines(head, rows) {
            self.line(&line)?;
        }
        Ok(())
    }

    /// The lines of a table.
    pub(super) fn table_lines(&self, head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
        let (head, rows) = without_empty(head, rows);
        table(&head, &rows, self.width()).unwrap_or_else(|| blocks(&head, &rows))
    }

    /// A status word in its colour, which never says more than the word.
    pub(super) fn status(&self, word: &str, text: &str) -> String {
        let code = match word {
            "open" => "32",
            "away" => "33",
            "busy" => "35",
            "closed" => "90",
            _ => "31",
        };
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// A QR code, two modules to a character, or why there is none. On a terminal it brings its own colours, because
    /// cameras want dark on light whatever the terminal's theme; elsewhere it is drawn for a dark background. None where
    /// nobody can point a camera at it, unless it is `wanted`.
    pub(super) fn qr(&self, code: &QrCode, wanted: Option<bool>) -> Option<String> {
        let (needed, width) = (code.width() + 2 * QUIET_ZONE, self.width());
        if !wanted.unwrap_or(self.draws) {
            return None;
        }
        if needed > width && wanted.is_none() {
            return Some(format!(
                "(there is a QR code of {needed} columns, and this terminal has {width}: make it wider, or the text smaller)"
            ));
        }
        Some(self.draw(code))
    }

    fn draw(&self, code: &QrCode) -> String {
        let (dark, light) = if self.colour {
            (Dense1x2::Dark, Dense1x2::Light)
        } else {
            (Dense1x2::Light, Dense1x2::Dark)
        };
        let drawn = code
            .render::<Dense1x2>()
            .dark_color(dark)
            .light_color(light)
            .quiet_zone(true)
            .build();
        if !self.colour {
            return drawn;
        }
        let lines: Vec<String> = drawn
            .lines()
            .map(|line| format!("\u{1b}[30;107m{line}\u{1b}[0m"))
            .collect();
        lines.join("\n")
    }

    /// Draws lines over what was drawn before, in one go and without clearing the screen first, so that nothing flickers.
    /// What is below the terminal's last row is left out, and said to be.
    #[expect(clippy::unused_self, reason = "all printing goes through the output")]
    pub(super) fn draw_over(&self, lines: &[String], first: bool) -> Result<()> {
        let height = terminal_size::terminal_size().map_or(usize::MAX, |(_, height)| height.0.into());
        let mut out = std::io::stdout().lock();
        out.write_all(frame(lines, height, first).as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Within how many columns words are broken. Where there are next to none, rows are wanted as lines, and not the words.
    fn words_width(&self) -> usize {
        match self.width() {
            0..LEAST_WIDTH => usize::MAX,
            width => width,
        }
    }

    fn width(&self) -> usize {
        if !self.terminal {
            return usize::MAX;
        }
        let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        said.or_else(|| terminal_size::terminal_size().map(|(width, _)| width.0.into()))
            .unwrap_or(USUAL_WIDTH)
    }
}

/// The command line that does something with a home.
fn command_at(home: &Path, rest: &str) -> String {
    if home == crate::config::default_home() {
        return format!("porchlight {rest}");
    }
    let home = home.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !home.is_empty() && home.chars().all(is_plain) {
        format!("porchlight --home {home} {rest}")
    } else {
        format!("porchlight --home '{}' {rest}", home.replace('\'', "'\\''"))
    }
}

/// A text in which commands (`porchlight ...`) are for this home.
pub(super) fn commands_in(text: &str, home: &Path) -> String {
    text.replace("`porchlight ", &format!("`{}", command_at(home, "")))
}

/// Leaves out columns in which no row has anything.
fn without_empty<'a>(head: &[&'a str], rows: &[Vec<String>]) -> (Vec<&'a str>, Vec<Vec<String>>) {
    let filled = |column: &usize| {
        rows.iter()
            .any(|row| row.get(*column).is_some_and(|cell| !cell.is_empty()))
    };
    let columns: Vec<usize> = (0..head.len()).filter(filled).collect();
    let head = columns.iter().filter_map(|column| head.get(*column).copied()).collect();
    let rows = rows
        .iter()
        .map(|row| columns.iter().filter_map(|column| row.get(*column).cloned()).collect())
        .collect();
    (head, rows)
}

/// The lines of a table with aligned columns; none if it does not fit.
fn table(head: &[&str], rows: &[Vec<String>], width: usize) -> Option<Vec<String>> {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let mut widths: Vec<usize> = (0..head.len())
        .map(|column| {
            all.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| visible_width(cell))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let taken: usize = widths.iter().rev().skip(1).map(|width| width + 2).sum();
    if let Some(last) = widths.last_mut() {
        if taken + (*last).min(LEAST_COLUMN) > width {
            return None;
        }
        *last = (*last).min(width.saturating_sub(taken));
    }
    let lines = all
        .iter()
        .map(|row| {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let cell = cut(cell, *width);
                let pad = width.saturating_sub(visible_width(&cell)) + 2;
                line.push_str(&cell);
                line.extend(std::iter::repeat_n(' ', pad));
            }
            line.trim_end().to_owned()
        })
        .collect();
    Some(lines)
}

/// Each row as a block: the first cell, and below it the others with their headings, where there is something to say.
fn blocks(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        lines.extend(row.first().cloned());
        for (heading, cell) in head.iter().zip(row).skip(1) {
            if !matches!(cell.as_str(), "" | "-") {
                lines.push(format!("  {}: {cell}", heading.to_lowercase()));
            }
        }
    }
    lines
}

/// The lines of a text after a label. Where the label leaves too little room, the text begins below it.
fn wrapped(label: &str, text: &str, width: usize) -> Vec<String> {
    let narrow = !label.trim().is_empty() && width.saturating_sub(label.width()) < 2 * LEAST_COLUMN;
    let indent = " ".repeat(if narrow { 2 } else { label.width() });
    let mut lines = Vec::new();
    let mut line = label.to_owned();
    if narrow {
        lines.push(label.trim_end().to_owned());
        line = indent.clone();
    }
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && visible_width(&line) + 1 + visible_width(word) > width {
            lines.push(std::mem::replace(&mut line, indent.clone()));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line);
    lines
}

/// The width of a cell without its colour.
fn visible_width(cell: &str) -> usize {
    let mut width = 0;
    let mut rest = cell;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        width += before.width();
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    width + rest.width()
}

/// As much of a text as fits, with a mark where it was cut: never within what is drawn as one, such as an emoji of several
/// parts. Coloured cells are never the last and never cut.
fn cut(text: &str, width: usize) -> String {
    if visible_width(text) <= width {
        return text.to_owned();
    }
    let mut kept = "";
    let mut before = None;
    for (at, c) in text.char_indices() {
        let so_far = text.get(..at).unwrap_or_default();
        let whole = before != Some(JOINER) && c.width() != Some(0) && !SKIN_TONES.contains(&c);
        before = Some(c);
        if !whole {
            continue;
        }
        if so_far.width() >= width {
            break;
        }
        kept = so_far;
    }
    format!("{kept}…")
}

/// Joins the emoji on either side into one, and letters of some scripts.
const JOINER: char = '\u{200d}';

/// Keeps letters of some scripts apart.
const NON_JOINER: char = '\u{200c}';

/// They colour the emoji before them.
const SKIN_TONES: RangeInclusive<char> = '\u{1f3fb}'..='\u{1f3ff}';

/// A text of someone else, in one line: without what would steer a terminal or turn the direction of reading.
pub(super) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let drawn = |c: char| !c.is_ascii() && !c.is_whitespace() && c.width().is_some_and(|width| width > 0);
    for (at, c) in text.char_indices() {
        let next = || text.get(at + c.len_utf8()..)?.chars().next();
        // What is before may be an emoji with a mark for how it is drawn, which has no width of its own.
        let joins = || cleaned.ends_with(|before: char| !before.is_ascii()) && next().is_some_and(drawn);
        match c {
            JOINER | NON_JOINER if joins() => cleaned.push(c),
            _ if is_direction_mark(c) => {}
            _ if is_unprintable(c) => cleaned.push(' '),
            _ => cleaned.push(c),
        }
    }
    cleaned
}

/// What a terminal does not print but obeys, and what ends a line.
fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// JSON with nothing in it that would steer a terminal or turn the direction of reading: it stands escaped in the same
/// texts. Between them there is no such character but the ends of lines.
fn escaped(json: String) -> String {
    let steers = |c: char| c != '\n' && (is_unprintable(c) || is_direction_mark(c));
    if !json.contains(steers) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// What draws lines over those before: from the top left, each to its end, and nothing below.
fn frame(lines: &[String], height: usize, first: bool) -> String {
    let room = height.saturating_sub(1).max(1);
    let mut frame = if first { "\u{1b}[2J\u{1b}[H" } else { "\u{1b}[H" }.to_owned();
    let shown = if lines.len() > room { room - 1 } else { lines.len() };
    for line in lines.iter().take(shown) {
        frame.push_str(line);
        frame.push_str("\u{1b}[K\n");
    }
    if shown < lines.len() {
        frame.push_str(&format!("… and {} lines more\u{1b}[K\n", lines.len() - shown));
    }
    frame.push_str("\u{1b}[J");
    frame
}

/// A duration that is still to come, to the nearest of what people say: seven days less a moment are `7 d`.
pub(super) fn left(ms: u64) -> String {
    let half = match ms / 1_000 {
        0..120 => 500,
        120..7_200 => 30_000,
        7_200..172_800 => 1_800_000,
        _ => 43_200_000,
    };
    age(ms.saturating_add(half))
}

/// How long from now until a time of the API; none if it is over.
pub(super) fn until(at: &str) -> Option<u64> {
    let at = humantime::parse_rfc3339(at).ok()?;
    let left = at.duration_since(std::time::SystemTime::now()).ok()?;
    Some(crate::clock::millis(left))
}

/// How long ago a time of the API was.
pub(super) fn since(at: &str) -> Option<u64> {
    let at = humantime::parse_rfc3339(at).ok()?;
    let passed = std::time::SystemTime::now().duration_since(at).unwrap_or_default();
    Some(crate::clock::millis(passed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_stays_aligned_and_within_its_width() {
        let rows = vec![
            vec![
                "安安".to_owned(),
                "\u{1b}[32mopen\u{1b}[0m".to_owned(),
                "a note that is long".to_owned(),
            ],
            vec!["bob".to_owned(), "unknown".to_owned(), String::new()],
        ];
        let lines = table(&["NAME", "STATUS", "NOTE"], &rows, 30).unwrap();
        assert_eq!(lines[0], "NAME  STATUS   NOTE");
        assert_eq!(lines[1], "安安  \u{1b}[32mopen\u{1b}[0m     a note that is…");
        assert_eq!(lines[2], "bob   unknown");
        assert!(lines.iter().all(|line| visible_width(line) <= 30));
    }

    #[test]
    fn advice_is_for_the_home_it_is_given_for() {
        let advice = "`porchlight status` shows it, `porchlight stop` ends it";
        assert_eq!(
            commands_in(advice, Path::new("/tmp/alice")),
            "`porchlight --home /tmp/alice status` shows it, `porchlight --home /tmp/alice stop` ends it"
        );
        assert_eq!(commands_in(advice, &crate::config::default_home()), advice);
        let odd = commands_in("`porchlight stop`", Path::new("it's a home"));
        assert_eq!(odd, r"`porchlight --home 'it'\''s a home' stop`");
    }

    #[test]
    fn a_table_that_does_not_fit_becomes_blocks() {
        let head = ["NAME", "STATUS", "NOTE"];
        let rows = vec![
            vec!["bob".to_owned(), "unknown (no record)".to_owned(), String::new()],
            vec!["carol".to_owned(), "open".to_owned(), "a note that is long".to_owned()],
        ];
        assert_eq!(table(&head, &rows, 34), None);
        let lines = blocks(&head, &rows);
        assert_eq!(
            lines,
            [
                "bob",
                "  status: unknown (no record)",
                "carol",
                "  status: open",
                "  note: a note that is long"
            ]
        );
    }

    #[test]
    fn a_text_after_a_label_is_broken_between_words() {
        let text = "nobody listens there, and nothing came";
        assert_eq!(
            wrapped("dial  ", text, 34),
            ["dial  nobody listens there, and", "      nothing came"]
        );
        assert_eq!(
            wrapped("dial  ", text, 24),
            ["dial", "  nobody listens there,", "  and nothing came"]
        );
        assert_eq!(wrapped("dial  ", text, usize::MAX).len(), 1);
    }

    #[test]
    fn what_is_to_come_is_rounded() {
        let shown: Vec<String> = [604_799_000, 89_700, 7_190_000].into_iter().map(left).collect();
        assert_eq!(shown, ["7 d", "90 s", "2 h"]);
    }

    #[test]
    fn texts_of_others_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\u{202e}d\u{9b}31me\u{2028}f"), "a [2Jb cd 31me f");
        let json = escaped(serde_json::to_string(&["a\u{9b}\u{202e}b\u{7f}"]).unwrap());
        assert_eq!(json, r#"["a\u009b\u202eb\u007f"]"#);
        let read: Vec<String> = serde_json::from_str(&json).unwrap();
        assert_eq!(read, ["a\u{9b}\u{202e}b\u{7f}"]);
    }

    #[test]
    fn an_emoji_of_several_parts_stays_one_and_is_counted_as_one() {
        let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
        assert_eq!(clean(family), family);
        let heart = "\u{2764}\u{fe0f}\u{200d}\u{1f525}";
        assert_eq!(clean(heart), heart);
        assert_eq!(
            clean("pay\u{200d}pal\u{200d}"),
            "paypal",
            "nothing hides between letters"
        );
        let rows = vec![
            vec![family.to_owned(), "open".to_owned()],
            vec!["bob".to_owned(), "busy".to_owned()],
        ];
        let lines = table(&["NAME", "STATUS"], &rows, 80).unwrap();
        assert_eq!(lines[1], format!("{family}    open"), "it takes two columns");
        assert_eq!(lines[2], "bob   busy");
        assert_eq!(cut(&format!("a{family}{family}"), 4), format!("a{family}…"));
        assert_eq!(cut("\u{1f44d}\u{1f3fd}\u{1f44d}\u{1f3fd}", 3), "\u{1f44d}\u{1f3fd}…");
    }

    #[test]
    fn a_frame_is_drawn_over_the_one_before_and_no_longer_than_the_terminal() {
        let lines: Vec<String> = ["one", "two", "three", "four"].map(str::to_owned).into();
        assert_eq!(
            frame(&lines[..2], 24, false),
            "\u{1b}[Hone\u{1b}[K\ntwo\u{1b}[K\n\u{1b}[J"
        );
        let narrow = frame(&lines, 4, false);
        assert!(narrow.contains("two") && !narrow.contains("three"), "{narrow:?}");
        assert!(narrow.contains("… and 2 lines more"), "{narrow:?}");
        assert_eq!(narrow.matches('\n').count(), 3);
    }

    #[test]
    fn ages_read_well() {
        let read: Vec<String> = [0, 999, 1_000, 119_000, 120_000, 7_200_000, 172_800_000]
            .into_iter()
            .map(age)
            .collect();
        assert_eq!(read, ["now", "now", "1 s", "119 s", "2 min", "2 h", "2 d"]);
    }
}
