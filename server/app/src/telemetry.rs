//! Logs to standard error, metrics for Prometheus, and panics that end up in the logs.
//!
//! [`install`] is called once, by `main`; everyone else uses the `tracing` and `metrics` macros.
//! Standard output stays free for what a command answers.

use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogSettings};

/// Upper bounds of histograms in seconds: from a claim (milliseconds) to a long scan (an hour).
const SECONDS_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0, 3600.0,
];

/// How often the recorder folds its samples; until then they take memory.
const UPKEEP_SECONDS: u64 = 5;

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter has a mistake.
    #[error("the log filter `{filter}` cannot be read")]
    Filter {
        /// as configured
        filter: String,
        /// where it is wrong
        source: tracing_subscriber::filter::ParseError,
    },
    /// Someone else listens to the logs already.
    #[error("telemetry is installed already")]
    Twice,
    /// The recorder was refused.
    #[error("the metrics recorder cannot be set up")]
    Metrics(#[source] metrics_exporter_prometheus::BuildError),
}

/// Installs the log writer and the panic hook for the whole process.
///
/// # Errors
/// [`TelemetryError`]; the process can go on without logs.
pub fn install(settings: &LogSettings) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder()
        .parse(&settings.filter)
        .map_err(|source| TelemetryError::Filter {
            filter: settings.filter.clone(),
            source,
        })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let installed = match settings.format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(lines.with_ansi(colour_on_stderr())).try_init(),
    };
    installed.map_err(|_| TelemetryError::Twice)?;
    log_panics();
    Ok(())
}

/// Installs the metrics recorder for the whole process; the handle renders what `/metrics` answers.
///
/// Needs a tokio runtime, which keeps the recorder's memory small.
///
/// # Errors
/// [`TelemetryError::Metrics`] when there is a recorder already.
pub fn install_metrics() -> Result<PrometheusHandle, TelemetryError> {
    let builder = PrometheusBuilder::new()
        .set_buckets(SECONDS_BUCKETS)
        .map_err(TelemetryError::Metrics)?;
    let handle = builder.install_recorder().map_err(TelemetryError::Metrics)?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_secs(UPKEEP_SECONDS));
        loop {
            tick.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

/// Whether lines on standard error may carry colour.
fn colour_on_stderr() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A panic becomes a log line in the configured format, counted, before the thread unwinds.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let message = text
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        metrics::counter!("tamiz_panics_total").increment(1);
        tracing::error!(message, place, %backtrace, "a thread panicked");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn metrics_are_rendered_for_prometheus() {
        let handle = install_metrics().unwrap();
        metrics::histogram!("tamiz_test_seconds").record(0.02);
        metrics::counter!("tamiz_test_total", "kind" => "a").increment(2);
        let text = handle.render();
        assert!(
            text.contains("tamiz_test_seconds_bucket{le=\"0.025\"} 1"),
            "{text}"
        );
        assert!(text.contains("tamiz_test_total{kind=\"a\"} 2"), "{text}");
        assert!(matches!(install_metrics(), Err(TelemetryError::Metrics(_))));
    }

    #[test]
    fn a_filter_with_a_mistake_is_named() {
        let settings = LogSettings {
            format: LogFormat::Json,
            filter: "tamiz=loud".to_owned(),
        };
        assert!(install(&settings).unwrap_err().to_string().contains("tamiz=loud"));
    }
}
