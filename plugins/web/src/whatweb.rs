//! `WhatWeb`'s JSON (`--log-json`, 0.4.9 and later): an entry per page, with what it is made with.
//!
//! Shape: <https://github.com/urbanadventurer/WhatWeb>, `lib/logging/json.rb`. A page that did not
//! answer has no entry; a report without entries is refused (see [`crate::silence`]). Runs are appended to the
//! file that is there, each as an array of its own.

use serde::Deserialize;
use tamiz_sdk::json::lenient::{Field, Members, Text, Texts, Whole};
use tamiz_sdk::limits::WORD_BYTES;
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, json_lines};
use tamiz_sdk::vocabulary::SeverityTable;
use tamiz_sdk::{FindingBuilder, clean_line};

use crate::appended::arrays;
use crate::place;

const TOOL: &str = "whatweb";

/// Plugins that say something about the answer, nothing about what the page is made with.
const NO_TECHNOLOGY: [&str; 6] = ["Country", "IP", "Title", "Script", "Cookies", "UncommonHeaders"];

/// It has no word for it.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "whatweb",
    words: &[("(no word)", Severity::Info)],
};

pub(crate) struct WhatWeb;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    target: Text<'a>,
    #[serde(default)]
    http_status: Whole,
    #[serde(borrow, default)]
    plugins: Field<Members<Plugin<'a>>>,
}

/// What a plugin saw, by kind: `version`, `string`, `os`, `account`, `model`…
type Plugin<'a> = Field<Members<Texts<'a>>>;

impl Format for WhatWeb {
    fn name(&self) -> &'static str {
        "whatweb-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["whatweb"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let list = ["[].target", "[].http_status", "[].request_config", "[].plugins"];
        let line = ["target", "http_status", "request_config", "plugins"];
        (head.count(&list) >= 3 || head.count(&line) >= 3).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        // Its array has a line per entry: a damaged one must not be taken for lines.
        if source.head().line().starts_with('[') {
            return arrays(source, session, entry);
        }
        json_lines(source, session, entry)
    }
}

fn entry(session: &mut Session<'_>, element: Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(entry) = element.read_or_lose::<Entry<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        &[
            ("target", entry.target.is_wrong()),
            ("http_status", entry.http_status.is_wrong()),
            ("plugins", entry.plugins.is_wrong()),
        ],
    );
    let mut lines = Vec::new();
    let mut technologies = Vec::new();
    if entry.target.text().is_empty() && entry.plugins.members().is_empty() {
        session.leave_out_record(
            "blank-entry",
            &element,
            "names no page, as the last entry of older versions",
        );
        return Ok(());
    }
    for (name, plugin) in entry.plugins.members() {
        let texts = plugin.members().iter().flat_map(|(_, texts)| texts.texts());
        let details = texts.collect::<Vec<_>>().join(", ");
        let version = plugin.members().iter().find(|(kind, _)| kind == "version");
        lines.push(if details.is_empty() {
            name.clone()
        } else {
            format!("{name}: {details}")
        });
        if !NO_TECHNOLOGY.contains(&name.as_str()) {
            technologies.push(match version.and_then(|(_, versions)| versions.texts().next()) {
                Some(version) => format!("{name} {version}"),
                None => name.clone(),
            });
        }
    }
    let title = if technologies.is_empty() {
        "the page shows nothing of what it is made with".to_owned()
    } else {
        format!("the page is made with {}", technologies.join(", "))
    };
    let mut finding = FindingBuilder::new(TOOL, "technologies")
        .rule_name("What a page is made with")
        .title(&title)
        .message(&lines.join("\n"))
        .severity(Severity::Info, None)
        .category("technology")
        .location(place::at(entry.target.text(), "", "", ""));
    if let Some(status) = entry.http_status.get() {
        finding = finding.extra_json("status", &status.to_string());
    }
    let shown: Vec<_> = technologies
        .iter()
        .map(|name| clean_line(name, WORD_BYTES).text)
        .collect();
    if let Ok(list) = serde_json::to_string(&shown) {
        finding = finding.extra_json("technologies", &list);
    }
    session.emit(finding, &element)
}
