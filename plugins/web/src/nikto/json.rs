//! nikto's JSON: one object (2.1.6) or an array of them (2.5), each a target with `vulnerabilities`.
//!
//! 2.1.6 writes commas behind the last entries of its lists, and numbers with zeros in front.

use serde::Deserialize;
use tamiz_sdk::json::lenient::{Field, Text};
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, members, objects, small_text,
};

use super::{Item, TOOL, emit};
use crate::place;
use crate::words::{Word, word};

/// Ports that web servers speak TLS on; the report does not say whether this one does.
const TLS_PORTS: [&str; 2] = ["443", "8443"];

pub(crate) struct NiktoJson;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    id: Field<Word<'a>>,
    #[serde(borrow, default, rename = "OSVDB")]
    osvdb: Field<Word<'a>>,
    #[serde(borrow, default)]
    method: Text<'a>,
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default)]
    msg: Text<'a>,
    #[serde(borrow, default)]
    references: Text<'a>,
}

/// The target that comes before its entries.
#[derive(Default)]
struct Target {
    host: String,
    ip: String,
    port: String,
    /// Whether anything of one stood there.
    named: bool,
}

impl Format for NiktoJson {
    fn name(&self) -> &'static str {
        "nikto-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["nikto"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = ["host", "ip", "port", "banner", "vulnerabilities"];
        let listed = keys.map(|key| format!("[].{key}"));
        let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
        let entries = [
            "vulnerabilities[].msg",
            "[].vulnerabilities[].msg",
            "vulnerabilities[].OSVDB",
            "[].vulnerabilities[].references",
        ];
        let count = head.count(&keys).max(head.count(&listed)) + head.count(&entries);
        (count >= 4).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let shape = source.head().shape();
        let mut reader = source.json()?;
        reader.allow_trailing_commas();
        let mut reached = false;
        if shape == Shape::Array {
            objects(&mut reader, session, "", |reader, session, _| {
                reached |= target(reader, session)?;
                Ok(())
            })?;
        } else {
            reached = target(&mut reader, session)?;
        }
        reader.finish()?;
        if !reached {
            return Err(Stop::Broken(
                "nikto reached no target: the report names no host".to_owned(),
            ));
        }
        Ok(())
    }
}

/// One target; whether it was reached.
fn target(reader: &mut JsonReader<'_>, session: &mut Session<'_>) -> Result<bool, Stop> {
    let mut target = Target::default();
    members(reader, session, |reader, session, key, kind| {
        match (key, kind) {
            ("host", Kind::String) => target.host = small_text(reader)?.unwrap_or_default(),
            ("ip", Kind::String) => target.ip = small_text(reader)?.unwrap_or_default(),
            ("port", Kind::String) => target.port = small_text(reader)?.unwrap_or_default(),
            ("vulnerabilities", Kind::Array) => {
                let site = target.site();
                each(reader, session, key, |session, element| {
                    entry(session, &element, &site)
                })?;
                target.named = true;
            }
            _ => return Ok(false),
        }
        target.named = true;
        Ok(true)
    })?;
    Ok(target.named)
}

impl Target {
    /// Its address, as far as the report tells.
    fn site(&self) -> String {
        let host = if self.host.is_empty() {
            &self.ip
        } else {
            &self.host
        };
        if host.is_empty() {
            return String::new();
        }
        let scheme = if TLS_PORTS.contains(&self.port.as_str()) {
            "https"
        } else {
            "http"
        };
        if self.port.is_empty() {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.port)
        }
    }
}

fn entry(session: &mut Session<'_>, element: &Element<'_>, site: &str) -> Result<(), Stop> {
    let quoted = with_quoted_numbers(element.bytes());
    let name = element.name();
    let element = quoted
        .as_deref()
        .map_or(*element, |bytes| Element::named(&name, bytes, element.span));
    let mut repaired = Vec::new();
    let Some(entry) = element.read_or_lose::<Entry<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        &[
            ("id", entry.id.is_wrong()),
            ("method", entry.method.is_wrong()),
            ("url", entry.url.is_wrong()),
            ("msg", entry.msg.is_wrong()),
            ("references", entry.references.is_wrong()),
        ],
    );
    let url = place::join(site, entry.url.text());
    let item = Item {
        id: word(&entry.id),
        osvdb: word(&entry.osvdb),
        method: entry.method.text(),
        url: &url,
        path: entry.url.text(),
        message: entry.msg.text(),
        references: entry.references.text(),
    };
    emit(session, &element, &item)
}

/// With quotes around numbers that begin with a zero, which is no JSON; nothing when there is none.
fn with_quoted_numbers(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut quoted: Option<Vec<u8>> = None;
    for key in [&b"\"id\":"[..], b"\"OSVDB\":"] {
        let text = quoted.as_deref().unwrap_or(bytes);
        let Some(place) = text.windows(key.len()).position(|window| window == key) else {
            continue;
        };
        let (before, rest) = text.split_at(place + key.len());
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 1 && rest.first() == Some(&b'0') {
            let (number, after) = rest.split_at(digits);
            quoted = Some([before, b"\"", number, b"\"", after].concat());
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::with_quoted_numbers;

    #[test]
    fn numbers_with_zeros_in_front_are_quoted() {
        let check = |text: &str, expected: Option<&str>| {
            let quoted = with_quoted_numbers(text.as_bytes());
            assert_eq!(quoted.as_deref(), expected.map(str::as_bytes), "{text}");
        };
        check(
            r#"{"id":001805,"OSVDB":03092,"msg":"x"}"#,
            Some(r#"{"id":"001805","OSVDB":"03092","msg":"x"}"#),
        );
        check(r#"{"id":"001805","OSVDB":0}"#, None);
        check(r#"{"id":001805}"#, Some(r#"{"id":"001805"}"#));
        check("{}", None);
    }
}
