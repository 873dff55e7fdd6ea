//! Where text becomes a typed value, and the rules that values obey: each bound has a sentence why.

mod api;

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tamiz_core::ScanType;
use url::Url;

use super::layers::{Origin, Problem, Setting};
use super::target::{NetworkAllowance, Resolver, TargetSettings};
use super::timeouts::{TASK_TIMEOUT_SECONDS_MAX, TaskTimeouts, TypeTimeout};
use super::typed::{
    ArchiveSettings, Config, LogFormat, LogSettings, PluginSettings, QueueSettings, WorkerSettings,
};
use super::value::{self, DatabaseUrl, RedisUrl};

/// A worker's name in bytes: with a number behind it it fits the register.
const WORKER_NAME_BYTES_MAX: usize = 100;
/// Blobs can lie behind these.
const BLOB_SCHEMES: &[&str] = &[
    "file", "memory", "s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss",
];

/// New scans that plugins check at a time, beside the worker's slots. A check takes milliseconds, and a
/// burst of orders must not take the plugins from running scans.
pub const PLANS_AT_ONCE: u32 = 8;
/// Components that are fetched, compiled if need be, and asked for their description at a time: each may
/// take a child of the compiler with its memory.
pub const LOADS_AT_ONCE: u32 = 2;
/// Each slot may call a plugin at any time, and the host has address space for so many calls; some of
/// them are the API's, and some are loads.
pub(super) const SLOTS_MAX: u64 = (tamiz_host::CONCURRENCY_MAX - PLANS_AT_ONCE - LOADS_AT_ONCE) as u64;

/// Who looks at the queue more often does nothing else; the worker's clock cannot tick without a pause at all.
const POLL_MIN: Duration = Duration::from_millis(10);

/// Types every setting; none when a value was wrong, with all that was.
pub(super) fn read(settings: &[Setting]) -> (Option<Config>, Vec<Problem>) {
    let mut reader = Reader {
        settings,
        problems: Vec::new(),
    };
    let config = reader.config();
    (config, reader.problems)
}

struct Reader<'a> {
    settings: &'a [Setting],
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// Reads every part before the first missing one ends it, so that every mistake is noted.
    fn config(&mut self) -> Option<Config> {
        let listen = self.with("listen", socket);
        let database_url = self.optional("database_url", DatabaseUrl::parse);
        let redis_url = self.optional("redis_url", RedisUrl::parse);
        let data_dir = self.path("data_dir");
        let blob_url = self.url("blob_url", BLOB_SCHEMES);
        let scratch_dir = self.path("scratch_dir");
        let migrate_on_start = self.with("migrate_on_start", value::flag);
        // An hour to drain is more than any service manager waits.
        let shutdown_grace = self.duration("shutdown_grace_seconds", 0..=3_600);
        let queue = self.queue();
        // The log is by month: ten years of them are as many as anybody lists.
        let log_retention_days = self.count("log_retention_days", 1..=3_650);
        let worker = self.worker();
        let target = self.target();
        let webhook = self.webhook(&target);
        let plugin = self.plugin();
        let archive = self.archive();
        let api = self.api(archive);
        // Each has some dozen lines on the page.
        let metrics_tenants_max = self.count("metrics_tenants_max", 0..=1_000);
        let log = self.log();
        Some(Config {
            listen: listen?,
            database_url,
            redis_url,
            data_dir: data_dir?,
            blob_url: blob_url?,
            scratch_dir: scratch_dir?,
            migrate_on_start: migrate_on_start?,
            shutdown_grace: shutdown_grace?,
            queue: queue?,
            log_retention_days: u32::try_from(log_retention_days?).ok()?,
            worker: worker?,
            target,
            webhook,
            plugin: plugin?,
            archive: archive?,
            api: api?,
            metrics_tenants_max: usize::try_from(metrics_tenants_max?).ok()?,
            log: log?,
        })
    }

    fn target(&mut self) -> TargetSettings {
        let named = self
            .setting("target_resolvers")
            .and_then(|setting| setting.layers.last());
        let resolvers_are_named =
            named.is_some_and(|(origin, text)| *origin != Origin::Default && !text.is_empty());
        TargetSettings {
            resolvers_are_named,
            networks_allowed: self
                .optional("target_networks_allowed", listed::<NetworkAllowance>)
                .unwrap_or_default(),
            resolvers: self
                .optional("target_resolvers", listed::<Resolver>)
                .unwrap_or_default()
                .into_iter()
                .map(|Resolver(address)| address)
                .collect(),
        }
    }

    /// Names are asked of the servers that scans ask; which networks are allowed is another question.
    fn webhook(&mut self, target: &TargetSettings) -> TargetSettings {
        TargetSettings {
            networks_allowed: self
                .optional("webhook_networks_allowed", listed::<NetworkAllowance>)
                .unwrap_or_default(),
            ..target.clone()
        }
    }

    fn queue(&mut self) -> Option<QueueSettings> {
        // Under 2 s a busy machine loses leases it is working on; over an hour a dead worker's task waits.
        let lease = self.duration("lease_seconds", 2..=3_600);
        let heartbeat = self.duration("heartbeat_seconds", 1..=1_800);
        // The poll is only the net under notifications, but a lost one must not cost minutes.
        let poll = self.duration("poll_seconds", 0..=300);
        if poll.is_some_and(|poll| poll < POLL_MIN) {
            self.refuse(
                "poll_seconds",
                format_args!("at least {}", value::show_duration(POLL_MIN)),
            );
        }
        // A task that failed a hundred times will not succeed.
        let attempts_max = self.count("max_attempts", 1..=100);
        // More than a day between attempts is a schedule, not a retry.
        let retry_base = self.duration("retry_base_seconds", 0..=86_400);
        let retry_max = self.duration("retry_max_seconds", 0..=86_400);
        let task_timeout = self.duration("task_timeout_seconds", 1..=TASK_TIMEOUT_SECONDS_MAX);
        let by_type = self
            .optional("task_timeouts", listed::<TypeTimeout>)
            .unwrap_or_default();
        let (lease, heartbeat) = (lease?, heartbeat?);
        if heartbeat * 2 > lease {
            self.refuse(
                "heartbeat_seconds",
                "at most half of lease_seconds, so that one lost beat is survived",
            );
        }
        let (retry_base, retry_max) = (retry_base?, retry_max?);
        if retry_base > retry_max {
            self.refuse("retry_max_seconds", "at least retry_base_seconds");
        }
        let attempts_max = u32::try_from(attempts_max?).ok()?;
        Some(QueueSettings {
            lease,
            heartbeat,
            poll: poll?,
            attempts_max,
            retry_base,
            retry_max,
            task_timeouts: TaskTimeouts::new(task_timeout?, by_type),
        })
    }

    fn worker(&mut self) -> Option<WorkerSettings> {
        let in_process = self.with("worker_in_process", value::flag);
        let name = self.optional("worker_name", worker_name);
        let scan_types = self.optional("worker_scan_types", scan_types);
        let slots = self.count("worker_slots", 1..=SLOTS_MAX);
        let tool_path = self.optional("tool_path", |text| {
            let folders = text
                .split([':', ','])
                .map(str::trim)
                .filter(|folder| !folder.is_empty());
            folders.map(absolute).collect::<Result<Vec<PathBuf>, String>>()
        });
        let tools_file = self.optional("tools_file", absolute);
        let rules_path = self.optional("rules_path", absolute);
        let metrics_listen = self.optional("metrics_listen", socket);
        Some(WorkerSettings {
            in_process: in_process?,
            name,
            scan_types: scan_types.unwrap_or_default(),
            slots: usize::try_from(slots?).ok()?,
            tool_path: tool_path.unwrap_or_default(),
            tools_file,
            rules_path,
            metrics_listen,
        })
    }

    fn plugin(&mut self) -> Option<PluginSettings> {
        let dir = self.path("plugin_dir");
        let cache_dir = self.path("plugin_cache_dir");
        // A megabyte holds a Rust guest; no memory of the host's pool grows beyond its slot.
        let slot_bytes = tamiz_host::MEMORY_BYTES_CEILING as u64;
        let memory_bytes_max = self.size("plugin_memory_bytes_max", 1 << 20..=slot_bytes);
        let deadline = self.duration("plugin_deadline_seconds", 1..=86_400);
        Some(PluginSettings {
            dir: dir?,
            cache_dir: cache_dir?,
            memory_bytes_max: memory_bytes_max?,
            deadline: deadline?,
        })
    }

    fn archive(&mut self) -> Option<ArchiveSettings> {
        // The listing of a million entries is held in memory: some hundred megabytes.
        let entries_max = self.count("archive_entries_max", 1..=1_000_000);
        // Nobody writes a source file of 4 GiB, and the format needs an extension for it.
        let file_bytes_max = self.size("archive_file_bytes_max", 1 << 10..=4 << 30);
        // What lies in scratch for each slot; the ratio allows a hundred times the largest upload.
        let bytes_max = self.size("archive_bytes_max", 1 << 10..=400 << 30);
        Some(ArchiveSettings {
            entries_max: entries_max?,
            file_bytes_max: file_bytes_max?,
            bytes_max: bytes_max?,
        })
    }

    fn log(&mut self) -> Option<LogSettings> {
        let format = self.with("log_format", |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("text or json".to_owned()),
        });
        let filter = self.with("log_filter", |text| {
            let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
            parsed
                .map(|_| text.to_owned())
                .map_err(|_| "filter directives such as info,tamiz=debug".to_owned())
        });
        Some(LogSettings {
            format: format?,
            filter: filter?,
        })
    }

    fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key.name == name)
    }

    /// Notes that the value of a key breaks a rule.
    fn refuse(&mut self, name: &str, rule: impl fmt::Display) {
        let shown = self.setting(name).and_then(|setting| {
            let (origin, text) = setting.layers.last()?;
            Some(format!(
                "{name} = \"{}\" ({origin}): must be {rule}",
                setting.shown(text)
            ))
        });
        self.problems.push(Problem(
            shown.unwrap_or_else(|| format!("{name}: must be {rule}")),
        ));
    }

    fn with<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self
            .setting(name)
            .and_then(Setting::text)
            .unwrap_or_default()
            .to_owned();
        match parse(&text) {
            Ok(value) => Some(value),
            Err(rule) => {
                self.refuse(name, rule);
                None
            }
        }
    }

    /// As [`Reader::with`] for a key that may be unset or empty. A wrong value reads as unset: the
    /// problem that was noted keeps the configuration from being used.
    fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.setting(name).and_then(Setting::text)?;
        if text.is_empty() {
            None
        } else {
            self.with(name, parse)
        }
    }

    fn url(&mut self, name: &str, schemes: &[&str]) -> Option<Url> {
        self.with(name, |text| {
            let url = Url::parse(text)
                .ok()
                .filter(|url| schemes.contains(&url.scheme()));
            url.ok_or_else(|| format!("a URL that starts with one of {}:", schemes.join(":, ")))
        })
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.with(name, absolute)
    }

    fn count(&mut self, name: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = bounds.clone().into_inner();
        let rule = format!("a whole number from {least} to {most}");
        self.with(name, |text| {
            value::count(text)
                .ok()
                .filter(|count| bounds.contains(count))
                .ok_or(rule.clone())
        })
    }

    fn size(&mut self, name: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = bounds.clone().into_inner();
        let bounded = format!(
            "a size from {} to {}",
            value::show_size(least),
            value::show_size(most)
        );
        self.with(name, |text| match value::size(text) {
            Ok(size) if bounds.contains(&size) => Ok(size),
            Ok(_) => Err(bounded.clone()),
            Err(rule) => Err(rule),
        })
    }

    fn duration(&mut self, name: &str, seconds: RangeInclusive<u64>) -> Option<Duration> {
        let (least, most) = seconds.into_inner();
        let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
        let bounded = format!(
            "a duration from {} to {}",
            value::show_duration(least),
            value::show_duration(most)
        );
        self.with(name, |text| match value::duration(text) {
            Ok(duration) if (least..=most).contains(&duration) => Ok(duration),
            Ok(_) => Err(bounded.clone()),
            Err(rule) => Err(rule),
        })
    }
}

fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "an address such as 127.0.0.1:8600 or [::1]:8600".to_owned())
}

/// The parts between commas.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn listed<T: FromStr<Err = String>>(text: &str) -> Result<Vec<T>, String> {
    parts(text).map(str::parse).collect()
}

/// It names a file of its own, and stands in tables.
fn worker_name(text: &str) -> Result<String, String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_');
    if text.len() <= WORKER_NAME_BYTES_MAX && text.chars().all(fits) && !text.starts_with('.') {
        return Ok(text.to_owned());
    }
    Err(format!(
        "letters, digits, `-`, `.` and `_`, at most {WORKER_NAME_BYTES_MAX}"
    ))
}

fn scan_types(text: &str) -> Result<Vec<ScanType>, String> {
    let parsed: Result<Vec<ScanType>, _> = parts(text).map(ScanType::parse).collect();
    parsed.map_err(|_| "scan types such as web,ssl".to_owned())
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|_| "a path".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::layers::{Flag, Sources, resolve};
    use super::*;

    fn flags(pairs: &[(&str, &str)]) -> Sources {
        let flag = |(key, value): &(&str, &str)| Flag {
            flag: format!("--set {key}"),
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        Sources {
            flags: pairs.iter().map(flag).collect(),
            ..Sources::default()
        }
    }

    #[test]
    fn the_defaults_hold_together() {
        let config = resolve(Sources::default()).unwrap().config;
        assert_eq!(config.listen.to_string(), "127.0.0.1:8600");
        assert_eq!(config.api.public_url.as_str(), "http://127.0.0.1:8600/");
        assert!(config.database_url.is_none());
        assert!(config.data_dir.is_absolute());
        assert!(config.blob_url.path().ends_with("/.tamiz/blobs/"));
        assert_eq!(config.scratch_dir, config.data_dir.join("scratch"));
        assert_eq!(config.queue.lease, Duration::from_secs(30));
        assert_eq!(config.queue.attempts_max, 5);
        assert_eq!(config.api.upload_bytes_max, 512 << 20);
        assert!(config.api.trusted_proxies.is_empty());
        assert!(config.worker.slots >= 1);
    }

    #[test]
    fn computed_defaults_follow_what_they_are_made_of() {
        let given = [("data_dir", "/srv/tamiz"), ("listen", "0.0.0.0:80")];
        let config = resolve(flags(&given)).unwrap().config;
        assert_eq!(config.blob_url.as_str(), "file:///srv/tamiz/blobs/");
        assert_eq!(config.plugin.cache_dir, PathBuf::from("/srv/tamiz/plugin-cache"));
        assert_eq!(config.api.public_url.as_str(), "http://localhost/");
    }

    #[test]
    fn values_that_contradict_each_other_are_refused() {
        let given = [
            ("heartbeat_seconds", "20s"),
            ("poll_seconds", "0s"),
            ("retry_base_seconds", "10m"),
            ("retry_max_seconds", "1m"),
            ("graphql_depth_max", "5"),
            ("plugin_memory_bytes_max", "1GiB"),
            ("log_filter", "tamiz=loud"),
            ("blob_url", "ftp://host/"),
        ];
        let text = resolve(flags(&given)).unwrap_err().to_string();
        for expected in [
            "heartbeat_seconds = \"20s\" (flag --set heartbeat_seconds): must be at most half of lease_seconds",
            "poll_seconds = \"0s\" (flag --set poll_seconds): must be at least 10ms",
            "retry_max_seconds = \"1m\" (flag --set retry_max_seconds): must be at least retry_base_seconds",
            "graphql_depth_max = \"5\" (flag --set graphql_depth_max): must be a whole number from 15 to 100",
            "plugin_memory_bytes_max = \"1GiB\" (flag --set plugin_memory_bytes_max): must be",
            "log_filter = \"tamiz=loud\"",
            "blob_url = \"ftp://host/\" (flag --set blob_url): must be a URL that starts with one of file:,",
        ] {
            assert!(text.contains(expected), "{expected}\n--\n{text}");
        }
    }
}
