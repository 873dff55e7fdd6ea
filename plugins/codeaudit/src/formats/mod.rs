//! The formats of single tools, one file each, and what they share.
//!
//! Not here: semgrep's JSON and SARIF ([`crate::semgrep`], [`crate::sarif`]), which are walked together.

mod cvss;
mod package;
mod place;
mod secret;
mod source;
mod walk;

mod bandit;
mod bandit_csv;
mod bandit_xml;
mod betterleaks;
mod cargo_audit;
mod checkov;
mod cppcheck;
mod detect_secrets;
mod eslint;
mod flawfinder;
mod gitleaks;
mod gosec;
mod grype;
mod hadolint;
mod image;
mod kingfisher;
mod njsscan;
mod npm_audit;
mod npm_audit_six;
mod osv_affected;
mod osv_scanner;
mod pip_audit;
mod ruff;
mod semgrep_supply_chain;
mod shellcheck;
mod trivy;
mod trivy_modified;
mod trivy_operator;
mod trivy_records;
mod trufflehog;
mod trufflehog_place;
mod trufflehog_three;
mod trufflehog_two;
mod yarn_audit;
mod zizmor;

use tamiz_sdk::report::{EmptyList, Format};
use tamiz_sdk::vocabulary::SeverityTable;

use crate::convert::{Sarif, Semgrep};
use crate::vocabulary;

pub(crate) use place::{Region, numbered_lines};
pub(crate) use secret::{hidden_snippet, is_secret_scanner};
pub(crate) use source::Sources;

/// All that codeaudit reads. Of those that are equally sure, the first gets an input.
pub(crate) const FORMATS: &[&dyn Format] = &[
    &Sarif,
    &Semgrep,
    &semgrep_supply_chain::SemgrepSupplyChain,
    &bandit::Bandit,
    &bandit_xml::BanditXml,
    &bandit_csv::BanditCsv,
    &betterleaks::Betterleaks,
    &gitleaks::Gitleaks,
    &trufflehog::Trufflehog,
    &trufflehog_two::TrufflehogTwo,
    &trufflehog_three::TrufflehogThree,
    &kingfisher::Kingfisher,
    &detect_secrets::DetectSecrets,
    &njsscan::Njsscan,
    &checkov::Checkov,
    &trivy::Trivy,
    &trivy_operator::TrivyOperator,
    &grype::Grype,
    &osv_scanner::OsvScanner,
    &pip_audit::PipAudit,
    &npm_audit::NpmAudit,
    &npm_audit_six::NpmAuditSix,
    &yarn_audit::YarnAudit,
    &cargo_audit::CargoAudit,
    &gosec::Gosec,
    &cppcheck::Cppcheck,
    &flawfinder::Flawfinder,
    &eslint::Eslint,
    &ruff::Ruff,
    &zizmor::Zizmor,
    &shellcheck::Shellcheck,
    &hadolint::Hadolint,
    &EmptyList,
];

/// What the tools' words for severities mean.
pub(crate) const SEVERITIES: &[&SeverityTable] = &[
    &vocabulary::SEMGREP,
    &vocabulary::SARIF,
    &bandit::SEVERITIES,
    &cargo_audit::SEVERITIES,
    &checkov::SEVERITIES,
    &cppcheck::SEVERITIES,
    &eslint::SEVERITIES,
    &flawfinder::SEVERITIES,
    &gosec::SEVERITIES,
    &grype::SEVERITIES,
    &hadolint::SEVERITIES,
    &njsscan::SEVERITIES,
    &npm_audit::SEVERITIES,
    &osv_scanner::SEVERITIES,
    &pip_audit::SEVERITIES,
    &ruff::SEVERITIES,
    &secret::SEVERITIES,
    &shellcheck::SEVERITIES,
    &trivy::SEVERITIES,
    &trufflehog_three::SEVERITIES,
    &zizmor::SEVERITIES,
];

/// Names the fields of a record that have another type than they should, for
/// [`tamiz_sdk::report::Session::tell_wrong`].
macro_rules! wrong {
    ($record:expr; $($field:ident),+ $(,)?) => {
        &[$((stringify!($field), $record.$field.is_wrong())),+]
    };
}
pub(crate) use wrong;
