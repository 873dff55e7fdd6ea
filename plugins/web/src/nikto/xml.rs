//! nikto's XML: `niktoscan` (2.1) or `niktoscans` around it (2.1.6 and later), a `scandetails` per
//! target, an `item` per finding.

use tamiz_sdk::report::{Event, Format, Head, Recognition, Session, Source, Stop, walk};

use super::{Item, TOOL, emit};
use crate::place;

pub(crate) struct NiktoXml;

impl Format for NiktoXml {
    fn name(&self) -> &'static str {
        "nikto-xml"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["nikto"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        // For a dead target there is a DOCTYPE and no root.
        let named = |name: &str| matches!(name, "niktoscan" | "niktoscans");
        (named(head.root()) || head.doctype().is_some_and(named)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut reached = false;
        let mut site = String::new();
        let mut reader = source.xml()?;
        let end = walk(&mut reader, session, &["item"], &[], |session, event| {
            match event {
                Event::Open(node) if node.name() == "niktoscan" => {
                    session.tool_is(TOOL, node.attribute("version"));
                }
                Event::Open(node) if node.name() == "scandetails" => {
                    reached = true;
                    session.covered();
                    let name = node.attribute("sitename").filter(|name| name.contains("://"));
                    let name = name.or(node.attribute("siteip")).unwrap_or_default();
                    name.clone_into(&mut site);
                    if site.contains("://") {
                        session.target_is(&site);
                    }
                }
                Event::Record(record) => {
                    let node = record.node;
                    let (path, link) = (node.child_text("uri"), node.child_text("namelink"));
                    let (message, references) =
                        (node.child_text("description"), node.child_text("references"));
                    let url = if link.contains("://") {
                        link.into_owned()
                    } else {
                        place::join(&site, &path)
                    };
                    let item = Item {
                        id: node.attribute("id").unwrap_or_default(),
                        osvdb: node.attribute("osvdbid").unwrap_or_default(),
                        method: node.attribute("method").unwrap_or_default(),
                        url: &url,
                        path: &path,
                        message: &message,
                        references: &references,
                    };
                    return emit(session, &record, &item);
                }
                Event::Open(_) | Event::Close(_) => {}
            }
            Ok(())
        });
        match end {
            // Without `scandetails` the target was never reached, however well the report ends.
            Ok(()) | Err(Stop::Broken(_)) if !reached => Err(Stop::Broken(
                "nikto reached no target: the report has no `scandetails`".to_owned(),
            )),
            end => end,
        }
    }
}
