//! Accounts of a name: sherlock's CSV, maigret's NDJSON and simple JSON.
//!
//! Each row, line or site is a record. One where the account is (`Claimed`) is a finding; of the others
//! it is said that they are none, and of sites that did not answer that nothing is known. Shapes:
//! <https://sherlockproject.xyz>, <https://maigret.readthedocs.io>.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Object, Text, Texts, Whole};
use tamiz_sdk::json::{Kind, Located};
use tamiz_sdk::limits::RECORD_BYTES;
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Record, Session, Source, Stop, json_lines, members, rows,
};

use crate::found;

pub(crate) struct Sherlock;

pub(crate) struct MaigretLines;

pub(crate) struct MaigretSites;

/// An account, or none, from any form.
struct Account<'a> {
    tool: &'static str,
    user: &'a str,
    site: &'a str,
    url: &'a str,
    status: &'a str,
    http_status: String,
    tags: Vec<&'a str>,
}

#[derive(Deserialize)]
struct Site<'a> {
    #[serde(borrow, default)]
    sitename: Text<'a>,
    #[serde(borrow, default)]
    username: Text<'a>,
    #[serde(borrow, default)]
    url_user: Text<'a>,
    #[serde(default)]
    http_status: Whole,
    #[serde(borrow, default)]
    status: Field<Object<Status<'a>>>,
}

#[derive(Deserialize, Default)]
struct Status<'a> {
    #[serde(borrow, default)]
    username: Text<'a>,
    #[serde(borrow, default)]
    site_name: Text<'a>,
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default, rename = "status")]
    word: Text<'a>,
    #[serde(borrow, default)]
    tags: Texts<'a>,
}

impl Format for Sherlock {
    fn name(&self) -> &'static str {
        "sherlock-csv"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["sherlock"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.has_columns(&["username", "name", "url_user", "exists"])
            .into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("sherlock", None);
        let before = session.records();
        // Up to 2019 in milliseconds.
        let times = ["response_time_s", "response_time_ms"];
        let whole_header = times.iter().any(|time| source.head().has_columns(&[time]));
        let mut table = source.table()?;
        rows(&mut table, session, |session, row| {
            // Its writer ends every row; the last field, a time, does not tell.
            if !row.is_ended() {
                return Err(Stop::Ended(format!("line {} ends early", row.line())));
            }
            let account = Account {
                tool: "sherlock",
                user: &row.get("username"),
                site: &row.get("name"),
                url: &row.get("url_user"),
                status: &row.get("exists"),
                http_status: row.get("http_status").into_owned(),
                tags: Vec::new(),
            };
            account.take(session, &row)
        })?;
        if session.records() == before && !whole_header {
            return Err(Stop::Ended("the header ends early".to_owned()));
        }
        Ok(())
    }
}

impl Format for MaigretLines {
    fn name(&self) -> &'static str {
        "maigret-ndjson"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["maigret"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "sitename",
            "url_user",
            "status",
            "http_status",
            "site",
            "url_main",
        ];
        let list = [
            "[].sitename",
            "[].url_user",
            "[].status",
            "[].http_status",
            "[].site",
            "[].url_main",
        ];
        (head.count(&keys) >= 4 || head.count(&list) >= 4).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("maigret", None);
        json_lines(source, session, |session, element| site(session, &element, ""))
    }
}

impl Format for MaigretSites {
    fn name(&self) -> &'static str {
        "maigret-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["maigret"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = ["*.url_user", "*.status", "*.http_status", "*.site", "*.url_main"];
        (head.count(&keys) >= 4).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("maigret", None);
        let mut reader = source.json()?;
        members(&mut reader, session, |reader, session, name, kind| {
            match reader.value(RECORD_BYTES)? {
                Located::Whole { bytes, span } if kind == Kind::Object => {
                    site(session, &Element::named(name, bytes, span), name)?;
                }
                Located::Whole { span, .. } | Located::TooLarge { span } | Located::TooDeep { span } => {
                    let message = format!("{name} could not be read: it is no object, or too large or deep");
                    session.lose("record-unreadable", &message, span);
                }
            }
            Ok(true)
        })?;
        Ok(reader.finish()?)
    }
}

fn site(session: &mut Session<'_>, element: &Element<'_>, name: &str) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(site) = element.read_or_lose::<Site<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    let fields = [
        ("username", site.username.is_wrong()),
        ("url_user", site.url_user.is_wrong()),
        ("http_status", site.http_status.is_wrong()),
        ("status", site.status.is_wrong()),
    ];
    element.tell_wrong(session, &fields);
    let none = Status::default();
    let status = site.status.object().unwrap_or(&none);
    let first = |texts: &[&str]| {
        texts
            .iter()
            .find(|text| !text.is_empty())
            .map_or(String::new(), |text| (*text).to_owned())
    };
    let account = Account {
        tool: "maigret",
        user: &first(&[site.username.text(), status.username.text()]),
        site: &first(&[site.sitename.text(), status.site_name.text(), name]),
        url: &first(&[site.url_user.text(), status.url.text()]),
        status: status.word.text(),
        http_status: site
            .http_status
            .get()
            .map(ToString::to_string)
            .unwrap_or_default(),
        tags: status.tags.texts().collect(),
    };
    account.take(session, element)
}

impl Account<'_> {
    fn take(&self, session: &mut Session<'_>, record: &dyn Record) -> Result<(), Stop> {
        let is = |word: &str| self.status.trim().eq_ignore_ascii_case(word);
        if is("Available") || is("Illegal") || is("no") || is("False") {
            let why = format!("says that {} has no account at {}", self.user, self.site);
            session.leave_out_record("no-account", record, &why);
            return Ok(());
        }
        // Words of sherlock's first versions.
        if !is("Claimed") && !is("yes") && !is("True") {
            let why = format!(
                "does not know whether {} has an account at {}: `{}`",
                self.user, self.site, self.status
            );
            session.gap_record("account-unknown", record, &why);
            return Ok(());
        }
        let named = if self.url.is_empty() { self.site } else { self.url };
        found::emit(session, record, "site", named, || self.finding())
    }

    fn finding(&self) -> FindingBuilder {
        let title = format!("{} has an account at {}", self.user, self.site);
        let mut finding = FindingBuilder::new(self.tool, "account-found")
            .title(&title)
            .message(&format!("{title}: {}", self.url))
            .category("account");
        for tag in &self.tags {
            finding = finding.tag(tag);
        }
        let pairs = [
            ("user", self.user),
            ("site", self.site),
            ("http-status", self.http_status.as_str()),
        ];
        found::extras(found::url(finding, self.url), &pairs)
    }
}
