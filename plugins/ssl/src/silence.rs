//! The empty list, which is no report: a tool that reached its target has something to say.

use tamiz_sdk::report::{Format, Head, Recognition, Session, Shape, Source, Stop};

pub(crate) struct Silence;

impl Format for Silence {
    fn name(&self) -> &'static str {
        "empty-list"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["testssl.sh, stopped before its first check"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        (head.shape() == Shape::Array && head.is_empty()).into()
    }

    fn convert(&self, _source: Source<'_>, _session: &mut Session<'_>) -> Result<(), Stop> {
        let problem = "the report is an empty list, without a server that answered";
        Err(Stop::Broken(problem.to_owned()))
    }
}
