//! wapiti's XML: the same as its JSON, with the texts of a class in front of its entries.

use tamiz_sdk::report::{Event, Format, Head, Recognition, Session, Source, Stop, XmlRecord, walk};

use super::{Class, Flaw, TOOL, emit, judge_silence};

/// References of a class that are kept; wapiti has three or four.
const REFERENCES_MAX: usize = 32;

pub(crate) struct WapitiXml;

#[derive(Default)]
struct Walk {
    target: String,
    crawled: Option<i64>,
    section: &'static str,
    class: Class,
    /// Pages that were crawled are called entries, too.
    in_pages: bool,
}

impl Format for WapitiXml {
    fn name(&self) -> &'static str {
        "wapiti-xml"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["wapiti"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "report.report_infos",
            "report.vulnerabilities",
            "report.anomalies",
            "report.report_infos.info",
        ];
        (head.root() == "report" && head.count(&keys) >= 2).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let mut state = Walk::default();
        let mut reader = source.xml()?;
        let details = ["info", "description", "solution", "reference"];
        walk(&mut reader, session, &["entry"], &details, |session, event| {
            match event {
                Event::Open(node) => state.open(node.name(), node.attribute("name")),
                Event::Close("crawled_pages") => state.in_pages = false,
                Event::Close(_) => {}
                Event::Record(record) if record.node.name() != "entry" => state.detail(session, &record),
                Event::Record(_) if state.in_pages => {}
                Event::Record(record) => return state.entry(session, &record),
            }
            Ok(())
        })?;
        if session.records() == before {
            return judge_silence(session, state.crawled);
        }
        Ok(())
    }
}

impl Walk {
    fn open(&mut self, element: &str, name: Option<&str>) {
        match element {
            "crawled_pages" => self.in_pages = true,
            "vulnerabilities" => self.section = "vulnerabilities",
            "anomalies" => self.section = "anomalies",
            "additionals" => self.section = "additionals",
            "vulnerability" | "anomaly" | "additional" => {
                self.class = Class {
                    name: name.unwrap_or_default().to_owned(),
                    ..Class::default()
                };
            }
            _ => {}
        }
    }

    fn detail(&mut self, session: &mut Session<'_>, record: &XmlRecord<'_>) {
        let node = record.node;
        let text = node.text();
        match (node.name(), node.attribute("name").unwrap_or_default()) {
            ("info", "target") => self.target = text.into_owned(),
            ("info", "crawledPages") => self.crawled = text.trim().parse().ok(),
            ("info", "generatorVersion") => {
                session.tool_is(TOOL, Some(text.strip_prefix("Wapiti ").unwrap_or(&text)));
            }
            ("description", _) => self.class.description = text.into_owned(),
            ("solution", _) => self.class.solution = text.into_owned(),
            ("reference", _) if self.class.references.len() < REFERENCES_MAX => {
                let title = node.child_text("title").into_owned();
                let address = node.child_text("url").into_owned();
                self.class.references.push((title, address));
                if let Some(codes) = node.child("wstg") {
                    self.class.codes = codes.all("code").map(|code| code.text().into_owned()).collect();
                }
            }
            _ => {}
        }
    }

    fn entry(&self, session: &mut Session<'_>, record: &XmlRecord<'_>) -> Result<(), Stop> {
        let node = record.node;
        let text = |name: &str| node.child_text(name);
        let (method, path, level) = (text("method"), text("path"), text("level"));
        let (parameter, info, module) = (text("parameter"), text("info"), text("module"));
        let (request, curl) = (text("http_request"), text("curl_command"));
        let flaw = Flaw {
            section: self.section,
            method: &method,
            path: &path,
            level: Some(&*level).filter(|level| !level.is_empty()),
            parameter: &parameter,
            info: &info,
            module: &module,
            request: &request,
            curl: &curl,
            codes: Vec::new(),
        };
        emit(session, record, &self.target, &self.class, &flaw)
    }
}
