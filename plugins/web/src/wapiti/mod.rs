//! wapiti's reports, 2.3 and later: JSON and XML.
//!
//! Shapes: <https://github.com/wapiti-scanner/wapiti>, `wapitiCore/report/`. What an entry's class means
//! (description, solution, references) stands once per class. A report without an entry that counts no
//! crawled page is that of a dead target, and refused; versions before 3.0.5 do not count.

mod json;
mod xml;

pub(crate) use json::WapitiJson;
pub(crate) use xml::WapitiXml;

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Record, Session, Stop};
use tamiz_sdk::vocabulary::{SeverityTable, cwes};

use crate::html;
use crate::place;

const TOOL: &str = "wapiti";

/// Its levels.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "wapiti",
    words: &[
        ("4", Severity::Critical),
        ("3", Severity::High),
        ("2", Severity::Medium),
        ("1", Severity::Low),
        ("0", Severity::Info),
    ],
};

/// What a class of flaws is.
#[derive(Default)]
struct Class {
    name: String,
    description: String,
    solution: String,
    /// Titles and addresses.
    references: Vec<(String, String)>,
    codes: Vec<String>,
}

/// One flaw, whatever the format.
struct Flaw<'a> {
    /// `vulnerabilities`, `anomalies` or `additionals`.
    section: &'a str,
    method: &'a str,
    path: &'a str,
    level: Option<&'a str>,
    parameter: &'a str,
    info: &'a str,
    module: &'a str,
    request: &'a str,
    /// Has the whole address, where the report does not name the target.
    curl: &'a str,
    codes: Vec<&'a str>,
}

fn emit(
    session: &mut Session<'_>,
    record: &dyn Record,
    target: &str,
    class: &Class,
    flaw: &Flaw<'_>,
) -> Result<(), Stop> {
    let severity = session.severity(&SEVERITIES, flaw.level, record);
    let info = if flaw.info.is_empty() {
        &class.name
    } else {
        flaw.info
    };
    let message = if class.description.is_empty() {
        info.to_owned()
    } else {
        format!("{info}\n\n{}", class.description)
    };
    let base = html::addresses(flaw.curl).next().filter(|_| target.is_empty());
    let url = place::join(base.unwrap_or(target), flaw.path);
    let evidence = place::request_line(flaw.request);
    // several cookies or headers of one address are several flaws
    let parameter = match flaw.parameter {
        "" => subject(info),
        parameter => parameter,
    };
    let mut finding = FindingBuilder::new(
        TOOL,
        if class.name.is_empty() {
            "flaw"
        } else {
            &class.name
        },
    )
    .title(info)
    .message(&message)
    .severity(severity, flaw.level)
    .category(match flaw.section {
        "anomalies" => "anomaly",
        "additionals" => "technology",
        _ => "security",
    })
    .location(place::at(&url, flaw.method, parameter, evidence))
    .remediation(&class.solution);
    for (title, address) in &class.references {
        finding = finding.reference(address);
        for cwe in cwes(title) {
            finding = finding.cwe(cwe);
        }
    }
    for code in class
        .codes
        .iter()
        .map(String::as_str)
        .chain(flaw.codes.iter().copied())
    {
        finding = finding.tag(&code.to_lowercase());
    }
    if !flaw.module.is_empty() {
        finding = finding.extra_text("module", flaw.module);
    }
    session.emit(finding, record)
}

/// The cookie or header that a flaw's words are about; empty when they are about none.
fn subject(info: &str) -> &str {
    let cookie = info.split_once(" in the cookie").map(|(_, rest)| rest);
    let cookie = cookie.map(|rest| rest.trim_start_matches([' ', ':']));
    let header = || info.strip_suffix(" is not set");
    let said = cookie.or_else(header).unwrap_or_default().trim();
    let is_name = !said.is_empty() && !said.contains(char::is_whitespace);
    if is_name { said } else { "" }
}

/// For a report without an entry.
fn judge_silence(session: &mut Session<'_>, crawled: Option<i64>) -> Result<(), Stop> {
    match crawled {
        Some(pages) if pages > 0 => session.covered(),
        Some(_) => {
            let problem = "wapiti crawled no page: the target did not answer";
            return Err(Stop::Broken(problem.to_owned()));
        }
        None => {
            let message = "wapiti lists nothing and counts no pages: nothing shows that the target answered";
            session.gap("no-contact-shown", message, None);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::subject;

    #[test]
    fn cookies_and_headers_of_one_address_are_told_apart() {
        for (info, expected) in [
            ("HttpOnly flag is not set in the cookie : session", "session"),
            ("Secure flag is not set in the cookie: lang", "lang"),
            ("X-Frame-Options is not set", "X-Frame-Options"),
            ("CSP is not set for this", ""),
        ] {
            assert_eq!(subject(info), expected);
        }
    }
}
