//! The forms that are no JSON: a table, XML with a `result` per address, lines for people.

use tamiz_sdk::model::LogLevel;
use tamiz_sdk::report::{
    Event, Format, Head, Recognition, Session, Shape, Source, Stop, TextLine, lines, walk,
};

use super::{TOOL, below};
use crate::discovery::{self, Hit};

/// What stands in front of a redirect's address.
const REDIRECT: &str = "-> ";

/// A row per address.
pub(crate) struct DirsearchTable;

/// An element per address.
pub(crate) struct DirsearchXml;

/// A line per address.
pub(crate) struct DirsearchPlain;

impl Format for DirsearchTable {
    fn name(&self) -> &'static str {
        "dirsearch-csv"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["dirsearch"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.has_columns(&["URL", "Status", "Size", "Redirection"]).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        discovery::hits(source, session, TOOL, |session, row| {
            let hit = Hit {
                tool: TOOL,
                url: &row.get("URL"),
                status: row.get("Status").parse().ok(),
                length: row.get("Size").parse().ok(),
                redirect: &row.get("Redirection"),
                ..Hit::default()
            };
            discovery::emit(session, row, &hit)
        })
    }
}

impl Format for DirsearchXml {
    fn name(&self) -> &'static str {
        "dirsearch-xml"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["dirsearch"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.root().eq_ignore_ascii_case("dirsearchscan").into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let mut site = String::new();
        let mut reader = source.xml()?;
        walk(
            &mut reader,
            session,
            &["result", "info"],
            &[],
            |session, event| match event {
                // Before 0.4.3 the addresses of a `target` are paths, in elements named `info`.
                Event::Open(node) if node.name() == "target" => {
                    node.attribute("url").unwrap_or_default().clone_into(&mut site);
                    Ok(())
                }
                Event::Open(_) | Event::Close(_) => Ok(()),
                Event::Record(record) => {
                    let node = record.node;
                    let path = node.attribute("path").unwrap_or_default();
                    let url = match node.attribute("url") {
                        Some(url) => url.to_owned(),
                        None => below(&site, path),
                    };
                    let length = ["contentLength", "content-length"].map(|name| node.child_text(name));
                    let hit = Hit {
                        tool: TOOL,
                        url: &url,
                        payload: path,
                        status: node.child_text("status").parse().ok(),
                        length: length.iter().find_map(|length| length.parse().ok()),
                        redirect: &node.child_text("redirect"),
                        ..Hit::default()
                    };
                    discovery::emit(session, &record, &hit)
                }
            },
        )?;
        tell_silence(session, before);
        Ok(())
    }
}

impl Format for DirsearchPlain {
    fn name(&self) -> &'static str {
        "dirsearch-plain"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["dirsearch"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let is_result = |line: &str| line.starts_with("# Dirsearch started ") || parse(line).is_some();
        (head.shape() == Shape::Text && head.lines().any(is_result)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        lines(source, session, plain)?;
        tell_silence(session, before);
        Ok(())
    }
}

fn plain(session: &mut Session<'_>, line: TextLine<'_>) -> Result<(), Stop> {
    let text = line.text();
    let text = text.trim();
    if text.starts_with('#') {
        session.note(LogLevel::Debug, "line-passed-over", &line, "it is no result");
        return Ok(());
    }
    if !line.ended && !text.ends_with(')') {
        return Err(Stop::Ended(format!("the input ends inside line {}", line.number)));
    }
    let Some(answer) = parse(text) else {
        session.lose_record("record-unreadable", &line, "is no result of dirsearch's");
        return Ok(());
    };
    let hit = Hit {
        tool: TOOL,
        url: answer.url,
        status: Some(answer.status),
        length: answer.length,
        redirect: answer.redirect,
        ..Hit::default()
    };
    discovery::emit(session, &line, &hit)
}

struct Answer<'line> {
    status: i64,
    length: Option<i64>,
    url: &'line str,
    redirect: &'line str,
}

/// `301   162B   http://a.test/x    -> REDIRECTS TO: http://a.test/x/  (12ms)`.
fn parse(line: &str) -> Option<Answer<'_>> {
    let (before, redirect) = line.split_once(REDIRECT).unwrap_or((line, ""));
    let mut words = before.split_whitespace();
    let (status, size, url) = (words.next()?, words.next()?, words.next()?);
    let status = status
        .parse()
        .ok()
        .filter(|status| (100..1000).contains(status))?;
    let is_size = size.ends_with('B') && size.starts_with(|first: char| first.is_ascii_digit());
    let redirect = redirect.trim().trim_start_matches("REDIRECTS TO:").trim();
    (is_size && url.contains("://")).then(|| Answer {
        status,
        // Larger ones are rounded to kilobytes and megabytes.
        length: size.strip_suffix('B').and_then(|number| number.parse().ok()),
        url,
        redirect: redirect.split_whitespace().next().unwrap_or_default(),
    })
}

fn tell_silence(session: &mut Session<'_>, before: u32) {
    if session.records() == before {
        discovery::tell_silence(session, TOOL);
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lines_of_old_and_new_versions_are_read() {
        for (line, status, length, url, redirect) in [
            (
                "401    22B http://a.test/x  (14ms)",
                401,
                Some(22),
                "http://a.test/x",
                "",
            ),
            ("200     1KB  http://a.test/y", 200, None, "http://a.test/y", ""),
            (
                "301   162B   http://a.test/z    -> REDIRECTS TO: http://a.test/z/",
                301,
                Some(162),
                "http://a.test/z",
                "http://a.test/z/",
            ),
            (
                "301   162B  http://a.test/z  ->  http://a.test/z/  (3ms)",
                301,
                Some(162),
                "http://a.test/z",
                "http://a.test/z/",
            ),
        ] {
            let answer = parse(line).expect(line);
            assert_eq!(
                (answer.status, answer.length, answer.url, answer.redirect),
                (status, length, url, redirect)
            );
        }
        for line in [
            "a line",
            "200 http://a.test/",
            "2000 1B http://a.test/",
            "200 1B /x",
        ] {
            assert!(parse(line).is_none(), "{line}");
        }
    }
}
