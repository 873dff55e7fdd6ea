//! arjun's JSON (`-oJ`, 2.x; `-o`, 1.x): the pages and the parameters that they react to.
//!
//! Each parameter is a record. 1.x lists the parameters of a page without its method. Shape: <https://github.com/s0md3v/Arjun>, `arjun/core/exporter.py`.

use serde::Deserialize;
use serde_json::value::RawValue;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::Text;
use tamiz_sdk::json::{Kind, Located};
use tamiz_sdk::limits::RECORD_BYTES;
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Shape, Source, Stop, members};
use tamiz_sdk::vocabulary::SeverityTable;

use crate::place;

const TOOL: &str = "arjun";

/// It has no word for it.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "arjun",
    words: &[("(no word)", Severity::Info)],
};

pub(crate) struct Arjun;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, default)]
    method: Text<'a>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

impl Format for Arjun {
    fn name(&self) -> &'static str {
        "arjun-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["arjun"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let is_page = head.count(&["*.params", "*.method", "*.headers"]) >= 2;
        let is_list = head.kind("*[]") == Some(Kind::String) && head.lines().take(2).any(has_address);
        (head.shape() == Shape::Object && (is_page || is_list)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut reader = source.json()?;
        members(&mut reader, session, |reader, session, url, kind| {
            if !matches!(kind, Kind::Object | Kind::Array) {
                return Ok(false);
            }
            match reader.value(RECORD_BYTES)? {
                Located::Whole { bytes, span } if kind == Kind::Array => {
                    let element = Element::named(url, bytes, span);
                    let list = serde_json::from_slice::<&RawValue>(bytes).ok();
                    parameters(session, url, "", list, &element)?;
                }
                Located::Whole { bytes, span } => page(session, url, &Element::named(url, bytes, span))?,
                Located::TooLarge { span } | Located::TooDeep { span } => {
                    session.lose(
                        "record-too-large",
                        &format!("{url} is too large or too deep"),
                        span,
                    );
                }
            }
            Ok(true)
        })?;
        Ok(reader.finish()?)
    }
}

fn page(session: &mut Session<'_>, url: &str, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(page) = element.read_or_lose::<Page<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, &[("method", page.method.is_wrong())]);
    parameters(session, url, page.method.text(), page.params, element)
}

fn parameters(
    session: &mut Session<'_>,
    url: &str,
    method: &str,
    list: Option<&RawValue>,
    element: &Element<'_>,
) -> Result<(), Stop> {
    let list = list.map(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()));
    let Some(Ok(list)) = list else {
        session.lose_record("record-unreadable", element, "has no list of parameters");
        return Ok(());
    };
    for (index, raw) in list.into_iter().enumerate() {
        let name = format!("{}.params[{index}]", element.name());
        // It stands where its page does: a page is read as one.
        let part = Element::named(&name, raw.get().as_bytes(), element.span);
        match serde_json::from_str::<String>(raw.get()) {
            Ok(parameter) => parameter_found(session, url, method, &parameter, &part)?,
            Err(_) => session.lose_record("record-unreadable", &part, "is no name of a parameter"),
        }
    }
    Ok(())
}

/// Whether a line of JSON begins with a key that is an address.
fn has_address(line: &str) -> bool {
    let key = line.trim_start_matches(['{', ' ', '\t', '"']);
    key.starts_with("http://") || key.starts_with("https://")
}

fn parameter_found(
    session: &mut Session<'_>,
    url: &str,
    method: &str,
    parameter: &str,
    record: &Element<'_>,
) -> Result<(), Stop> {
    let finding = FindingBuilder::new(TOOL, "parameter-found")
        .rule_name("A parameter that the page reacts to")
        .title(&format!("the parameter `{parameter}` changes the answer"))
        .message(&format!("{url} reacts to the parameter `{parameter}`"))
        .severity(Severity::Info, None)
        .category("discovery")
        .location(place::at(url, method, parameter, ""));
    session.emit(finding, record)
}
