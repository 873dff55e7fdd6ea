//! Diagnostics with a limit: the first of each code one by one, the rest as a count.
//!
//! The platform bounds diagnostics too, and a plugin that floods it is stopped; a report with
//! a hundred thousand damaged records must not do that to an honest plugin.

use crate::host::Host;
use crate::limits::{DIAGNOSTIC_BYTES, DIAGNOSTICS_PER_CODE, DIAGNOSTICS_TOTAL};
use crate::model::{Diagnostic, LogLevel, Span};
use crate::text::clean_text;

/// Tells diagnostics and counts those beyond the limit.
#[derive(Debug, Default)]
pub struct Diagnostics {
    codes: Vec<(&'static str, u32, u32)>,
    told: u32,
}

impl Diagnostics {
    /// Tells one, or counts it when enough of its code, or in all, were told.
    pub fn tell(
        &mut self,
        host: &mut dyn Host,
        level: LogLevel,
        code: &'static str,
        message: &str,
        at: Option<Span>,
    ) {
        let index = self
            .codes
            .iter()
            .position(|(known, _, _)| *known == code)
            .unwrap_or_else(|| {
                self.codes.push((code, 0, 0));
                self.codes.len() - 1
            });
        let (_, told, untold) = &mut self.codes[index];
        // The first of a code is always told: codes are few and each is news.
        if *told > 0 && (*told >= DIAGNOSTICS_PER_CODE || self.told >= DIAGNOSTICS_TOTAL) {
            *untold += 1;
            return;
        }
        *told += 1;
        self.told += 1;
        let message = clean_text(message, DIAGNOSTIC_BYTES).text;
        host.emit_diagnostic(&Diagnostic {
            level,
            code: code.to_owned(),
            message,
            at,
        });
    }

    /// Counts some of a code that nobody kept the text of.
    pub fn count_untold(&mut self, code: &'static str, count: u32) {
        match self.codes.iter_mut().find(|(known, _, _)| *known == code) {
            Some((_, _, untold)) => *untold = untold.saturating_add(count),
            None => self.codes.push((code, 0, count)),
        }
    }

    /// How many of a code there were, told or not.
    pub fn count(&self, code: &str) -> u32 {
        self.codes
            .iter()
            .find(|(known, _, _)| *known == code)
            .map_or(0, |(_, told, untold)| told + untold)
    }

    /// Tells the counts of what was not told one by one.
    pub fn finish(self, host: &mut dyn Host) {
        for (code, told, untold) in self.codes {
            if untold > 0 {
                let message = format!("{untold} more `{code}` beside the {told} that are listed");
                let (level, code) = (LogLevel::Info, "diagnostics-counted".to_owned());
                host.emit_diagnostic(&Diagnostic {
                    level,
                    code,
                    message,
                    at: None,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Diagnostics;
    use crate::limits::DIAGNOSTICS_PER_CODE;
    use crate::memory::MemoryHost;
    use crate::model::LogLevel;

    #[test]
    fn a_flood_is_counted_and_a_new_code_is_still_told() {
        let mut host = MemoryHost::default();
        let mut diagnostics = Diagnostics::default();
        for _ in 0..1000 {
            diagnostics.tell(&mut host, LogLevel::Warn, "record-unreadable", "x", None);
        }
        diagnostics.tell(&mut host, LogLevel::Warn, "truncated", "the end", None);
        assert_eq!(diagnostics.count("record-unreadable"), 1000);
        diagnostics.finish(&mut host);
        assert_eq!(host.diagnostics.len() as u32, DIAGNOSTICS_PER_CODE + 2);
        assert_eq!(
            host.diagnostics.last().map(|last| last.message.as_str()),
            Some("900 more `record-unreadable` beside the 100 that are listed")
        );
    }
}
