//! Which alerts are meant, and how a statement says so.

use sqlx::{Postgres, QueryBuilder};
use tamiz_core::{AlertState, Severity};

use super::read::WITH_CONTENT;
use crate::finding::content_row;

/// Which alerts of a project. All conditions hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AlertFilter {
    /// One of these states; empty means open and reopened.
    pub states: Vec<AlertState>,
    /// One of these severities; empty means any.
    pub severities: Vec<Severity>,
    /// One of these tools; empty means any.
    pub tools: Vec<String>,
    /// One of these rules; empty means any.
    pub rules: Vec<String>,
    /// One of these CWE numbers; empty means any.
    pub cwe: Vec<i32>,
    /// In exactly this file, or under it when it ends in `/`.
    pub file: Option<String>,
    /// Of this person; the empty name means nobody's.
    pub assignee: Option<String>,
    /// Last seen by a scan of this branch.
    pub branch: Option<String>,
    /// Of this environment.
    pub environment: Option<String>,
    /// Of this category.
    pub category: Option<String>,
    /// Only those that are open after the day on which they were due.
    pub overdue: bool,
}

impl AlertFilter {
    pub(super) fn wanted(&self) -> Vec<AlertState> {
        let asked: &[AlertState] = if self.states.is_empty() {
            &[AlertState::Open, AlertState::Reopened]
        } else {
            &self.states
        };
        let wanted = AlertState::ALL.iter().copied();
        wanted
            .filter(|state| asked.contains(state) && (state.is_open() || !self.overdue))
            .collect()
    }

    /// States that alerts may have that are there.
    pub(super) fn present(&self) -> Vec<i16> {
        let wanted = self.wanted().into_iter();
        wanted
            .filter(|state| *state != AlertState::Fixed)
            .map(AlertState::rank)
            .collect()
    }

    /// States that alerts may have that are gone: what is open is there.
    pub(super) fn gone(&self) -> Vec<i16> {
        let wanted = self.wanted().into_iter();
        wanted
            .filter(|state| !state.is_open())
            .map(AlertState::rank)
            .collect()
    }

    pub(super) fn severity_ranks(&self) -> Vec<i16> {
        let all = Severity::ALL.iter();
        all.filter(|severity| self.severities.is_empty() || self.severities.contains(severity))
            .map(|severity| severity.rank())
            .collect()
    }

    pub(super) const fn asks_of_content(&self) -> bool {
        !self.rules.is_empty() || !self.cwe.is_empty() || self.file.is_some()
    }

    pub(super) const fn asks_of_scope(&self) -> bool {
        !self.tools.is_empty()
            || self.branch.is_some()
            || self.environment.is_some()
            || self.category.is_some()
    }

    /// Whether the counters know the answer.
    pub(super) fn is_counted(&self) -> bool {
        !self.asks_of_content() && !self.asks_of_scope() && self.assignee.is_none() && !self.overdue
    }

    pub(super) fn push_joins(&self, query: &mut QueryBuilder<Postgres>) {
        if self.asks_of_content() {
            query.push(WITH_CONTENT);
        }
    }

    /// Conditions on the scope that saw it last.
    pub(super) fn push_scope(&self, query: &mut QueryBuilder<Postgres>) {
        if !self.tools.is_empty() {
            query
                .push(" and s.tool = any(")
                .push_bind(self.tools.clone())
                .push(")");
        }
        for (column, wanted) in [
            ("branch", &self.branch),
            ("environment", &self.environment),
            ("category", &self.category),
        ] {
            if let Some(wanted) = wanted {
                query
                    .push(" and s.")
                    .push(column)
                    .push(" = ")
                    .push_bind(wanted.clone());
            }
        }
    }

    /// Conditions that no index serves.
    pub(super) fn push_conditions(&self, query: &mut QueryBuilder<Postgres>) {
        content_row::push_conditions(query, &self.rules, self.file.as_deref());
        if !self.cwe.is_empty() {
            query.push(" and c.cwe && ").push_bind(self.cwe.clone());
        }
        match self.assignee.as_deref() {
            None => {}
            Some("") => _ = query.push(" and a.assignee is null"),
            Some(assignee) => _ = query.push(" and a.assignee = ").push_bind(assignee.to_owned()),
        }
        if self.overdue {
            query.push(" and a.due_on < (now() at time zone 'UTC')::date");
        }
    }
}
