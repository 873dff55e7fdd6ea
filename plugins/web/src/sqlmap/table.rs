//! The table of results: a row per target and parameter.

use tamiz_sdk::csv::Row;
use tamiz_sdk::report::{Format, Head, Recognition, Session, Source, Stop, rows};

use super::{Point, TOOL, emit};

pub(crate) struct SqlmapTable;

impl Format for SqlmapTable {
    fn name(&self) -> &'static str {
        "sqlmap-csv"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["sqlmap"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.has_columns(&["Target URL", "Place", "Parameter"]).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let mut table = source.table()?;
        rows(&mut table, session, row)?;
        if session.records() == before {
            let problem = "sqlmap lists no target: nothing shows that one answered";
            session.gap("no-contact-shown", problem, None);
        }
        Ok(())
    }
}

fn row(session: &mut Session<'_>, row: Row<'_>) -> Result<(), Stop> {
    let (url, place, parameter) = (row.get("Target URL"), row.get("Place"), row.get("Parameter"));
    let (letters, notes) = (row.get("Technique(s)"), row.get("Note(s)"));
    if parameter.is_empty() && place.is_empty() {
        let why = if notes.is_empty() {
            "no parameter can be injected into"
        } else {
            &*notes
        };
        session.leave_out_record("not-vulnerable", &row, &format!("names no parameter: {why}"));
        return Ok(());
    }
    let mut techniques: Vec<String> = letters.chars().filter_map(technique).map(str::to_owned).collect();
    if !notes.is_empty() {
        techniques.push(notes.into_owned());
    }
    let point = Point {
        url: &url,
        place: &place,
        parameter: &parameter,
        techniques,
        payload: "",
        database: "",
    };
    emit(session, &row, &point)
}

fn technique(letter: char) -> Option<&'static str> {
    Some(match letter {
        'B' => "boolean-based blind",
        'E' => "error-based",
        'U' => "UNION query",
        'S' => "stacked queries",
        'T' => "time-based blind",
        'Q' => "inline query",
        _ => return None,
    })
}
