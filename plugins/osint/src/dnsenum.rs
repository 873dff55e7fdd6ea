//! dnsenum's XML (1.2 to 1.3), which is made for `MagicTree`: `<host>ADDRESS<hostname>NAME</hostname></host>`.
//!
//! Each `host` is a record; the names beside them (`fqdn`) are said again, or have no address. Shape:
//! <https://github.com/fwaeytens/dnsenum>. Without a host no name server answered, and the report is
//! refused.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::report::{Event, Format, Head, Recognition, Session, Source, Stop, walk};

use crate::found;

const TOOL: &str = "dnsenum";

pub(crate) struct DnsEnum;

impl Format for DnsEnum {
    fn name(&self) -> &'static str {
        "dnsenum-xml"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["dnsenum"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        (head.root() == "magictree").into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let mut reader = source.xml()?;
        walk(&mut reader, session, &["host"], &[], |session, event| {
            let Event::Record(record) = event else {
                return Ok(());
            };
            let address = record.node.text();
            let name = record.node.child_text("hostname");
            let named = if name.is_empty() { &address } else { &name };
            found::emit(session, &record, "host", named, || {
                let finding = FindingBuilder::new(TOOL, "dns-record")
                    .title(&format!("{named} exists"))
                    .message(&format!("{named} has the address {address}"))
                    .category("dns");
                found::extras(found::name(finding, named, "A"), &[("address", &address)])
            })
        })?;
        if session.records() > before {
            return Ok(());
        }
        let problem = "dnsenum found no host at all: no name server answered for the domain";
        Err(Stop::Broken(problem.to_owned()))
    }
}
