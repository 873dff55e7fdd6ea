//! The empty list, which is no report: what names neither a tool nor a target proves nothing.

use tamiz_sdk::report::{Format, Head, Recognition, Session, Shape, Source, Stop};

pub(crate) struct Silence;

impl Format for Silence {
    fn name(&self) -> &'static str {
        "empty-list"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["subfinder, dnstwist and others that found nothing, or reached nobody"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        (head.shape() == Shape::Array && head.is_empty()).into()
    }

    fn convert(&self, _source: Source<'_>, _session: &mut Session<'_>) -> Result<(), Stop> {
        let problem = "the report is an empty list, which names neither a tool nor a target";
        Err(Stop::Broken(problem.to_owned()))
    }
}
