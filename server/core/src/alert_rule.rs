//! Rules that act by themselves on a project's alerts: which alerts one fits, and what it does to them.
//!
//! All lists of a rule's [`Conditions`] that are not empty must fit, one of their values each. Of the rules that fit an
//! alert the first that dismisses and the first that sets a severity act ([`RuleBook::choose`]), in the order in which
//! they stand.
//!
//! Not here: when rules are asked, and that people's decisions win over them (the flow).

use chrono::{DateTime, Utc};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::alert::DismissalReason;
use crate::id::AlertRuleId;
use crate::identity::normal;
use crate::severity::Severity;

/// Rules of one project: each alert that an import opens is held against all of them.
pub const RULES_MAX: usize = 100;
/// Values of one condition.
pub const VALUES_MAX: usize = 20;
/// A value, in characters. It also bounds what a glob comes to when it is compiled.
pub const VALUE_CHARACTERS_MAX: usize = 200;

/// Which alerts. An empty list asks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// Of one of these tools, lower case.
    pub tools: Vec<String>,
    /// Of a rule of the tool that one of these globs fits; `*` is any text.
    pub rules: Vec<String>,
    /// Whose first place is in a file that one of these globs fits; `*` stays within a folder, `**` does not.
    pub paths: Vec<String>,
    /// With one of these CWE numbers.
    pub cwe: Vec<u32>,
    /// Whose target or first place one of these globs fits: a host, `host:port`, a name, a URL; `*` is any text.
    pub targets: Vec<String>,
    /// As bad as one of these, by the tool's word.
    pub severities: Vec<Severity>,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Action {
    /// Nobody shall act on the alert.
    Dismiss {
        /// Why.
        reason: DismissalReason,
        /// In words.
        comment: Option<String>,
        /// Until when, of an accepted risk. Then the rule does nothing any more.
        until: Option<DateTime<Utc>>,
    },
    /// The alert is as bad as this, whatever its tool says.
    SetSeverity {
        /// How bad.
        severity: Severity,
    },
}

impl Action {
    /// Whether it does nothing any more.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        matches!(self, Self::Dismiss { until: Some(until), .. } if *until <= now)
    }
}

/// What of an alert rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The tool, lower case.
    pub tool: &'a str,
    /// The tool's rule.
    pub rule: &'a str,
    /// The file of its first place.
    pub path: Option<&'a str>,
    /// CWE numbers.
    pub cwe: &'a [i32],
    /// What its scope is of; empty for source code.
    pub target: &'a str,
    /// Its first place as kind and label ([`crate::Location::label`]).
    pub place: Option<(&'a str, &'a str)>,
    /// By the tool's word.
    pub severity: Severity,
}

/// A condition that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct BadCondition {
    /// Which.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// Conditions, ready to be asked.
#[derive(Debug)]
pub struct Matcher {
    conditions: Conditions,
    rules: GlobSet,
    paths: GlobSet,
    targets: GlobSet,
}

impl Matcher {
    /// Of these conditions.
    ///
    /// # Errors
    /// [`BadCondition`] when there is none at all, a list or a value is too long, or a glob is none.
    pub fn new(conditions: Conditions) -> Result<Self, BadCondition> {
        let Conditions {
            tools,
            rules,
            paths,
            cwe,
            targets,
            severities,
        } = &conditions;
        let counts = [
            ("tools", tools.len()),
            ("rules", rules.len()),
            ("paths", paths.len()),
            ("cwe", cwe.len()),
            ("targets", targets.len()),
            ("severities", severities.len()),
        ];
        if counts.iter().all(|(_, count)| *count == 0) {
            let problem =
                "must have at least one condition: a rule for everything hides everything".to_owned();
            return Err(BadCondition {
                field: "conditions",
                problem,
            });
        }
        if let Some((field, count)) = counts.into_iter().find(|(_, count)| *count > VALUES_MAX) {
            let problem = format!("must have at most {VALUES_MAX} values, has {count}");
            return Err(BadCondition { field, problem });
        }
        for (field, texts) in [
            ("tools", tools),
            ("rules", rules),
            ("paths", paths),
            ("targets", targets),
        ] {
            texts.iter().try_for_each(|text| bounded(field, text))?;
        }
        Ok(Self {
            rules: globs("rules", rules, Slash::IsText, Case::Counts)?,
            paths: globs("paths", paths, Slash::Separates, Case::Counts)?,
            targets: globs("targets", targets, Slash::IsText, Case::IsFolded)?,
            conditions,
        })
    }

    /// Whether the alert is one of those.
    pub fn fits(&self, alert: &Subject<'_>) -> bool {
        let asked = &self.conditions;
        let is_one = |cwe: &u32| alert.cwe.iter().any(|own| i64::from(*own) == i64::from(*cwe));
        (asked.tools.is_empty() || asked.tools.iter().any(|tool| tool == alert.tool))
            && (asked.severities.is_empty() || asked.severities.contains(&alert.severity))
            && (asked.cwe.is_empty() || asked.cwe.iter().any(is_one))
            && (asked.rules.is_empty() || self.rules.is_match(alert.rule))
            && (asked.paths.is_empty()
                || alert
                    .path
                    .is_some_and(|path| self.paths.is_match(normal::path(path))))
            && (asked.targets.is_empty() || targets(alert).iter().any(|target| self.targets.is_match(target)))
    }
}

/// What an alert's target may be called: the scope's, the place as it is written, its host with and without the port.
fn targets(alert: &Subject<'_>) -> Vec<String> {
    let mut names = vec![alert.target.to_owned()];
    match alert.place {
        Some(("url", label)) => {
            names.push(label.to_owned());
            if let Ok(url) = Url::parse(label)
                && let Some(host) = url.host()
            {
                names.push(bare(&host));
                if let Some(port) = url.port_or_known_default() {
                    names.push(format!("{host}:{port}"));
                }
            }
        }
        Some(("endpoint", label)) => names.extend(with_host(label)),
        Some(("domain", label)) => names.push(label.trim_end_matches('.').to_owned()),
        Some(("flow", label)) => names.extend(label.split(" > ").flat_map(with_host)),
        _ => {}
    }
    names.retain(|name| !name.is_empty());
    names
}

/// `host:port` and the host alone, an IPv6 address without its brackets.
fn with_host(label: &str) -> [String; 2] {
    let host = match label.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => label,
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    [label.to_owned(), host.to_owned()]
}

fn bare(host: &Host<&str>) -> String {
    match host {
        Host::Ipv6(address) => address.to_string(),
        other => other.to_string(),
    }
}

fn bounded(field: &'static str, text: &str) -> Result<(), BadCondition> {
    let count = text.chars().count();
    if (1..=VALUE_CHARACTERS_MAX).contains(&count) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let problem = format!("must have values of 1 to {VALUE_CHARACTERS_MAX} printable characters");
    Err(BadCondition { field, problem })
}

/// What `/` is to `*`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slash {
    Separates,
    IsText,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Counts,
    IsFolded,
}

fn globs(field: &'static str, texts: &[String], slash: Slash, case: Case) -> Result<GlobSet, BadCondition> {
    let bad = |error: &globset::Error| BadCondition {
        field,
        problem: error.to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for text in texts {
        let glob = GlobBuilder::new(text)
            .literal_separator(slash == Slash::Separates)
            .case_insensitive(case == Case::IsFolded)
            .backslash_escape(true)
            .build()
            .map_err(|error| bad(&error))?;
        set.add(glob);
    }
    set.build().map_err(|error| bad(&error))
}

/// A rule, ready to act.
#[derive(Debug)]
pub struct ReadyRule {
    /// Its id.
    pub id: AlertRuleId,
    /// Its name.
    pub name: String,
    /// Which alerts.
    pub matcher: Matcher,
    /// What it does.
    pub action: Action,
}

/// The rules of a project that act, in their order.
#[derive(Debug, Default)]
pub struct RuleBook {
    /// Those that are enabled and not over.
    pub rules: Vec<ReadyRule>,
}

/// The rules that act on an alert: the first of each kind that fits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chosen<'a> {
    /// Which dismisses it.
    pub dismisses: Option<&'a ReadyRule>,
    /// Which says how bad it is.
    pub rates: Option<&'a ReadyRule>,
}

impl RuleBook {
    /// Who acts on the alert.
    pub fn choose(&self, alert: &Subject<'_>) -> Chosen<'_> {
        let mut chosen = Chosen::default();
        for rule in &self.rules {
            let place = match &rule.action {
                Action::Dismiss { .. } => &mut chosen.dismisses,
                Action::SetSeverity { .. } => &mut chosen.rates,
            };
            if place.is_none() && rule.matcher.fits(alert) {
                *place = Some(rule);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests;
