//! Zizmor's JSON, an array (seen: 1.32.0). Rows and columns count from 0. Of a finding's locations the
//! primary ones are its places; the others explain it and are kept as `related`.

use serde::Deserialize;
use serde_json::json;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Members, Object, Objects, Text, Whole};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop};
use tamiz_sdk::vocabulary::{SeverityTable, confidence};

use super::place::{self, Region};
use super::{walk, wrong};

pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "zizmor",
    words: &[
        ("High", Severity::High),
        ("Medium", Severity::Medium),
        ("Low", Severity::Low),
        ("Informational", Severity::Info),
        ("Unknown", Severity::Info),
    ],
};

pub(super) struct Zizmor;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Issue<'a> {
    #[serde(borrow)]
    ident: Text<'a>,
    #[serde(borrow)]
    desc: Text<'a>,
    #[serde(borrow)]
    url: Text<'a>,
    #[serde(borrow)]
    determinations: Field<Object<Determinations<'a>>>,
    #[serde(borrow)]
    locations: Field<Objects<Location<'a>>>,
    #[serde(borrow)]
    fixes: Field<Objects<Fix<'a>>>,
    ignored: Field<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Determinations<'a> {
    #[serde(borrow)]
    confidence: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fix<'a> {
    #[serde(borrow)]
    title: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Location<'a> {
    #[serde(borrow)]
    symbolic: Field<Object<Symbolic<'a>>>,
    #[serde(borrow)]
    concrete: Field<Object<Concrete<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Symbolic<'a> {
    /// One member, `Local` or `Remote`.
    #[serde(borrow)]
    key: Field<Members<Field<Object<Key<'a>>>>>,
    #[serde(borrow)]
    annotation: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Key<'a> {
    #[serde(borrow)]
    verbatim_path: Text<'a>,
    #[serde(borrow)]
    given_path: Text<'a>,
    #[serde(borrow)]
    path: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Concrete<'a> {
    location: Field<Object<Span>>,
    #[serde(borrow)]
    feature: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Span {
    start_point: Field<Object<Point>>,
    end_point: Field<Object<Point>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Point {
    row: Whole,
    column: Whole,
}

impl Format for Zizmor {
    fn name(&self) -> &'static str {
        "zizmor-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["zizmor"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "[].ident",
            "[].desc",
            "[].url",
            "[].determinations",
            "[].locations",
            "[].ignored",
        ];
        (head.count(&keys) >= 4).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("zizmor", None);
        walk::list(source, session, |session, element| issue(session, &element))
    }
}

fn issue(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(issue) = element.read_or_lose::<Issue<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, wrong!(issue; ident, desc, determinations, locations));
    let rule = issue.ident.text();
    if rule.is_empty() {
        session.lose_record("record-without-rule", element, "names no audit in `ident`");
        return Ok(());
    }
    let none = Determinations::default();
    let said = issue.determinations.object().unwrap_or(&none);
    let raw = said.severity.get().map(AsRef::as_ref);
    let severity = session.severity(&SEVERITIES, raw, element);
    let mut finding = FindingBuilder::new("zizmor", rule)
        .message(issue.desc.text())
        .severity(severity, raw)
        .category("security")
        .remediation(issue.fixes.objects().first().map_or("", |fix| fix.title.text()))
        .reference(issue.url.text());
    if let Some(confidence) = confidence(said.confidence.text()) {
        finding = finding.confidence(confidence);
    }
    if issue.ignored.get() == Some(&true) {
        finding = finding.suppression("inSource", "");
    }
    walk::tell_cut(session, element, "locations", issue.locations.is_cut());
    let locations = issue.locations.objects();
    let has_primary = locations.iter().any(Location::is_primary);
    let mut related = Vec::new();
    for location in locations {
        if has_primary && !location.is_primary() {
            related.push(location.described());
        } else {
            finding = location.put(finding, session, element);
        }
    }
    if !related.is_empty() {
        finding = finding.extra_json("related", &json!(related).to_string());
    }
    session.emit(finding, element)
}

impl Location<'_> {
    fn is_primary(&self) -> bool {
        self.symbolic
            .object()
            .is_some_and(|symbolic| symbolic.kind.text() == "Primary")
    }

    fn path(&self) -> &str {
        let members = self
            .symbolic
            .object()
            .map_or(&[][..], |symbolic| symbolic.key.members());
        let key = members.first().and_then(|(_, key)| key.object());
        let texts = key.map(|key| [&key.verbatim_path, &key.given_path, &key.path]);
        let mut texts = texts.into_iter().flatten().map(Field::text);
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    }

    fn region(&self) -> Region {
        let span = self
            .concrete
            .object()
            .and_then(|concrete| concrete.location.object());
        let from_one = |number: &Whole| number.get().map(|number| number.saturating_add(1));
        let point = |point: Option<&Point>| {
            point.map_or((None, None), |point| {
                (from_one(&point.row), from_one(&point.column))
            })
        };
        let (line, column) = point(span.and_then(|span| span.start_point.object()));
        let (end_line, end_column) = point(span.and_then(|span| span.end_point.object()));
        Region {
            line,
            column,
            end_line,
            end_column,
        }
    }

    fn put(
        &self,
        finding: FindingBuilder,
        session: &mut Session<'_>,
        element: &Element<'_>,
    ) -> FindingBuilder {
        let feature = self
            .concrete
            .object()
            .map_or("", |concrete| concrete.feature.text());
        place::at(finding, session, element, self.path(), self.region(), feature)
    }

    fn described(&self) -> serde_json::Value {
        let annotation = self
            .symbolic
            .object()
            .map_or("", |symbolic| symbolic.annotation.text());
        json!({
            "path": tamiz_sdk::report::path::label(self.path(), None).path,
            "line": self.region().line,
            "message": tamiz_sdk::clean_line(annotation, tamiz_sdk::limits::WORD_BYTES).text,
        })
    }
}
