//! What a plugin is asked: a plan, a conversion, and what it may reach meanwhile.

use std::net::IpAddr;

use crate::bindings::v1::plugin as wit;
use crate::input::{CancelFlag, Input};
use crate::limits::RunLimits;
use crate::services::ConvertServices;
use crate::sink::ConvertSink;

/// What is to be scanned, as far as a plugin may know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRequest {
    /// `tree`, `url`, `endpoint`, `domain`, `capture`, `report`.
    pub target_kind: String,
    /// Empty for a tree, a capture and a report.
    pub target: String,
    /// JSON.
    pub options: String,
}

impl ScanRequest {
    /// A report that somebody handed in: nothing was scanned for it.
    pub fn of_report(options: impl Into<String>) -> Self {
        Self {
            target_kind: "report".to_owned(),
            target: String::new(),
            options: options.into(),
        }
    }

    pub(crate) fn to_wit(&self, addresses: &[IpAddr]) -> wit::ScanRequest {
        wit::ScanRequest {
            target_kind: self.target_kind.clone(),
            target: self.target.clone(),
            addresses: addresses.iter().map(IpAddr::to_string).collect(),
            options: self.options.clone(),
        }
    }
}

/// What an operator granted a plugin beyond conversion. A plugin gets of it what it declares as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Connections to the task's own target.
    pub network: Option<NetworkGrant>,
    /// The time; without it all clocks stand still.
    pub clock: bool,
    /// Randomness; without it the bytes are the same in every run.
    pub randomness: bool,
}

impl Grants {
    /// Conversion only.
    pub const fn none() -> Self {
        Self {
            network: None,
            clock: false,
            randomness: false,
        }
    }
}

/// What a plugin may connect to, by TCP: judged before, and pinned to the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkGrant {
    /// The target's addresses.
    pub addresses: Vec<IpAddr>,
    /// The target's port; any when the target names none.
    pub port: Option<u16>,
}

/// One conversion.
pub struct ConvertRequest {
    /// The reports.
    pub inputs: Vec<Input>,
    /// What they are reports of.
    pub request: ScanRequest,
    /// What the plugin may reach.
    pub grants: Grants,
    /// What it may use up.
    pub limits: RunLimits,
    /// Where the results go.
    pub sink: Box<dyn ConvertSink>,
    /// What the plugin may ask for.
    pub services: Box<dyn ConvertServices>,
    /// Stops it.
    pub cancel: CancelFlag,
}
