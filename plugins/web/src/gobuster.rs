//! gobuster's text (`dir`, `vhost`, `fuzz` and `dns`, 2.x and 3.x): a line per answer.
//!
//! `/admin (Status: 401) [Size: 22]`, with `[--> ADDRESS]` behind it for a redirect; `Found: a.b` in front
//! of names. The report does not name the target, unless it is the terminal's text with its banner
//! (`[+] Url: …`) or was made with `-e`. Shapes: <https://github.com/OJ/gobuster>, `gobuster*/result.go`.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::{DomainName, Location, LogLevel, Severity};
use tamiz_sdk::report::{Format, Head, Recognition, Session, Shape, Source, Stop, TextLine, lines};

use crate::discovery::{self, Hit};
use crate::place;

const TOOL: &str = "gobuster";

/// What a terminal is told to do to a line before it shows it.
const ESCAPE: &str = "\u{1b}[";

pub(crate) struct Gobuster;

impl Format for Gobuster {
    fn name(&self) -> &'static str {
        "gobuster-text"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["gobuster"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let is_result = |line: &str| {
            let line = shown(line);
            line.starts_with("Gobuster v")
                || parse(&line).is_some_and(|answer| {
                    answer.status.is_some() || answer.length.is_some() && answer.name.starts_with('/')
                })
                || name_found(&line).is_some()
        };
        (head.shape() == Shape::Text && head.lines().any(is_result)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let mut base = String::new();
        lines(source, session, |session, line| entry(session, line, &mut base))?;
        if session.records() == before {
            discovery::tell_silence(session, TOOL);
        }
        Ok(())
    }
}

fn entry(session: &mut Session<'_>, line: TextLine<'_>, base: &mut String) -> Result<(), Stop> {
    let text = line.text();
    let text = shown(&text);
    if text.is_empty() {
        return Ok(());
    }
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
    if text.starts_with("Missed: ") {
        session.leave_out_record("not-found", &line, "tells that something is not there");
        return Ok(());
    }
    if let Some(name) = name_found(&text) {
        let finding = FindingBuilder::new(TOOL, "name-found")
            .rule_name("A name that exists")
            .title(&format!("{name} exists"))
            .message(&text)
            .severity(Severity::Info, None)
            .category("discovery")
            .location(Location::Domain(DomainName {
                name: name.to_owned(),
                record_type: None,
            }));
        return session.emit(finding, &line);
    }
    let Some(answer) = parse(&text) else {
        if is_banner(&text) {
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

/// A line as a terminal shows it: what is behind the last carriage return, without escapes.
fn shown(line: &str) -> String {
    let line = line.trim_end().rsplit('\r').next().unwrap_or_default();
    let mut parts = line.split(ESCAPE);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|character: char| character.is_ascii_alphabetic());
        text.push_str(end.and_then(|end| part.get(end + 1..)).unwrap_or_default());
    }
    text.trim().to_owned()
}

struct Answer<'line> {
    name: &'line str,
    status: Option<i64>,
    length: Option<i64>,
    redirect: &'line str,
}

/// `NAME (Status: 200) [Size: 1] [--> ADDRESS]`, with `Found: ` in front, or without parentheses for
/// `vhost`, or without the status (`-n`); `Found: [Status=200] [Length=1] ADDRESS` for `fuzz`.
fn parse(line: &str) -> Option<Answer<'_>> {
    let found = line.strip_prefix("Found: ").unwrap_or(line);
    let between = |start: &str| Some(found.split_once(start)?.1.split_once(']')?.0.trim());
    let number = |start: &str| between(start)?.parse().ok();
    if found.starts_with("[Status=") {
        return Some(Answer {
            name: found.split(" [-->").next()?.rsplit_once("] ")?.1.trim(),
            status: Some(number("[Status=")?),
            length: number("[Length="),
            redirect: between("[-->").unwrap_or_default(),
        });
    }
    let (name, status) = if let Some((name, rest)) = found.split_once("(Status: ") {
        (name, Some(rest.split_once(')')?.0.trim().parse().ok()?))
    } else if let Some((name, rest)) = found.split_once(" Status: ") {
        (name, Some(rest.split([' ', '[']).next()?.trim().parse().ok()?))
    } else {
        (found.split_once(" [Size: ")?.0, None)
    };
    let name = name.trim();
    (!name.is_empty()).then(|| Answer {
        name,
        status,
        length: number("[Size:"),
        redirect: between("[-->").unwrap_or_default(),
    })
}

/// The name in `Found: a.b`, `Found: a.b [192.0.2.1,192.0.2.2]`, `Found: a.b IPs: 192.0.2.1 CNAME: c.d`, as
/// versions of `dns` write them.
fn name_found(line: &str) -> Option<&str> {
    let found = line.strip_prefix("Found: ")?;
    let (name, rest) = found.split_once(' ').unwrap_or((found, ""));
    let rest = rest.trim();
    let is_list = rest.starts_with('[') && rest.ends_with(']') && !rest.contains([' ', ':', '=']);
    let is_address = rest.starts_with('[') && rest.contains(':') && !rest.contains(' ');
    let is_name = name.contains('.')
        && name
            .chars()
            .all(|letter| letter.is_alphanumeric() || matches!(letter, '.' | '-' | '_' | '*'));
    let is_named = rest.starts_with("IPs: ") || rest.starts_with("CNAME: ");
    (is_name && (rest.is_empty() || is_list || is_address || is_named)).then_some(name)
}

/// Lines that the terminal shows around the results.
fn is_banner(line: &str) -> bool {
    let starts = [
        "===", "[", "by ", "Starting", "Finished", "Progress", "Error:", "20",
    ];
    starts.iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::{name_found, parse, shown};

    #[track_caller]
    fn check(line: &str, name: &str, status: Option<i64>, length: Option<i64>, redirect: &str) {
        let line = shown(line);
        let answer = parse(&line).expect("an answer");
        assert_eq!(
            (answer.name, answer.status, answer.length, answer.redirect),
            (name, status, length, redirect),
            "{line}"
        );
    }

    #[test]
    fn answers_of_every_mode_are_read() {
        check(
            "\r\u{1b}[2K/a  (Status: 401) [Size: 22]",
            "/a",
            Some(401),
            Some(22),
            "",
        );
        check(
            "/a (Status: 301) [Size: 0] [--> http://a.test/a/]",
            "/a",
            Some(301),
            Some(0),
            "http://a.test/a/",
        );
        check("/a                [Size: 22]", "/a", None, Some(22), "");
        check(
            "Found: a.test Status: 200 [Size: 3]",
            "a.test",
            Some(200),
            Some(3),
            "",
        );
        check(
            "Found: a.test (Status: 200) [Size: 3]",
            "a.test",
            Some(200),
            Some(3),
            "",
        );
        check("a.test Status: 404", "a.test", Some(404), None, "");
        check(
            "Found: [Status=200] [Length=9] http://a.test/x",
            "http://a.test/x",
            Some(200),
            Some(9),
            "",
        );
        check(
            "[Status=301] [Length=0] [Word=x] http://a.test/x [--> /y]",
            "http://a.test/x",
            Some(301),
            Some(0),
            "/y",
        );
        for line in ["a line", "Found: a.test", "(Status: x)", "/a (Status: 200", ""] {
            assert!(parse(line).is_none(), "{line}");
        }
    }

    #[test]
    fn names_are_found_with_and_without_their_addresses() {
        for (line, name) in [
            ("Found: a.test", Some("a.test")),
            ("Found: a.test [192.0.2.1,192.0.2.2]", Some("a.test")),
            ("Found: a.test [2001:db8::1]", Some("a.test")),
            (
                "Found: a.test IPs: 192.0.2.1,2001:db8::1 CNAME: b.test",
                Some("a.test"),
            ),
            ("Found: a.test Status: 200 [Size: 3]", None),
            ("Found: it", None),
            ("a.test", None),
        ] {
            assert_eq!(name_found(line), name, "{line}");
        }
    }
}
