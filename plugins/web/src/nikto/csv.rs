//! nikto's CSV, which is none: a line with the version, a row without a message per target, a row per
//! item; 2.1.5 forgets a quote and a comma between address and port.

use tamiz_sdk::report::{Format, Head, Recognition, Session, Shape, Source, Stop, TextLine, lines};

use super::{Item, TOOL, emit};
use crate::place;

/// What stands between two fields.
const BETWEEN: &str = "\",\"";

pub(crate) struct NiktoCsv;

impl Format for NiktoCsv {
    fn name(&self) -> &'static str {
        "nikto-csv"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["nikto"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        (head.shape() == Shape::Text && head.line().starts_with("\"Nikto - v")).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        let mut reached = false;
        lines(source, session, |session, line| row(session, line, &mut reached))?;
        if !reached {
            return Err(Stop::Broken(
                "nikto reached no target: the report names none".to_owned(),
            ));
        }
        Ok(())
    }
}

fn row(session: &mut Session<'_>, line: TextLine<'_>, reached: &mut bool) -> Result<(), Stop> {
    let text = line.text();
    if let Some(version) = text.strip_prefix("\"Nikto - v") {
        session.tool_is(TOOL, version.split(['/', '"']).next());
        if line.number > 1 {
            session.leave_out_record("row-without-item", &line, "begins another run, it is no item");
        }
        return Ok(());
    }
    if !line.ended && !text.ends_with('"') {
        return Err(Stop::Ended(format!("the input ends inside line {}", line.number)));
    }
    let Some(row) = Row::parse(&text) else {
        session.lose_record("record-unreadable", &line, "is no row of nikto's");
        return Ok(());
    };
    *reached = true;
    if row.method.is_empty() && row.path.is_empty() {
        session.leave_out_record(
            "row-without-item",
            &line,
            "names a target and its banner, it is no item",
        );
        return Ok(());
    }
    let host = if row.host.is_empty() { row.ip } else { row.host };
    let site = match row.port {
        "" => format!("http://{host}"),
        port => format!("http://{host}:{port}"),
    };
    let url = place::join(&site, row.path);
    let item = Item {
        osvdb: row.reference.strip_prefix("OSVDB-").unwrap_or_default(),
        method: row.method,
        url: &url,
        path: row.path,
        message: &row.message,
        references: row.reference,
        ..Item::default()
    };
    emit(session, &line, &item)
}

struct Row<'line> {
    host: &'line str,
    ip: &'line str,
    port: &'line str,
    reference: &'line str,
    method: &'line str,
    path: &'line str,
    message: String,
}

impl<'line> Row<'line> {
    fn parse(line: &'line str) -> Option<Self> {
        let line = line.strip_prefix('"')?.strip_suffix('"')?;
        let mut fields = line.split(BETWEEN);
        let host = fields.next()?;
        let ip = fields.next()?;
        // 2.1.5 writes `"127.0.0.1SCALAR(0x55971c10af38)"8082"` for address and port.
        let (ip, port) = match ip.split_once('"') {
            Some((ip, port)) => (ip.split("SCALAR(").next()?, port),
            None => (ip, fields.next()?),
        };
        let (reference, method, path) = (fields.next()?, fields.next()?, fields.next()?);
        let message: Vec<_> = fields.collect();
        if message.is_empty() {
            return None;
        }
        Some(Self {
            host,
            ip,
            port,
            reference,
            method,
            path,
            message: message.join(BETWEEN).replace("\"\"", "\""),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Row;

    #[track_caller]
    fn check(line: &str, expected: Option<[&str; 7]>) {
        let row = Row::parse(line);
        let found = row.as_ref().map(|row| {
            let message = row.message.as_str();
            [
                row.host,
                row.ip,
                row.port,
                row.reference,
                row.method,
                row.path,
                message,
            ]
        });
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn rows_are_read_with_and_without_forgotten_quotes() {
        check(
            r#""a.test","127.0.0.1SCALAR(0x1)"8082","OSVDB-0","GET","/","x ""y"" z""#,
            Some(["a.test", "127.0.0.1", "8082", "OSVDB-0", "GET", "/", "x \"y\" z"]),
        );
        check(
            r#""a.test","127.0.0.1","80","","","","nginx""#,
            Some(["a.test", "127.0.0.1", "80", "", "", "", "nginx"]),
        );
        check(r#""a.test","127.0.0.1""#, None);
        check("a", None);
    }
}
