//! httpx's JSON lines (1.0 to 1.7): web servers that answered.
//!
//! Earlier versions write keys with dashes. Lines of addresses that did not answer (`failed`) are listed
//! as such. Shape: <https://docs.projectdiscovery.io/tools/httpx/usage>.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Text, Texts, Whole};
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, json_lines};

use crate::found;

const TOOL: &str = "httpx";

pub(crate) struct Httpx;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default)]
    input: Text<'a>,
    #[serde(borrow, default)]
    title: Text<'a>,
    #[serde(borrow, default)]
    webserver: Text<'a>,
    #[serde(borrow, default)]
    tech: Texts<'a>,
    #[serde(borrow, default)]
    technologies: Texts<'a>,
    #[serde(default, alias = "status-code")]
    status_code: Whole,
    #[serde(default, alias = "content-length")]
    content_length: Whole,
    #[serde(borrow, default)]
    location: Text<'a>,
    #[serde(borrow, default)]
    host: Text<'a>,
    #[serde(borrow, default)]
    host_ip: Text<'a>,
    #[serde(borrow, default)]
    error: Text<'a>,
    #[serde(borrow, default, alias = "cdn-name")]
    cdn_name: Text<'a>,
    #[serde(default)]
    failed: Field<bool>,
}

impl Format for Httpx {
    fn name(&self) -> &'static str {
        "httpx-jsonl"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["httpx"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "input",
            "status_code",
            "status-code",
            "webserver",
            "tech",
            "technologies",
            "content_length",
            "content-length",
            "failed",
            "scheme",
            "words",
            "lines",
            "chain_status_codes",
            "response-time",
        ];
        let count = |prefix: &str| {
            let found = keys.iter().filter(|key| head.has(&format!("{prefix}{key}")));
            let named = head.has(&format!("{prefix}url")) || head.has(&format!("{prefix}input"));
            named && found.count() >= 3
        };
        // ffuf's lines share many keys, and are results of the plugin for web.
        let is_ffuf = head.has_any(&["resultfile", "redirectlocation"]);
        (!is_ffuf && (count("") || count("[]."))).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        json_lines(source, session, |session, element| answer(session, &element))
    }
}

fn answer(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(answer) = element.read_or_lose::<Answer<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    let fields = [
        ("url", answer.url.is_wrong()),
        ("input", answer.input.is_wrong()),
        ("title", answer.title.is_wrong()),
        ("webserver", answer.webserver.is_wrong()),
        ("tech", answer.tech.is_wrong()),
        ("status_code", answer.status_code.is_wrong()),
    ];
    element.tell_wrong(session, &fields);
    if answer.failed.get() == Some(&true) {
        let mut why = format!("is about {}, which did not answer", answer.input.text());
        if !answer.error.text().is_empty() {
            why.extend([": ", answer.error.text()]);
        }
        session.leave_out_record("target-silent", element, &why);
        return Ok(());
    }
    let url = match answer.url.text() {
        "" => answer.input.text(),
        url => url,
    };
    let number = |number: &Whole| number.get().map(ToString::to_string).unwrap_or_default();
    let (status, length) = (number(&answer.status_code), number(&answer.content_length));
    let technologies: Vec<&str> = answer.tech.texts().chain(answer.technologies.texts()).collect();
    let technologies = technologies.join(", ");
    let address = match answer.host_ip.text() {
        "" => answer.host.text(),
        address => address,
    };
    found::emit(session, element, "address", url, || {
        let mut message = format!("{url} answers with status {status}");
        for (what, text) in [
            ("title", answer.title.text()),
            ("server", answer.webserver.text()),
            ("made with", &technologies),
        ] {
            if !text.is_empty() {
                message.extend([", ", what, ": ", text]);
            }
        }
        let finding = FindingBuilder::new(TOOL, "web-server-found")
            .title(&format!("{url} answers with status {status}"))
            .message(&message)
            .category("discovery");
        let pairs = [
            ("status", status.as_str()),
            ("length", length.as_str()),
            ("title", answer.title.text()),
            ("server", answer.webserver.text()),
            ("technologies", technologies.as_str()),
            ("redirect", answer.location.text()),
            ("address", address),
            ("cdn", answer.cdn_name.text()),
        ];
        found::extras(found::url(finding, url), &pairs)
    })
}
