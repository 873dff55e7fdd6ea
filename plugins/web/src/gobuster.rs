//! gobuster's text (`dir` and `vhost`, 2.x and 3.x): a line per answer.
//!
//! `/admin (Status: 401) [Size: 22]`, with `[--> ADDRESS]` behind it for a redirect. The report does not
//! name the target, unless it is the terminal's text with its banner (`[+] Url: …`) or was made with `-e`.
//! Shape: <https://github.com/OJ/gobuster>, `gobusterdir/result.go`.

use tamiz_sdk::model::LogLevel;
use tamiz_sdk::report::{Format, Head, Recognition, Session, Shape, Source, Stop, TextLine, lines};

use crate::discovery::{self, Hit};
use crate::place;

const TOOL: &str = "gobuster";

/// What stands in front of the status.
const STATUS: &str = "(Status: ";

pub(crate) struct Gobuster;

impl Format for Gobuster {
    fn name(&self) -> &'static str {
        "gobuster-text"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["gobuster"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let is_text = head.shape() == Shape::Text;
        let named = head.lines().any(|line| line.starts_with("Gobuster v"));
        (is_text && (named || head.lines().any(|line| parse(line.trim_end()).is_some()))).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let mut base = String::new();
        lines(source, session, |session, line| entry(session, line, &mut base))?;
        if session.records() == before {
            return Err(discovery::refuse_silence(TOOL));
        }
        Ok(())
    }
}

fn entry(session: &mut Session<'_>, line: TextLine<'_>, base: &mut String) -> Result<(), Stop> {
    let text = line.text();
    // The terminal's text has progress in front of a result, with carriage returns between them.
    let text = text.rsplit('\r').next().unwrap_or_default().trim();
    if let Some(version) = text.strip_prefix("Gobuster v") {
        session.tool_is(TOOL, version.split_whitespace().next());
        return Ok(());
    }
    if let Some(url) = text.strip_prefix("[+] Url:") {
        url.trim().clone_into(base);
        return Ok(());
    }
    // gobuster ends every line: the last one of a report may be cut anywhere.
    if !line.ended {
        return Err(Stop::Ended(format!("the input ends inside line {}", line.number)));
    }
    let Some(answer) = parse(text) else {
        if is_banner(text) {
            session.note(LogLevel::Debug, "line-passed-over", &line, "it is no result");
        } else {
            session.lose_record("record-unreadable", &line, "is no result of gobuster's");
        }
        return Ok(());
    };
    let url = if base.is_empty() {
        answer.name.to_owned()
    } else {
        place::join(base, answer.name)
    };
    let hit = Hit {
        tool: TOOL,
        url: &url,
        payload: answer.name,
        status: answer.status,
        length: answer.length,
        redirect: answer.redirect,
        ..Hit::default()
    };
    discovery::emit(session, &line, &hit)
}

struct Answer<'line> {
    name: &'line str,
    status: Option<i64>,
    length: Option<i64>,
    redirect: &'line str,
}

fn parse(line: &str) -> Option<Answer<'_>> {
    let (name, status, rest) = if let Some((name, rest)) = line.split_once(STATUS) {
        let (status, rest) = rest.split_once(')')?;
        (name, status, rest)
    } else {
        // vhost: `Found: name Status: 200 [Size: 1]`
        let (name, rest) = line.strip_prefix("Found: ")?.split_once(" Status: ")?;
        let (status, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        (name, status, rest)
    };
    let name = name.trim();
    let name = name.strip_prefix("Found: ").unwrap_or(name).trim();
    if name.is_empty() {
        return None;
    }
    let between = |start: &str| {
        let (_, after) = rest.split_once(start)?;
        Some(after.split_once(']')?.0.trim())
    };
    Some(Answer {
        name,
        status: Some(status.trim().parse().ok()?),
        length: between("[Size:").and_then(|size| size.parse().ok()),
        redirect: between("[-->").unwrap_or_default(),
    })
}

/// Lines that the terminal shows around the results.
fn is_banner(line: &str) -> bool {
    let starts = [
        "===", "[", "by ", "Starting", "Finished", "Progress", "Error:", "20",
    ];
    starts.iter().any(|start| line.starts_with(start))
}
