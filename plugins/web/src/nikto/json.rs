//! nikto's JSON: one object per target in 2.1.6, an array of them from 2.5 on, each with `vulnerabilities`.
//!
//! 2.1.6 puts its JSON together by hand: its first form has commas behind last entries, numbers with zeros
//! in front, texts that are not escaped, and closes no target but the last; its second form begins the list
//! of each further target with a comma, and has no comma between targets. Runs are appended to one another.

use serde::Deserialize;
use tamiz_sdk::json::lenient::{Field, Text, Texts};
use tamiz_sdk::json::{JsonError, JsonReader, Kind, Located};
use tamiz_sdk::limits::RECORD_BYTES;
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, each, members, objects, small_text,
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
    references: Texts<'a>,
}

/// The target that comes before its entries.
#[derive(Default)]
struct Target {
    host: String,
    ip: String,
    port: String,
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
        (count >= 4 || is_bare(head)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let is_bare = is_bare(source.head());
        let mut reader = source.json()?;
        reader.allow_loose_ends();
        let mut reached = false;
        loop {
            match reader.kind() {
                Ok(Kind::Object) if is_bare => bare(&mut reader, session)?,
                Ok(Kind::Object) => reached |= target(&mut reader, session)?,
                Ok(Kind::Array) => objects(&mut reader, session, "", |reader, session, _| {
                    reached |= target(reader, session)?;
                    Ok(())
                })?,
                Err(JsonError::Ended { .. }) => break,
                _ => {
                    reader.finish()?;
                    break;
                }
            }
        }
        if !reached {
            return Err(Stop::Broken(
                "nikto reached no target: the report names no host".to_owned(),
            ));
        }
        session.covered();
        Ok(())
    }
}

/// Whether it is what 2.1.6 leaves of a target that it did not reach: an entry that no target is around.
fn is_bare(head: &Head) -> bool {
    head.has_all(&["id", "OSVDB", "msg"])
}

fn bare(reader: &mut JsonReader<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
    match reader.value(RECORD_BYTES)? {
        Located::Whole { bytes, span } => entry(session, &Element::named("the entry", bytes, span), ""),
        Located::TooLarge { span } | Located::TooDeep { span } => {
            session.lose("record-too-large", "the entry is too large or too deep", span);
            Ok(())
        }
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
            ("port", Kind::Number) => {
                if let Located::Whole { bytes, .. } = reader.value(RECORD_BYTES)? {
                    target.port = String::from_utf8_lossy(bytes).into_owned();
                }
            }
            ("vulnerabilities", Kind::Array) => {
                let site = target.site();
                each(reader, session, key, |session, element| {
                    entry(session, &element, &site)
                })?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    session.target_is(&target.site());
    // A name that no address could be found for comes without both.
    Ok(!target.host.is_empty() || !target.ip.is_empty())
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
    let mended = mended(element.bytes());
    let name = element.name();
    let element = mended
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
    let references: Vec<_> = entry.references.texts().collect();
    let item = Item {
        id: word(&entry.id),
        osvdb: word(&entry.osvdb),
        method: entry.method.text(),
        url: &url,
        path: entry.url.text(),
        message: entry.msg.text(),
        references: &references.join(" "),
    };
    emit(session, &element, &item)
}

/// With quotes around numbers that begin with a zero, and with control characters and backslashes in texts
/// escaped that are not, none of which is JSON; nothing when there is none.
fn mended(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut mended = Vec::new();
    let (mut in_text, mut taken, mut index) = (false, 0, 0);
    while let Some(&byte) = bytes.get(index) {
        let rest = bytes.get(index + 1..).unwrap_or_default();
        let mut length = 1;
        let replacement = match byte {
            b'"' => {
                in_text = !in_text;
                None
            }
            b'\\' if in_text => {
                length = 2;
                let escapes = rest.first().is_some_and(|next| b"\"\\/bfnrtu".contains(next));
                // The character behind it stands for itself.
                (!escapes).then(|| [b"\\\\", rest.get(..1).unwrap_or_default()].concat())
            }
            0..0x20 if in_text => Some(format!("\\u{byte:04x}").into_bytes()),
            b'0'..=b'9' if !in_text => {
                let is_part = |next: &&u8| next.is_ascii_alphanumeric() || matches!(next, b'.' | b'+' | b'-');
                length += rest.iter().take_while(is_part).count();
                let number = bytes.get(index..index + length).unwrap_or_default();
                let is_padded = length > 1 && byte == b'0' && number.iter().all(u8::is_ascii_digit);
                is_padded.then(|| [b"\"", number, b"\""].concat())
            }
            _ => None,
        };
        if let Some(replacement) = replacement {
            mended.extend_from_slice(bytes.get(taken..index).unwrap_or_default());
            mended.extend_from_slice(&replacement);
            taken = index + length;
        }
        index += length;
    }
    (taken > 0).then(|| {
        mended.extend_from_slice(bytes.get(taken..).unwrap_or_default());
        mended
    })
}

#[cfg(test)]
mod tests {
    use super::mended;

    #[test]
    fn what_is_no_json_in_an_entry_is_mended() {
        let check = |text: &str, expected: Option<&str>| {
            let mended = mended(text.as_bytes());
            assert_eq!(mended.as_deref(), expected.map(str::as_bytes), "{text}");
        };
        check(
            r#"{"id":001805,"OSVDB":03092,"msg":"x 007"}"#,
            Some(r#"{"id":"001805","OSVDB":"03092","msg":"x 007"}"#),
        );
        check(r#"{"id":"001805","OSVDB":0,"n":1.05}"#, None);
        check(r#"{"id":001805}"#, Some(r#"{"id":"001805"}"#));
        check(r#"{"msg":"\\d \"a\" \u00e9"}"#, None);
        check("{\"msg\":\"\\d\t\\é\"}", Some(r#"{"msg":"\\d\u0009\\é"}"#));
        check("{}", None);
        check("{\"a\\", Some("{\"a\\\\"));
    }
}
