//! Lines of JSON with `severity`, `file`, `line` and `message` into findings.

use serde::Deserialize;
use tamiz_sdk::json::lenient::{Text, Whole};
use tamiz_sdk::model::{
    ConvertError, Description, Outcome, PlanError, ScanRequest, Severity, ToolRun, position,
};
use tamiz_sdk::report::{self, Converter, Format, Head, Options, Recognition, Session, Source, Stop};
use tamiz_sdk::vocabulary::SeverityTable;
use tamiz_sdk::{FindingBuilder, Host, Input, Scanner};

/// What the tool's words mean.
const SEVERITIES: SeverityTable = SeverityTable {
    tool: "{{name}}",
    words: &[
        ("error", Severity::High),
        ("warning", Severity::Medium),
        ("note", Severity::Info),
    ],
};

struct Lines;

/// Every field lenient: one of another type costs itself, not the record.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    severity: Text<'a>,
    #[serde(borrow, default)]
    file: Text<'a>,
    #[serde(default)]
    line: Whole,
    #[serde(borrow, default)]
    message: Text<'a>,
}

impl Format for Lines {
    fn name(&self) -> &'static str {
        "{{name}}-jsonl"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["{{name}}"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.has_all(&["severity", "message"]).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("{{name}}", None);
        report::json_lines(source, session, |session, record| {
            let mut repaired = Vec::new();
            let Some(line) = record.read_or_lose::<Line<'_>>(session, &mut repaired) else {
                return Ok(());
            };
            if line.file.text().is_empty() || line.message.text().is_empty() {
                session.lose_record("record-unreadable", &record, "has no `file` or no `message`");
                return Ok(());
            }
            let raw = line.severity.get().map(AsRef::as_ref);
            let severity = session.severity(&SEVERITIES, raw, &record);
            let rule = format!("{{name}}-{}", line.severity.text());
            let finding = FindingBuilder::new("{{name}}", &rule)
                .message(line.message.text())
                .severity(severity, raw)
                .file(line.file.text(), position(line.line.get().copied(), None), None, "");
            session.emit(finding, &record)
        })
    }
}

const CONVERTER: Converter = Converter {
    plugin: "{{name}}",
    expected: "expected lines of JSON with `severity`, `file`, `line` and `message`",
    formats: &[&Lines],
};

/// The plugin.
pub struct Plugin;

tamiz_sdk::export_scanner!(super::Plugin);

impl Scanner for Plugin {
    fn describe() -> Description {
        Description {
            name: "{{name}}".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scan_type: "{{scan_type}}".to_owned(),
            formats: CONVERTER.formats(),
            options_schema: Options::schema(&[]),
            capabilities: Vec::new(),
        }
    }

    fn plan(request: &ScanRequest) -> Result<Vec<ToolRun>, PlanError> {
        let kind = &request.target_kind;
        Err(PlanError::Unsupported(format!(
            "{{name}} only reads reports, it scans no target of kind `{kind}`"
        )))
    }

    fn convert(
        inputs: Vec<Box<dyn Input>>,
        request: &ScanRequest,
        host: &mut dyn Host,
    ) -> Result<Outcome, ConvertError> {
        let options =
            Options::parse(&request.options, CONVERTER.plugin, &[]).map_err(ConvertError::BadOptions)?;
        CONVERTER.convert(inputs, options, host)
    }
}
