//! `POST /scans/{type}`: asks for a scan of a target or an upload, or for the conversion of an uploaded report.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tamiz_core::scope::ScopeLabels;
use tamiz_core::target::TargetError;
use tamiz_core::target_text::MeantTarget;
use tamiz_core::{Refusal, Target, UploadId};
use tamiz_store::token::{Caller, Role};

use super::Rest;
use super::arrival::unsupported;
use super::fields::invalid;
use super::order::{check_served, of_subject, profile};
use super::place::Place;
use super::repeat::Key;
use super::told::accepted;
use crate::api::refused::Refused;
use crate::api::schema::TenantCaller;
use crate::api::{intake, json_body};
use crate::flow::require;
use crate::flow::start_scan::{OrderTerms, ScanOrder, Subject};

const ROUTE: &str = "/scans/{type}";

/// A whole number, be it written as one or not: to JSON 7.0 is 7.
fn whole<'a, D: Deserializer<'a>, T: TryFrom<i64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let wrong = || {
        D::Error::custom(format_args!(
            "{number} is not a whole number of the size that fits here"
        ))
    };
    // beyond 2^53 a float says nothing exact
    let exact = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    let number = exact.then_some(number as i64).ok_or_else(wrong)?;
    T::try_from(number).map(Some).map_err(|_| wrong())
}

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    project: String,
    #[serde(default)]
    create_project: bool,
    target: Option<Value>,
    upload_id: Option<String>,
    report_id: Option<String>,
    rules_upload_id: Option<String>,
    profile: Option<String>,
    options: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "whole")]
    priority: Option<i16>,
    #[serde(default, deserialize_with = "whole")]
    timeout_seconds: Option<u32>,
    run_at: Option<DateTime<Utc>>,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    branch: String,
    #[serde(default)]
    environment: String,
    #[serde(default)]
    category: String,
    commit: Option<String>,
}

pub(super) async fn start(
    State(rest): State<Rest>,
    TenantCaller(caller): TenantCaller,
    Path(scan_type): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    // who may not write is told so before anything about the request
    require(&caller, Role::Analyst).map_err(|refusal| intake::refused(refusal.into()))?;
    let key = Key::of(&headers, caller.scope.tenant_id(), ROUTE)?;
    check_type(&headers)?;
    let wish: Wish = json_body::read(body).await?;
    let order = wish.order(&scan_type, &rest, &caller).await?;
    let started = of_subject(&rest, &caller, key, order).await?;
    accepted(&rest, &caller, &started, None).await
}

impl Wish {
    async fn order(self, scan_type: &str, rest: &Rest, caller: &Caller) -> Result<ScanOrder, Refused> {
        let subject = self.subject(scan_type)?;
        let rules = self.rules_upload_id.as_deref();
        let rules = rules.map(|text| upload("rulesUploadId", text)).transpose()?;
        let profile = self.profile.as_deref().map(profile).transpose()?;
        check_served(rest, caller, scan_type).await?;
        let place = Place {
            project: &self.project,
            create: self.create_project,
        };
        Ok(ScanOrder {
            id: None,
            // last: it may make one
            project: place.find(rest, caller).await?.id,
            scan_type: scan_type.to_owned(),
            subject,
            labels: ScopeLabels {
                branch: self.branch,
                environment: self.environment,
                category: self.category,
            },
            commit: self.commit.map(|commit| commit.trim().to_owned()),
            rules,
            options: self.options.unwrap_or_default(),
            profile,
            priority: self.priority.unwrap_or(0),
            terms: OrderTerms {
                run_at: self.run_at,
                timeout_seconds: self.timeout_seconds,
                unique: self.unique,
                ..OrderTerms::default()
            },
        })
    }

    /// Exactly one thing.
    fn subject(&self, scan_type: &str) -> Result<Subject, Refused> {
        match (&self.target, self.upload_id.as_deref(), self.report_id.as_deref()) {
            (Some(said), None, None) => target(scan_type, said).map(Subject::Target),
            (None, Some(id), None) => upload("uploadId", id).map(Subject::Upload),
            (None, None, Some(id)) => upload("reportId", id).map(Subject::Report),
            _ => Err(invalid(
                "target",
                "give exactly one of target, uploadId and reportId",
            )),
        }
    }
}

fn upload(field: &str, text: &str) -> Result<UploadId, Refused> {
    text.parse()
        .map_err(|_| invalid(field, "must be the id of an upload"))
}

/// One word, read as the type of scan suggests; or an object that says what it is, as GraphQL has it.
fn target(scan_type: &str, said: &Value) -> Result<Target, Refused> {
    if let Value::String(text) = said {
        let meant = MeantTarget::of(scan_type, text);
        let meant = meant.map_err(|port| invalid("target", format_args!("{port:?} is no port")))?;
        return meant.target().map_err(refused);
    }
    let wrong = || {
        invalid(
            "target",
            "must be a text, or one of url, endpoint, domain and osint",
        )
    };
    let exact: ExactTarget = serde_json::from_value(said.clone()).map_err(|_| wrong())?;
    let target = match exact {
        ExactTarget::Url(url) => Target::url(&url),
        ExactTarget::Endpoint { host, port } => Target::endpoint(&host, port),
        ExactTarget::Domain(name) => Target::domain(&name),
        ExactTarget::Osint { kind, value } => match kind.to_ascii_lowercase().as_str() {
            "domain" => Target::domain(&value),
            "email" => Target::email(&value),
            "username" => Target::username(&value),
            _ => return Err(wrong()),
        },
    };
    target.map_err(refused)
}

/// A target that says of what kind it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum ExactTarget {
    Url(String),
    Endpoint {
        host: String,
        port: i64,
    },
    Domain(String),
    Osint {
        #[serde(rename = "type")]
        kind: String,
        value: String,
    },
}

fn refused(error: TargetError) -> Refused {
    intake::refused(Refusal::from(error).at(&["target"]).into())
}

fn check_type(headers: &HeaderMap) -> Result<(), Refused> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given
        .and_then(|given| given.split(';').next())
        .unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(unsupported("send `Content-Type: application/json`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wish_says_only_what_is_known_and_numbers_as_json_has_them() {
        let read = |wish: Value| {
            serde_json::from_value::<Wish>(wish).map(|wish| (wish.priority, wish.timeout_seconds))
        };
        let wish = json!({ "project": "shop", "priority": 7.0, "timeoutSeconds": 60 });
        assert_eq!(read(wish).unwrap(), (Some(7), Some(60)));
        assert_eq!(
            read(json!({ "project": "shop", "priority": null })).unwrap(),
            (None, None)
        );
        for bad in [
            json!({ "project": "shop", "priority": 1.5 }),
            json!({ "project": "shop", "priority": 100_000 }),
            json!({ "project": "shop", "timeoutSeconds": -1 }),
            json!({ "project": "shop", "priority": "7" }),
            json!({ "project": "shop", "brunch": "main" }),
            json!({ "target": "x" }),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_target_is_a_word_or_says_what_it_is() {
        for (scan_type, said, text) in [
            ("web", json!("https://shop.example/a"), "https://shop.example/a"),
            ("ssl", json!("shop.example"), "shop.example:443"),
            (
                "mine",
                json!({ "url": "http://shop.example" }),
                "http://shop.example/",
            ),
            (
                "mine",
                json!({ "endpoint": { "host": "shop.example", "port": 25 } }),
                "shop.example:25",
            ),
            ("mine", json!({ "domain": "shop.example" }), "shop.example"),
            (
                "osint",
                json!({ "osint": { "type": "EMAIL", "value": "jo@shop.example" } }),
                "jo@shop.example",
            ),
        ] {
            let target = target(scan_type, &said).unwrap_or_else(|refused| panic!("{}", refused.message()));
            assert_eq!(target.text(), text);
        }
        for bad in [
            json!(7),
            json!({}),
            json!({ "url": "http://a.example", "domain": "a.example" }),
            json!({ "osint": { "type": "phone", "value": "1" } }),
            json!({ "endpoint": { "host": "a.example", "port": 70_000 } }),
            json!("ftp://a.example"),
        ] {
            assert!(target("web", &bad).is_err(), "{bad}");
        }
    }
}
