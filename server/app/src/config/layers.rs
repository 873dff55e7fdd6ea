//! The layers laid over each other: which value holds, where it came from, what it overrode.
//!
//! Works on text it is given, never on the process, so that tests need no environment.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::keys::{self, Fallback, Key, Secrecy};
use super::nearest::nearest;
use super::reader;
use super::typed::Config;
use super::value::mask_url;

/// A value given on the command line.
#[derive(Debug, Clone)]
pub struct Flag {
    /// as typed, for the origin: `--listen`
    pub flag: String,
    /// the configuration key
    pub key: String,
    /// its value
    pub value: String,
}

/// What the layers are made of.
#[derive(Debug, Default)]
pub struct Sources {
    /// all environment variables
    pub environment: Vec<(String, String)>,
    /// the file that was read, and its text
    pub file: Option<(PathBuf, String)>,
    /// a file that had to be read and could not be, and why
    pub unreadable: Option<(PathBuf, String)>,
    /// command-line values, in their order
    pub flags: Vec<Flag>,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    Environment(String),
    File { path: PathBuf, line: usize },
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => formatter.write_str("default"),
            Origin::Environment(name) => write!(formatter, "environment {name}"),
            Origin::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Origin::Flag(flag) => write!(formatter, "flag {flag}"),
        }
    }
}

/// One key with what holds for it.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) key: &'static Key,
    /// the value that holds last, then what it overrode; empty when unset
    pub(super) layers: Vec<(Origin, String)>,
}

impl Setting {
    /// The text that holds, if any.
    pub(super) fn text(&self) -> Option<&str> {
        self.layers.last().map(|(_, text)| text.as_str())
    }

    /// A text of this key as it may be shown.
    pub(super) fn shown(&self, text: &str) -> String {
        match self.key.secrecy {
            Secrecy::Plain => text.to_owned(),
            Secrecy::Url => mask_url(text),
        }
    }
}

/// A mistake in the configuration, in words for the one who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(pub(super) String);

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A configuration that holds, and how it came to be.
#[derive(Debug)]
pub struct Loaded {
    /// the values, typed
    pub config: Config,
    /// what does not stop a start but should be looked at: unknown `TAMIZ_*` variables
    pub warnings: Vec<Problem>,
    pub(super) settings: Vec<Setting>,
}

/// Every mistake in the configuration at once.
#[derive(Debug, thiserror::Error)]
#[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    /// the mistakes, never none
    pub problems: Vec<Problem>,
    /// as in [`Loaded`]
    pub warnings: Vec<Problem>,
    pub(super) settings: Vec<Setting>,
}

/// Lays the sources over each other and checks every value.
pub(super) fn resolve(sources: Sources) -> Result<Loaded, Box<ConfigError>> {
    let mut stack = Stack::default();
    stack.environment(&sources.environment);
    if let Some((path, error)) = &sources.unreadable {
        stack.problem(format!(
            "cannot read the configuration file {}: {error}",
            path.display()
        ));
    }
    if let Some((path, text)) = &sources.file {
        stack.file(path, text);
    }
    for flag in &sources.flags {
        stack.flag(flag);
    }
    let settings = stack.settings();
    let (config, mut wrong) = reader::read(&settings);
    stack.problems.append(&mut wrong);
    let Stack {
        problems, warnings, ..
    } = stack;
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded {
            config,
            warnings,
            settings,
        }),
        _ => Err(Box::new(ConfigError {
            problems,
            warnings,
            settings,
        })),
    }
}

#[derive(Default)]
struct Stack {
    given: BTreeMap<&'static str, Vec<(Origin, String)>>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Stack {
    fn problem(&mut self, text: String) {
        self.problems.push(Problem(text));
    }

    fn put(&mut self, key: &'static Key, origin: Origin, value: String) {
        self.given.entry(key.name).or_default().push((origin, value));
    }

    /// An empty variable counts as absent: compose files and service managers write those.
    fn environment(&mut self, environment: &[(String, String)]) {
        let value_of = |wanted: &str| {
            let found = environment
                .iter()
                .find(|(name, value)| name == wanted && !value.is_empty());
            found.map(|(_, value)| value.clone())
        };
        // what other programs call them, too
        for (name, variable) in [("database_url", "DATABASE_URL"), ("redis_url", "REDIS_URL")] {
            if let (Some(key), Some(value)) = (keys::find(name), value_of(variable)) {
                self.put(key, Origin::Environment(variable.to_owned()), value);
            }
        }
        for key in keys::KEYS {
            let name = keys::variable(key.name);
            if let Some(value) = value_of(&name) {
                self.put(key, Origin::Environment(name), value);
            }
        }
        let known: Vec<String> = keys::KEYS.iter().map(|key| keys::variable(key.name)).collect();
        let known = || {
            known
                .iter()
                .map(String::as_str)
                .chain(keys::OTHER_VARIABLES.iter().copied())
        };
        for (name, _) in environment {
            if name.starts_with("TAMIZ_") && !known().any(|one| one == name) {
                let meant = nearest(name, known());
                self.warnings
                    .push(Problem(unknown("environment variable", name, meant, None)));
            }
        }
    }

    fn file(&mut self, path: &Path, text: &str) {
        let line_of = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let line = error.span().map_or(1, |span| line_of(span.start));
            self.problem(format!(
                "{}:{line}: not TOML: {}",
                path.display(),
                error.message().trim()
            ));
        }
        for (name, value) in table.get_ref() {
            let origin = Origin::File {
                path: path.to_owned(),
                line: line_of(name.span().start),
            };
            let Some(key) = keys::find(name.get_ref()) else {
                let meant = nearest(name.get_ref(), keys::KEYS.iter().map(|key| key.name));
                self.problem(unknown("key", name.get_ref(), meant, Some(&origin)));
                continue;
            };
            match plain_text(value.get_ref()) {
                Some(text) => self.put(key, origin, text),
                None => self.problem(format!(
                    "{} ({origin}): must be a string, a number, true or false, or a list of strings",
                    key.name
                )),
            }
        }
    }

    fn flag(&mut self, flag: &Flag) {
        let origin = Origin::Flag(flag.flag.clone());
        if let Some(key) = keys::find(&flag.key) {
            self.put(key, origin, flag.value.clone());
        } else {
            let meant = nearest(&flag.key, keys::KEYS.iter().map(|key| key.name));
            self.problem(unknown("key", &flag.key, meant, Some(&origin)));
        }
    }

    /// Every key in its order, with the default below whatever was given.
    fn settings(&mut self) -> Vec<Setting> {
        let mut settings: Vec<Setting> = Vec::new();
        for key in keys::KEYS {
            let earlier = |name: &str| {
                let setting = settings.iter().find(|setting| setting.key.name == name);
                setting.and_then(Setting::text).unwrap_or_default().to_owned()
            };
            let fallback = match &key.fallback {
                Fallback::Text(text) => Some((*text).to_owned()),
                Fallback::Computed(compute) => Some(compute(&earlier)),
                Fallback::Unset => None,
            };
            let mut layers: Vec<(Origin, String)> =
                fallback.map(|text| (Origin::Default, text)).into_iter().collect();
            layers.extend(self.given.remove(key.name).unwrap_or_default());
            settings.push(Setting { key, layers });
        }
        settings
    }
}

fn unknown(what: &str, name: &str, meant: Option<&str>, origin: Option<&Origin>) -> String {
    let place = origin.map(|origin| format!(" ({origin})")).unwrap_or_default();
    match meant {
        Some(meant) => format!("unknown {what} `{name}`{place}: did you mean `{meant}`?"),
        None => format!("unknown {what} `{name}`{place}: `tamiz config check` lists the known ones"),
    }
}

/// A TOML value as the other layers would have written it.
fn plain_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Array(items) => {
            let texts = items.iter().map(|item| match item.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                _ => None,
            });
            texts
                .collect::<Option<Vec<String>>>()
                .map(|texts| texts.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn file(text: &str) -> (PathBuf, String) {
        (PathBuf::from("tamiz.toml"), text.to_owned())
    }

    fn flag(key: &str, value: &str) -> Flag {
        Flag {
            flag: format!("--set {key}"),
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn a_later_layer_wins_and_remembers_what_it_overrode() {
        let sources = Sources {
            environment: environment(&[("TAMIZ_POLL_SECONDS", "1"), ("TAMIZ_MAX_ATTEMPTS", "7")]),
            file: Some(file(
                "\npoll_seconds = \"2s\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]",
            )),
            flags: vec![flag("poll_seconds", "3s")],
            ..Sources::default()
        };
        let loaded = resolve(sources).unwrap();
        assert_eq!(loaded.config.queue.poll.as_secs(), 3);
        assert_eq!(loaded.config.queue.attempts_max, 7);
        assert_eq!(loaded.config.api.trusted_proxies.len(), 2);
        let poll = loaded
            .settings
            .iter()
            .find(|setting| setting.key.name == "poll_seconds")
            .unwrap();
        let origins: Vec<String> = poll.layers.iter().map(|(origin, _)| origin.to_string()).collect();
        assert_eq!(
            origins,
            [
                "default",
                "environment TAMIZ_POLL_SECONDS",
                "tamiz.toml:2",
                "flag --set poll_seconds"
            ]
        );
    }

    #[test]
    fn every_mistake_is_reported_at_once_with_key_value_rule_and_origin() {
        let sources = Sources {
            environment: environment(&[("TAMIZ_LISTEN", "nowhere"), ("TAMIZ_LISTN", "x")]),
            file: Some(file("lease_second = 3\nworker_slots = 0\nlog_format = [1]")),
            flags: vec![flag("data-dir", "x"), flag("database_url", "hunter2")],
            ..Sources::default()
        };
        let error = resolve(sources).unwrap_err();
        let text = error.to_string();
        for expected in [
            "unknown key `lease_second` (tamiz.toml:1): did you mean `lease_seconds`?",
            "unknown key `data-dir` (flag --set data-dir): did you mean `data_dir`?",
            "listen = \"nowhere\" (environment TAMIZ_LISTEN): must be an address such as 127.0.0.1:8600",
            "worker_slots = \"0\" (tamiz.toml:2): must be a whole number from 1 to 246",
            "log_format (tamiz.toml:3): must be a string",
            "database_url = \"***\" (flag --set database_url): must be a URL such as",
        ] {
            assert!(text.contains(expected), "{expected}\n--\n{text}");
        }
        assert!(!text.contains("hunter2"));
        assert_eq!(
            error.warnings[0].to_string(),
            "unknown environment variable `TAMIZ_LISTN`: did you mean `TAMIZ_LISTEN`?"
        );
    }

    #[test]
    fn a_file_that_is_not_toml_says_where() {
        let error = resolve(Sources {
            file: Some(file("listen = \n= 4")),
            ..Sources::default()
        })
        .unwrap_err();
        assert!(error.to_string().contains("tamiz.toml:1: not TOML"), "{error}");
    }

    #[test]
    fn the_specific_variable_beats_the_shared_one_and_an_empty_one_counts_as_absent() {
        let sources = Sources {
            environment: environment(&[
                ("DATABASE_URL", "postgres://a@h/one"),
                ("TAMIZ_DATABASE_URL", "postgres://a@h/two"),
                ("REDIS_URL", "rediss://:secret@h/1"),
                ("TAMIZ_LISTEN", ""),
            ]),
            ..Sources::default()
        };
        let config = resolve(sources).unwrap().config;
        assert_eq!(config.database_url.unwrap().expose(), "postgres://a@h/two");
        assert_eq!(format!("{:?}", config.redis_url.unwrap()), "rediss://:***@h/1");
        assert_eq!(config.listen.port(), 8600);
    }
}
