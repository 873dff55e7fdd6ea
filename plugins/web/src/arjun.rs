//! arjun's JSON (`-oJ`, 2.x): the pages and the parameters that they react to.
//!
//! Each parameter is a record. Shape: <https://github.com/s0md3v/Arjun>, `arjun/core/exporter.py`.

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
        (head.shape() == Shape::Object && head.count(&["*.params", "*.method", "*.headers"]) >= 2).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut reader = source.json()?;
        members(&mut reader, session, |reader, session, url, kind| {
            if kind != Kind::Object {
                return Ok(false);
            }
            match reader.value(RECORD_BYTES)? {
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
    let parameters = page
        .params
        .map(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()));
    let Some(Ok(parameters)) = parameters else {
        session.lose_record("record-unreadable", element, "has no list of parameters");
        return Ok(());
    };
    for (index, raw) in parameters.into_iter().enumerate() {
        let name = format!("{}.params[{index}]", element.name());
        // It stands where its page does: a page is read as one.
        let part = Element::named(&name, raw.get().as_bytes(), element.span);
        match serde_json::from_str::<String>(raw.get()) {
            Ok(parameter) => parameter_found(session, url, page.method.text(), &parameter, &part)?,
            Err(_) => session.lose_record("record-unreadable", &part, "is no name of a parameter"),
        }
    }
    Ok(())
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
