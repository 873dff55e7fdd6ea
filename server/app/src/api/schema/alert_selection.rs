//! Which alerts a decision is about: named ones, or all of a project that fit.

use async_graphql::{InputObject, OneofObject};
use tamiz_core::{AlertId, ProjectId, Refusal};

use super::alert_page::AlertFilter;
use super::id::Ref;
use crate::flow::triage::Chosen;

/// The alerts of a decision.
#[derive(OneofObject)]
pub(crate) enum AlertSelection {
    /// These: 1 to 1,000 alerts of one project.
    Ids(Vec<Ref<AlertId>>),
    /// All that fit, at most 10,000.
    Matching(Box<MatchingAlertsInput>),
}

/// All alerts of a project that fit, at most 10,000.
#[derive(InputObject)]
pub(crate) struct MatchingAlertsInput {
    /// Of which project.
    project_id: Ref<ProjectId>,
    /// Which; without one, those that are open.
    filter: Option<AlertFilter>,
    /// Refuse if they are not so many, as a dry run told in `matched`.
    expected_count: Option<i32>,
}

/// What `alertIds` and `alerts` of an input choose together.
pub(super) fn chosen(
    (ids, selection): (Option<Vec<Ref<AlertId>>>, Option<AlertSelection>),
) -> Result<Chosen, Refusal> {
    let named = |ids: Vec<Ref<AlertId>>| Chosen::Ids(ids.into_iter().map(AlertId::from).collect());
    match (ids, selection) {
        (Some(ids), None) | (None, Some(AlertSelection::Ids(ids))) => Ok(named(ids)),
        (None, Some(AlertSelection::Matching(input))) => {
            let input = *input;
            let filter = input.filter.unwrap_or_default().into_store();
            Ok(Chosen::Matching {
                project: input.project_id.into(),
                filter: Box::new(filter.map_err(within)?),
                // a count below none is never right, and neither is the greatest
                expected: input
                    .expected_count
                    .map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
            })
        }
        (Some(_), Some(_)) => Err(Refusal::invalid(
            "alerts",
            "must not be given together with alertIds",
        )),
        (None, None) => Err(Refusal::invalid("alerts", "must say which alerts")),
    }
}

/// A filter's refusal, with its place in the input of a mutation.
fn within(refusal: Refusal) -> Refusal {
    let path = ["input", "alerts", "matching"].map(str::to_owned).into_iter();
    Refusal {
        path: path.chain(refusal.path).collect(),
        ..refusal
    }
}
