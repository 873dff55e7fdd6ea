//! sslyze's JSON: 1 and 2 (`accepted_targets`), 3 and 4 (`scan_commands_results`), 5 and 6 (`scan_result`,
//! each command with its `status`). Keys are sorted up to version 4.
//!
//! A record is what the server accepts: a cipher suite, an outdated protocol version, and each weakness
//! that a command shows. Commands that are passed are none. Shape:
//! <https://nabla-c0d3.github.io/sslyze/documentation/json-output.html>.
//!
//! A dead target has an entry without results (`connectivity_status` is `ERROR`), or stands in
//! `server_connectivity_errors`, earlier in `invalid_targets`; a report without another one is refused.

mod certificate;
mod command;

use serde_json::Value;
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::report::{
    Format, Head, Recognition, Session, Source, Stop, each, members, objects, small_text, span_since,
};

use crate::ahead::{self, Members};
use crate::endpoint::Endpoint;
use certificate::Expiries;

const TOOL: &str = "sslyze";

pub(crate) struct Sslyze;

/// What is known while reading.
#[derive(Default)]
struct Reading {
    servers: Vec<Members>,
    next_server: usize,
    server: Endpoint,
    /// Whether some server was reached.
    contact: bool,
    problem: Option<String>,
    expiries: Expiries,
}

impl Format for Sslyze {
    fn name(&self) -> &'static str {
        "sslyze-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["sslyze"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "server_scan_results",
            "sslyze_version",
            "sslyze_url",
            "date_scans_started",
            "date_scans_completed",
            "server_connectivity_errors",
        ];
        let inner = [
            "server_scan_results[].server_location",
            "server_scan_results[].scan_result",
            "server_scan_results[].scan_commands_results",
        ];
        let early = [
            "accepted_targets",
            "invalid_targets",
            "sslyze_version",
            "sslyze_url",
        ];
        let early = head.has("accepted_targets[].commands_results") || head.count(&early) >= 3;
        let late = head.has("server_scan_results") && head.count(&keys) + head.count(&inner) >= 2;
        (late || early).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        let head = source.head();
        session.tool_is(TOOL, head.text("sslyze_version"));
        let mut reader = source.json()?;
        let keys = ["server_location", "server_info"];
        let list = if head.has("accepted_targets") {
            "accepted_targets"
        } else {
            "server_scan_results"
        };
        let mut reading = Reading {
            servers: ahead::members_of(&mut reader, list, &keys)?,
            ..Reading::default()
        };
        members(&mut reader, session, |reader, session, key, kind| {
            match (key, kind) {
                ("server_scan_results" | "accepted_targets", Kind::Array) => {
                    objects(reader, session, key, |reader, session, name| {
                        reading.one_server(reader, session, name)
                    })?;
                }
                ("server_connectivity_errors" | "invalid_server_strings", Kind::Array) => {
                    each(reader, session, key, |session, element| {
                        let value: Value = serde_json::from_slice(element.bytes()).unwrap_or_default();
                        let text = |key: &str| ahead::text(value.get(key));
                        let problem = format!("{}: {}", text("server_string"), text("error_message"));
                        reading.missed(session, &problem);
                        Ok(())
                    })?;
                }
                ("invalid_targets", Kind::Array) => {
                    each(reader, session, key, |session, element| {
                        let targets: Members = serde_json::from_slice(element.bytes()).unwrap_or_default();
                        for (server, error) in &targets {
                            let problem = format!("{server}: {}", ahead::text(Some(error)));
                            reading.missed(session, &problem);
                        }
                        Ok(())
                    })?;
                }
                ("sslyze_version", Kind::String) => {
                    let version = small_text(reader)?;
                    session.tool_is(TOOL, version.as_deref());
                }
                ("date_scans_completed", Kind::String) => {
                    let start = reader.offset();
                    let date = small_text(reader)?.unwrap_or_default();
                    let span = span_since(reader, start);
                    reading.expiries.tell(session, &date, span)?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        reader.finish()?;
        if reading.contact {
            session.covered();
            return Ok(());
        }
        let problem = reading.problem.unwrap_or_else(|| "no server is in it".to_owned());
        Err(Stop::Broken(format!(
            "sslyze did not reach its target: {problem}"
        )))
    }
}

impl Reading {
    /// A target that was not looked at.
    fn missed(&mut self, session: &mut Session<'_>, problem: &str) {
        session.gap(
            "target-not-scanned",
            &format!("sslyze did not reach {problem}"),
            None,
        );
        self.problem.get_or_insert_with(|| problem.to_owned());
    }

    fn one_server(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        name: &str,
    ) -> Result<(), Stop> {
        self.server = self
            .servers
            .get(self.next_server)
            .map(endpoint)
            .unwrap_or_default();
        self.next_server += 1;
        let (mut trace, mut dead) = (String::new(), false);
        members(reader, session, |reader, session, key, kind| {
            match (key, kind) {
                ("scan_result" | "scan_commands_results" | "commands_results", Kind::Object) => {
                    self.contact = true;
                    if key != "scan_result" {
                        self.expiries.expect_no_date();
                    }
                    self.commands(reader, session, name)?;
                }
                ("scan_commands_errors", Kind::Object) => {
                    members(reader, session, |_, session, command, _| {
                        let message = format!("{name}: sslyze's command `{command}` failed");
                        session.gap("check-not-done", &message, None);
                        Ok(false)
                    })?;
                }
                ("connectivity_status", Kind::String) => {
                    dead = small_text(reader)?.is_some_and(|status| status == "ERROR");
                }
                ("connectivity_error_trace", Kind::String) => {
                    trace = small_text(reader)?.unwrap_or_default();
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if dead {
            let last = trace
                .lines()
                .rfind(|line| !line.trim().is_empty())
                .unwrap_or_default();
            let problem = format!("{}: {}", self.server.shown(), last.trim());
            self.missed(session, &problem);
        } else if !self.server.host.is_empty() {
            session.target_is(&self.server.shown());
        }
        Ok(())
    }

    fn commands(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        name: &str,
    ) -> Result<(), Stop> {
        members(reader, session, |reader, session, key, kind| {
            if kind != Kind::Object {
                return Ok(false);
            }
            let place = format!("{name}.{key}");
            let mut command = command::Command::new(key, &place, &self.server, &mut self.expiries);
            command.read(reader, session)?;
            command.end(session)?;
            Ok(true)
        })
    }
}

/// The server of a result: `server_location`, in versions 3 and 4 `server_info.server_location`, before
/// them `server_info`.
fn endpoint(members: &Members) -> Endpoint {
    let info = members.get("server_info");
    let inner = info.and_then(|info| info.get("server_location"));
    let location = members.get("server_location").or(inner).or(info);
    let member = |key: &str| ahead::text(location.and_then(|location| location.get(key)));
    let host = match member("hostname") {
        name if name.is_empty() => member("ip_address"),
        name => name,
    };
    Endpoint::new(&host, &member("port"))
}
