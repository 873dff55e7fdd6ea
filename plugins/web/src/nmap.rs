//! nmap's XML (7.x; masscan writes the same): a record per open port, with what the scripts said about it.
//!
//! Shape: <https://nmap.org/book/nmap-dtd.html>. A script that names a vulnerability in the form of nmap's
//! library `vulns`, or as the scripts `vulners` and `vulscan` do, makes a record of its own for each; what the
//! other scripts say stands with their port, or, for scripts about the whole host, in a record of its own. Ports
//! that are not open are no records. A report in which no port and no host answered is refused.

use std::fmt::Write as _;

use tamiz_sdk::limits::WORD_BYTES;
use tamiz_sdk::model::{Confidence, Location, LogLevel, NetworkEndpoint, Severity};
use tamiz_sdk::report::{Event, Format, Head, Recognition, Record, Session, Source, Stop, XmlRecord, walk};
use tamiz_sdk::vocabulary::{SeverityTable, advisories, score_severity};
use tamiz_sdk::xml::Node;
use tamiz_sdk::{FindingBuilder, clean_line};

/// States of nmap's library `vulns`; scores beat them.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "nmap scripts",
    words: &[
        ("VULNERABLE (Exploitable)", Severity::Critical),
        ("VULNERABLE (DoS)", Severity::Medium),
        ("VULNERABLE", Severity::High),
        ("LIKELY VULNERABLE", Severity::Medium),
        ("(open port)", Severity::Info),
    ],
};

/// States in which a port answers as one with a service does.
const OPEN: [&str; 3] = ["open", "open|filtered", "unfiltered"];

/// Vulnerabilities of one script that become records; vulners names some hundreds for an old server.
const VULNERABILITIES_MAX: usize = 2000;

pub(crate) struct Nmap;

/// What is known of the host that is being read.
#[derive(Default)]
struct Walk {
    tool: String,
    address: String,
    name: String,
    /// Whether anything answered.
    reached: bool,
}

impl Format for Nmap {
    fn name(&self) -> &'static str {
        "nmap-xml"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["nmap", "masscan"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        (head.root() == "nmaprun").into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        let mut state = Walk {
            tool: "nmap".to_owned(),
            ..Walk::default()
        };
        session.tool_is(&state.tool, None);
        let mut reader = source.xml()?;
        let details = ["address", "hostname", "status", "extraports", "finished"];
        walk(
            &mut reader,
            session,
            &["port", "script"],
            &details,
            |session, event| {
                match event {
                    Event::Open(node) => state.open(session, &node),
                    Event::Close(_) => {}
                    Event::Record(record) => match record.node.name() {
                        "port" => return state.port(session, &record),
                        "script" => return state.host_script(session, &record),
                        _ => state.detail(session, &record),
                    },
                }
                Ok(())
            },
        )?;
        if !state.reached {
            let problem = "nmap saw no host and no port that answered: the target is dead or filtered";
            return Err(Stop::Broken(problem.to_owned()));
        }
        session.covered();
        Ok(())
    }
}

impl Walk {
    fn open(&mut self, session: &mut Session<'_>, node: &Node<'_>) {
        match node.name() {
            "nmaprun" => {
                if let Some(scanner) = node.attribute("scanner").filter(|name| !name.is_empty()) {
                    self.tool = scanner.to_lowercase();
                }
                session.tool_is(&self.tool, node.attribute("version"));
            }
            // Scripts in front of and behind the hosts are about the scan.
            "host" | "prescript" | "postscript" => {
                self.address.clear();
                self.name.clear();
            }
            _ => {}
        }
    }

    fn detail(&mut self, session: &mut Session<'_>, record: &XmlRecord<'_>) {
        let node = record.node;
        let attribute = |name: &str| node.attribute(name).unwrap_or_default();
        match node.name() {
            "address" if attribute("addrtype") != "mac" && self.address.is_empty() => {
                attribute("addr").clone_into(&mut self.address);
            }
            // The name that the user gave comes first.
            "hostname" if self.name.is_empty() => attribute("name").clone_into(&mut self.name),
            "status" => {
                self.reached |= attribute("state") == "up" && attribute("reason") != "user-set";
            }
            "extraports" => self.reached |= attribute("state") == "closed",
            "finished" if attribute("exit") == "error" => {
                let message = format!("nmap ended with an error: {}", attribute("errormsg"));
                session.gap("tool-error", &message, None);
            }
            _ => {}
        }
    }

    fn port(&mut self, session: &mut Session<'_>, record: &XmlRecord<'_>) -> Result<(), Stop> {
        let node = record.node;
        let state = node
            .child("state")
            .and_then(|state| state.attribute("state"))
            .unwrap_or_default();
        self.reached |= matches!(state, "open" | "closed" | "unfiltered");
        if !state.is_empty() && !OPEN.contains(&state) {
            let message = format!("the port is {state}, and so no record");
            session.note(LogLevel::Debug, "port-not-open", record, &message);
            return Ok(());
        }
        let number = node.attribute("portid").unwrap_or_default();
        let protocol = node.attribute("protocol").unwrap_or("tcp");
        let service = Service::of(&node);
        let place = self.place(number, protocol, service.name);
        let mut message = format!(
            "port {number}/{protocol} is {}",
            if state.is_empty() { "open" } else { state }
        );
        if !service.name.is_empty() {
            let _ = write!(message, ": {}", service.described());
        }
        let mut scripts = Vec::new();
        for script in node.all("script") {
            let (id, output) = said(&script);
            if !output.is_empty() {
                let _ = write!(message, "\n\n{id}:\n{output}");
            }
            scripts.push(clean_line(id, WORD_BYTES).text);
        }
        let title = format!("{number}/{protocol} is open: {}", service.described());
        let mut finding = FindingBuilder::new(&self.tool, "open-port")
            .rule_name("An open port")
            .title(title.trim_end_matches([':', ' ']))
            .message(&message)
            .severity(Severity::Info, None)
            .category("discovery")
            .location(place.clone());
        for (key, value) in [("product", service.product), ("version", service.version)] {
            if !value.is_empty() {
                finding = finding.extra_text(key, value);
            }
        }
        for cpe in node
            .child("service")
            .into_iter()
            .flat_map(|service| service.all("cpe"))
        {
            finding = finding.extra_text("cpe", &cpe.text());
        }
        if let Ok(names) = serde_json::to_string(&scripts)
            && !scripts.is_empty()
        {
            finding = finding.extra_json("scripts", &names);
        }
        session.emit(finding, record)?;
        for script in node.all("script") {
            self.vulnerabilities(session, record, &script, &place)?;
        }
        Ok(())
    }

    /// A script about a host, or about the whole scan.
    fn host_script(&mut self, session: &mut Session<'_>, record: &XmlRecord<'_>) -> Result<(), Stop> {
        let is_of_host = !self.address.is_empty() || !self.name.is_empty();
        self.reached |= is_of_host;
        let place = self.place("", "", "");
        let (id, output) = said(&record.node);
        if self.vulnerabilities(session, record, &record.node, &place)? {
            return Ok(());
        }
        let mut finding = FindingBuilder::new(&self.tool, id)
            .title(&format!("{id}: {}", output.lines().next().unwrap_or("no output")))
            .message(output)
            .severity(Severity::Info, None)
            .category("discovery");
        if is_of_host {
            finding = finding.location(place);
        }
        session.emit(finding, record)
    }

    fn place(&self, port: &str, protocol: &str, service: &str) -> Location {
        let host = if self.name.is_empty() {
            &self.address
        } else {
            &self.name
        };
        let protocol = if service.is_empty() {
            protocol.to_owned()
        } else {
            format!("{protocol}/{service}")
        };
        Location::Endpoint(NetworkEndpoint {
            host: host.clone(),
            port: port.parse().ok().filter(|port| *port <= 65_535),
            protocol: Some(protocol).filter(|protocol| !protocol.is_empty()),
        })
    }

    /// Makes records of the vulnerabilities that a script names; whether it speaks of any.
    fn vulnerabilities(
        &self,
        session: &mut Session<'_>,
        record: &XmlRecord<'_>,
        script: &Node<'_>,
        place: &Location,
    ) -> Result<bool, Stop> {
        let (id, _) = said(script);
        let mut budget = Budget {
            script: id,
            left: VULNERABILITIES_MAX,
        };
        let mut speaks = false;
        for table in script.all("table") {
            let state = element(&table, "state");
            if !state.is_empty() {
                speaks = true;
                if !state.starts_with("NOT ") {
                    if !budget.take(session, record) {
                        return Ok(true);
                    }
                    let finding = self.vulnerability(session, record, id, &table, &state);
                    session.emit(finding.location(place.clone()), record)?;
                }
            }
            for entry in table.all("table").filter(|entry| is_vulners(entry)) {
                speaks = true;
                if !budget.take(session, record) {
                    return Ok(true);
                }
                let known = Known {
                    id: &element(&entry, "id"),
                    score: &element(&entry, "cvss"),
                    about: &element(&entry, "type"),
                };
                session.emit(self.known(id, &known).location(place.clone()), record)?;
            }
        }
        if speaks {
            return Ok(true);
        }
        for known in said(script).1.lines().filter_map(|line| Known::of(id, line)) {
            speaks = true;
            if !budget.take(session, record) {
                return Ok(true);
            }
            session.emit(self.known(id, &known).location(place.clone()), record)?;
        }
        Ok(speaks)
    }

    /// In the form of the library `vulns`.
    fn vulnerability(
        &self,
        session: &mut Session<'_>,
        record: &XmlRecord<'_>,
        script: &str,
        table: &Node<'_>,
        state: &str,
    ) -> FindingBuilder {
        let severity = session.severity(&SEVERITIES, Some(state), record);
        let title = element(table, "title");
        let lines = |key: &str| -> Vec<String> {
            let list = table
                .all("table")
                .find(|inner| inner.attribute("key") == Some(key));
            let texts = list.into_iter().flat_map(|list| list.all("elem"));
            texts.map(|text| text.text().into_owned()).collect()
        };
        let title = if title.is_empty() { script } else { &title };
        let mut description = lines("description").join("\n");
        if description.is_empty() {
            title.clone_into(&mut description);
        }
        let mut finding = FindingBuilder::new(&self.tool, script)
            .title(title)
            .message(&description)
            .severity(severity, Some(state))
            .confidence(if state.starts_with("LIKELY") {
                Confidence::Medium
            } else {
                Confidence::High
            })
            .category("security");
        let key = table.attribute("key").unwrap_or_default();
        for id in lines("ids")
            .iter()
            .map(String::as_str)
            .chain([key])
            .flat_map(advisories)
        {
            finding = finding.cve(id);
        }
        for address in lines("refs") {
            finding = finding.reference(&address);
        }
        finding
    }

    /// What a list of vulnerabilities knows of the version of the program.
    fn known(&self, script: &str, known: &Known<'_>) -> FindingBuilder {
        let score = known.score.parse().ok();
        let severity = score.and_then(score_severity).unwrap_or(Severity::Info);
        let mut finding = FindingBuilder::new(&self.tool, known.id)
            .rule_name(script)
            .title(&format!("{} is known for this version", known.id))
            .severity(severity, Some(known.score).filter(|score| !score.is_empty()))
            .confidence(Confidence::Low)
            .category("security");
        finding = if known.score.is_empty() {
            finding.message(&format!("{script}: {}: {}", known.id, known.about))
        } else {
            let (kind, id) = (known.about, known.id);
            finding
                .message(&format!("{script}: {id}, with a score of {}", known.score))
                .reference(&format!("https://vulners.com/{kind}/{id}"))
        };
        for id in advisories(known.id) {
            finding = finding.cve(id);
        }
        finding
    }
}

/// A vulnerability that `vulners` or `vulscan` lists.
struct Known<'text> {
    id: &'text str,
    score: &'text str,
    /// Its kind for `vulners`, its title for `vulscan`.
    about: &'text str,
}

impl<'text> Known<'text> {
    /// From a line, where the script has no tables: `CVE-2017-7529  5.0  https://…/cve/CVE-2017-7529`, or
    /// `[CVE-2013-4547] title`.
    fn of(script: &str, line: &'text str) -> Option<Self> {
        match script {
            "vulners" => {
                let mut words = line.split_whitespace();
                let (id, score) = (words.next()?, words.next()?);
                let address = words.next().unwrap_or_default();
                let kind = address.rsplit('/').nth(1).unwrap_or("cve");
                score.parse::<f64>().ok()?;
                Some(Self {
                    id,
                    score,
                    about: kind,
                })
            }
            "vulscan" => {
                let (id, title) = line.trim().strip_prefix('[')?.split_once("] ")?;
                id.starts_with("CVE-").then_some(Self {
                    id,
                    score: "",
                    about: title,
                })
            }
            _ => None,
        }
    }
}

/// How many of the vulnerabilities that a script names may still become records.
struct Budget<'tree> {
    script: &'tree str,
    left: usize,
}

impl Budget<'_> {
    /// Takes one; without any left, that the rest is not read is told, and nothing taken.
    fn take(&mut self, session: &mut Session<'_>, record: &XmlRecord<'_>) -> bool {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return true;
        }
        let message = format!(
            "{} names more than {VULNERABILITIES_MAX} vulnerabilities",
            self.script
        );
        session.unread("records-cut", &message, Some(record.span()));
        false
    }
}

/// What a script is called and what it said.
fn said<'tree>(script: &Node<'tree>) -> (&'tree str, &'tree str) {
    let output = script.attribute("output").unwrap_or_default();
    let id = script.attribute("id").filter(|id| !id.trim().is_empty());
    (id.unwrap_or("script"), output.trim())
}

/// The text of the first `elem` with a key.
fn element(table: &Node<'_>, key: &str) -> String {
    let found = table.all("elem").find(|elem| elem.attribute("key") == Some(key));
    found.map_or_else(String::new, |elem| elem.text().into_owned())
}

fn is_vulners(entry: &Node<'_>) -> bool {
    !element(entry, "cvss").is_empty() && !element(entry, "id").is_empty()
}

/// What nmap thinks of the program behind a port.
struct Service<'tree> {
    name: &'tree str,
    product: &'tree str,
    version: &'tree str,
}

impl<'tree> Service<'tree> {
    fn of(port: &Node<'tree>) -> Self {
        let service = port.child("service");
        let attribute = |name: &str| {
            let value = service.and_then(|service| service.attribute(name));
            value.unwrap_or_default()
        };
        Self {
            name: attribute("name"),
            product: attribute("product"),
            version: attribute("version"),
        }
    }

    fn described(&self) -> String {
        let parts = [self.name, self.product, self.version];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(" ")
    }
}
