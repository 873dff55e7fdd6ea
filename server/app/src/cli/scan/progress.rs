//! Progress on standard error: a bar on a terminal, a line per change elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tamiz_core::text::printable;

use super::documents::TaskEvent;

/// Quick enough to look alive, slow enough to cost nothing.
const TICK_MILLISECONDS: u64 = 120;

/// Where progress goes.
#[derive(Debug)]
pub(super) enum Progress {
    Bar(ProgressBar),
    Lines { last: Mutex<String> },
    Quiet,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Progress {
        if quiet {
            return Progress::Quiet;
        }
        let terminal = std::io::stderr().is_terminal() && std::env::var("TERM").as_deref() != Ok("dumb");
        match (terminal, style(false)) {
            (true, Some(style)) => {
                let bar = ProgressBar::new_spinner().with_style(style);
                bar.enable_steady_tick(Duration::from_millis(TICK_MILLISECONDS));
                Progress::Bar(bar)
            }
            _ => Progress::Lines {
                last: Mutex::new(String::new()),
            },
        }
    }

    /// Says what is being done.
    pub(super) fn say(&self, text: &str) {
        self.update(text, None);
    }

    /// Shows where a task is.
    pub(super) fn show(&self, event: &TaskEvent) {
        let counted = event.done.zip(event.total).filter(|(_, total)| *total > 0);
        self.update(&words(event), counted);
    }

    /// Says something that stays.
    pub(super) fn warn(&self, text: &str) {
        let line = format!("tamiz: warning: {}", printable(text));
        match self {
            Progress::Bar(bar) => bar.suspend(|| eprintln!("{line}")),
            Progress::Lines { .. } | Progress::Quiet => eprintln!("{line}"),
        }
    }

    /// Takes the bar away before the findings are printed.
    pub(super) fn clear(&self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }

    fn update(&self, text: &str, counted: Option<(i64, i64)>) {
        match self {
            Progress::Bar(bar) => {
                if let Some(style) = style(counted.is_some()) {
                    bar.set_style(style);
                }
                match counted {
                    Some((done, total)) => {
                        bar.set_length(total.unsigned_abs());
                        bar.set_position(done.unsigned_abs());
                    }
                    None => bar.unset_length(),
                }
                bar.set_message(text.to_owned());
            }
            Progress::Lines { last } => {
                // A poisoned lock only means that another thread panicked while it printed.
                let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if *last != text {
                    eprintln!("tamiz: {text}");
                    text.clone_into(&mut last);
                }
            }
            Progress::Quiet => {}
        }
    }
}

/// `converting: 1200 findings (3 of 9)`: words without counts that change all the time stay one line
/// in a log.
fn words(event: &TaskEvent) -> String {
    let phase = event
        .phase
        .as_deref()
        .unwrap_or(&event.status)
        .to_ascii_lowercase();
    let message = event.message.as_deref().map(printable).unwrap_or_default();
    let message = message.replace(['\n', '\t'], " ");
    match message.trim() {
        "" => phase,
        message if message.to_ascii_lowercase().starts_with(&phase) => message.to_owned(),
        message => format!("{phase}: {message}"),
    }
}

/// No colours: a bar is told apart by its shape.
fn style(counted: bool) -> Option<ProgressStyle> {
    let template = if counted {
        "{spinner} {bar:30} {pos}/{len} {wide_msg} {elapsed}"
    } else {
        "{spinner} {wide_msg} {elapsed}"
    };
    ProgressStyle::with_template(template).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(phase: Option<&str>, message: Option<&str>) -> TaskEvent {
        let text = |text: Option<&str>| text.map(str::to_owned);
        TaskEvent {
            seq: 1,
            status: "RUNNING".to_owned(),
            phase: text(phase),
            message: text(message),
            done: None,
            total: None,
        }
    }

    #[test]
    fn an_event_is_said_in_one_line_without_terminal_codes() {
        assert_eq!(
            words(&event(Some("SCANNING"), Some("running\nsemgrep\u{1b}[2J"))),
            "scanning: running semgrep[2J"
        );
        assert_eq!(
            words(&event(Some("CONVERTING"), Some("Converting 7 findings"))),
            "Converting 7 findings"
        );
        assert_eq!(words(&event(None, None)), "running");
    }

    #[test]
    fn both_bars_are_well_formed() {
        assert!(style(true).is_some() && style(false).is_some());
    }
}
