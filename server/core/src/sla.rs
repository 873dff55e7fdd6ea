//! How long a project gives itself to act on alerts, by severity.

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::severity::Severity;

/// Days of one severity; ten years is for ever.
pub const SLA_DAYS_MAX: u16 = 3_650;

/// Days from the day on which an alert opens until it is due; none where nobody promised anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SlaDays {
    /// Of critical alerts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<u16>,
    /// Of high ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<u16>,
    /// Of medium ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<u16>,
    /// Of low ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<u16>,
    /// Of those that are worth knowing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<u16>,
}

impl SlaDays {
    /// Of one severity.
    pub const fn of(&self, severity: Severity) -> Option<u16> {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Info => self.info,
        }
    }

    /// Whether nothing is promised.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// When an alert that opens today is due.
    pub fn due(&self, severity: Severity, today: NaiveDate) -> Option<NaiveDate> {
        let days = Days::new(u64::from(self.of(severity)?));
        today.checked_add_days(days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_due_so_many_days_after_it_opens_where_days_are_said() {
        let sla = SlaDays {
            critical: Some(7),
            ..SlaDays::default()
        };
        let today = NaiveDate::from_ymd_opt(2026, 12, 28).unwrap();
        assert_eq!(
            sla.due(Severity::Critical, today),
            NaiveDate::from_ymd_opt(2027, 1, 4)
        );
        assert_eq!(sla.due(Severity::Low, today), None);
        assert_eq!(serde_json::to_string(&sla).unwrap(), r#"{"critical":7}"#);
    }
}
