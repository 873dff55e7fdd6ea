//! What an address asks for: `alerts.sarif?state=open,reopened&next=…`.

use std::fmt;

use axum::http::StatusCode;
use tamiz_core::export::Format;
use tamiz_core::{AlertState, Refusal};
use uuid::Uuid;

use crate::api::refused::Refused;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) format: Format,
    /// At least one.
    pub(super) states: Vec<AlertState>,
    /// Where an earlier file ended.
    pub(super) next: Option<Next>,
}

/// Where the next file begins: with an alert; `UUID`, or `UUID.PARTS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) alert: Uuid,
    /// How many SARIF runs its tool has so far.
    pub(super) parts: u32,
}

impl Next {
    pub(super) const fn at(alert: Uuid) -> Self {
        Self { alert, parts: 0 }
    }

    fn parse(text: &str) -> Option<Self> {
        let (alert, parts) = text.split_once('.').unwrap_or((text, "0"));
        Some(Self {
            alert: alert.parse().ok()?,
            parts: parts.parse().ok()?,
        })
    }
}

impl fmt::Display for Next {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts {
            0 => write!(formatter, "{}", self.alert),
            parts => write!(formatter, "{}.{parts}", self.alert),
        }
    }
}

impl Asked {
    /// Of the last part of the path and the query string; what is not known is left aside.
    ///
    /// SARIF has only what is open, if nothing is said: code hosts show all that it has.
    pub(super) fn read(file: &str, query: &str) -> Result<Self, Refused> {
        let format = file.strip_prefix("alerts.").map(str::parse::<Format>);
        let Some(Ok(format)) = format else {
            let refusal = Refusal::not_found("export", tamiz_core::text::cut(file, 100));
            return Err(Refused::from_refusal(StatusCode::NOT_FOUND, refusal));
        };
        let (mut state, mut next) = (None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let slot = match name.as_ref() {
                "state" => &mut state,
                "next" => &mut next,
                _ => continue,
            };
            if slot.replace(value.into_owned()).is_some() {
                let message = format!("`{name}` stands in the query string twice");
                return Err(Refused::bad_request(message));
            }
        }
        let next = next.map(|next| {
            let wrong = || Refused::bad_request("`next` must be what `Tamiz-Next` said");
            Next::parse(&next).ok_or_else(wrong)
        });
        Ok(Self {
            format,
            states: states(format, state.as_deref())?,
            next: next.transpose()?,
        })
    }
}

fn states(format: Format, said: Option<&str>) -> Result<Vec<AlertState>, Refused> {
    let Some(said) = said else {
        let all = AlertState::ALL.iter().copied();
        return Ok(all
            .filter(|state| format != Format::Sarif || state.is_open())
            .collect());
    };
    let mut states = Vec::new();
    for word in said.split(',') {
        let state: AlertState = word
            .parse()
            .map_err(|error| Refused::bad_request(format!("`state`: {error}")))?;
        if !states.contains(&state) {
            states.push(state);
        }
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, query: &str) -> Result<Asked, (String, String)> {
        let told = |refused: Refused| (refused.code().to_owned(), refused.message().to_owned());
        Asked::read(file, query).map_err(told)
    }

    #[test]
    fn an_address_says_format_states_and_where_to_go_on() {
        let id = Uuid::from_u128(7);
        let asked = read("alerts.csv", &format!("state=fixed,open,fixed&x=y&next={id}.3")).unwrap();
        assert_eq!(asked.format, Format::Csv);
        assert_eq!(asked.states, [AlertState::Fixed, AlertState::Open]);
        assert_eq!(asked.next, Some(Next { alert: id, parts: 3 }));
        assert_eq!(asked.next.unwrap().to_string(), format!("{id}.3"));
        assert_eq!(Next::parse(&id.to_string()), Some(Next::at(id)));
        assert_eq!(Next::at(id).to_string(), id.to_string());
    }

    #[test]
    fn sarif_has_what_is_open_and_the_others_have_all() {
        let open = [AlertState::Open, AlertState::Reopened];
        assert_eq!(read("alerts.sarif", "").unwrap().states, open);
        for format in ["ocsf", "openvex", "cyclonedx", "csv"] {
            let asked = read(&format!("alerts.{format}"), "").unwrap();
            assert_eq!(asked.states, AlertState::ALL, "{format}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (file, query, code, message) in [
            ("alerts.pdf", "", "NOT_FOUND", "alerts.pdf"),
            ("alerts", "", "NOT_FOUND", "alerts"),
            ("findings.csv", "", "NOT_FOUND", "findings.csv"),
            ("alerts.csv", "state=closed", "BAD_REQUEST", "closed"),
            ("alerts.csv", "state=", "BAD_REQUEST", "`state`"),
            ("alerts.csv", "state=open&state=open", "BAD_REQUEST", "twice"),
            ("alerts.csv", "next=x", "BAD_REQUEST", "Tamiz-Next"),
        ] {
            let (found, said) = read(file, query).unwrap_err();
            assert_eq!(found, code, "{file} {query}");
            assert!(said.contains(message), "{said}");
        }
    }
}
