//! The empty list, which is no report: `WhatWeb` and others write it for a target that is dead.
//!
//! Those tools that have nothing to say about a living target say at least that it lives. What names
//! neither a tool nor a target cannot be told from a scan that never came through, and must not be read
//! as "nothing found".

use tamiz_sdk::report::{Format, Head, Recognition, Session, Shape, Source, Stop};

pub(crate) struct Silence;

impl Format for Silence {
    fn name(&self) -> &'static str {
        "empty-list"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["whatweb for a target that did not answer"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        (head.shape() == Shape::Array && head.is_empty()).into()
    }

    fn convert(&self, _source: Source<'_>, _session: &mut Session<'_>) -> Result<(), Stop> {
        let problem = "the report is an empty list, without a target that answered: tools write this for a dead \
                       target";
        Err(Stop::Broken(problem.to_owned()))
    }
}
