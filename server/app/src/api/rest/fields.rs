//! What a request says beside its file: in the query string, in headers or in parts of a form, each thing once.
//!
//! A name that is not known is refused: a mistyped `failOn` must not let a build pass.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::http::HeaderMap;
use tamiz_core::Refusal;
use tamiz_core::text::cut;

use crate::api::intake;
use crate::api::refused::Refused;

/// What stands before the name of a field in a header: `scanType` is `Tamiz-Scan-Type`.
const HEADER_PREFIX: &str = "tamiz-";

/// The fields of one request.
#[derive(Debug)]
pub(super) struct Fields {
    known: &'static [&'static str],
    said: BTreeMap<&'static str, String>,
}

impl Fields {
    /// Of the query string and of headers that begin with `Tamiz-`.
    pub(super) fn of(
        known: &'static [&'static str],
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Self, Refused> {
        let mut fields = Self {
            known,
            said: BTreeMap::new(),
        };
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            fields.put(&name, value.into_owned())?;
        }
        for (name, value) in headers {
            let Some(name) = name.as_str().strip_prefix(HEADER_PREFIX) else {
                continue;
            };
            let value = value.to_str().map_err(|_| {
                let name = cut(name, 100);
                Refused::bad_request(format!("the header {HEADER_PREFIX}{name} is not plain text"))
            })?;
            fields.put(&in_camel_case(name), value.to_owned())?;
        }
        Ok(fields)
    }

    /// One more field.
    pub(super) fn put(&mut self, name: &str, value: String) -> Result<(), Refused> {
        let Some(known) = self.known.iter().find(|known| **known == name) else {
            let (name, known) = (cut(name, 100), self.known.join(", "));
            let message = format!("`{name}` is no field of this address; there are: {known}");
            return Err(Refused::bad_request(message));
        };
        if self.said.insert(known, value).is_some() {
            return Err(Refused::bad_request(format!("`{name}` is said twice")));
        }
        Ok(())
    }

    /// What was said, be it empty.
    pub(super) fn said(&self, name: &str) -> Option<&str> {
        self.said.get(name).map(String::as_str)
    }

    /// What was said; an empty variable of a pipeline says nothing.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.said(name).filter(|text| !text.is_empty())
    }

    /// `true`, or nothing.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refused> {
        match self.text(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(invalid(name, "must be true or false")),
        }
    }

    /// Anything that is written in one way.
    pub(super) fn parsed<T: FromStr>(&self, name: &str, rule: &str) -> Result<Option<T>, Refused> {
        let parse = |text: &str| text.parse().map_err(|_| invalid(name, rule));
        self.text(name).map(parse).transpose()
    }
}

/// A value that breaks a rule: 422.
pub(super) fn invalid(field: &str, rule: impl std::fmt::Display) -> Refused {
    let refusal = Refusal::invalid(field, rule).at(&[field]);
    intake::refused(refusal.into())
}

/// `scan-type` is `scanType`.
fn in_camel_case(header: &str) -> String {
    let mut words = header.split('-');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const KNOWN: &[&str] = &["project", "scanType", "failOn", "wait"];

    fn fields(query: &str, headers: &[(&'static str, &'static str)]) -> Result<Fields, Refused> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Fields::of(KNOWN, Some(query), &headers.collect())
    }

    #[test]
    fn fields_come_from_the_query_string_and_from_headers() {
        let headers = [("tamiz-scan-type", "web"), ("accept", "*/*")];
        let fields = fields("project=a%20shop&wait=7&failOn=", &headers).unwrap();
        assert_eq!(fields.text("project"), Some("a shop"));
        assert_eq!(fields.text("scanType"), Some("web"));
        assert_eq!((fields.said("failOn"), fields.text("failOn")), (Some(""), None));
        assert_eq!(fields.parsed::<u16>("wait", "a number").unwrap(), Some(7));
        assert_eq!(fields.parsed::<u16>("failOn", "a number").unwrap(), None);
    }

    #[test]
    fn what_is_mistyped_or_said_twice_is_refused() {
        for (query, headers, said) in [
            ("failon=high", &[][..], "`failon` is no field"),
            ("project=a&project=a", &[], "`project` is said twice"),
            ("project=a", &[("tamiz-project", "a")], "`project` is said twice"),
            ("", &[("tamiz-scantype", "web")], "`scantype` is no field"),
        ] {
            let refused = fields(query, headers).unwrap_err();
            assert!(refused.message().contains(said), "{}", refused.message());
        }
        let refused = fields("wait=soon", &[])
            .unwrap()
            .parsed::<u16>("wait", "must be seconds");
        assert!(refused.unwrap_err().message().contains("must be seconds"));
    }
}
