//! Parsing of single values: durations, sizes, flags, networks, and the masking of passwords.
//!
//! Every parser answers a mistake with the rule that was broken, in words that fit behind
//! "must be": `a duration such as 30s or 5m`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

/// What stands for a password.
const MASK: &str = "***";

/// Multiples of a byte, longest name first so that `MiB` is not read as `B`.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("b", 1),
    ("", 1),
];

/// Multiples of a millisecond, longest name first.
const DURATION_UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("", 1_000),
];

/// `30`, `30s`, `500ms`, `5m`, `2h`, `1d`; a bare number counts seconds.
///
/// # Errors
/// The rule that was broken, in words that fit behind "must be".
pub fn duration(text: &str) -> Result<Duration, String> {
    scaled(text, DURATION_UNITS)
        .map(Duration::from_millis)
        .ok_or_else(|| "a duration such as 30s, 500ms, 5m or 2h".to_owned())
}

/// `1048576`, `512MiB`, `1GB`; a bare number counts bytes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    scaled(text, SIZE_UNITS).ok_or_else(|| "a size such as 512MiB, 1GB or 1048576".to_owned())
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.replace('_', "").parse::<u64>().ok()?.checked_mul(*factor)
}

/// A whole number.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    text.trim()
        .replace('_', "")
        .parse()
        .map_err(|_| "a whole number".to_owned())
}

/// `true` or `false`, and the words people write for them.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

/// Durations as people write them.
pub(super) fn show_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    match milliseconds {
        0 => "0s".to_owned(),
        _ if milliseconds.is_multiple_of(3_600_000) => format!("{}h", milliseconds / 3_600_000),
        _ if milliseconds.is_multiple_of(60_000) => format!("{}m", milliseconds / 60_000),
        _ if milliseconds.is_multiple_of(1_000) => format!("{}s", milliseconds / 1_000),
        _ => format!("{milliseconds}ms"),
    }
}

/// Sizes as people write them.
pub(crate) fn show_size(bytes: u64) -> String {
    let unit = SIZE_UNITS[..4]
        .iter()
        .rev()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    match unit {
        Some((name, factor)) => {
            let (first, rest) = name.split_at(1);
            format!(
                "{}{}{}",
                bytes / factor,
                first.to_ascii_uppercase(),
                rest.replace('b', "B")
            )
        }
        None => format!("{bytes}B"),
    }
}

/// A URL with its password, and any parameter that could be one, masked. Text that is no URL is
/// masked whole: a mistyped secret is still a secret.
pub(super) fn mask_url(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return MASK.to_owned();
    };
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    let masked: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| {
            let lower = name.to_ascii_lowercase();
            let hidden = ["password", "secret", "token", "key", "sig"]
                .iter()
                .any(|word| lower.contains(word));
            (
                name.into_owned(),
                if hidden {
                    MASK.to_owned()
                } else {
                    value.into_owned()
                },
            )
        })
        .collect();
    if masked.iter().any(|(_, value)| value == MASK) {
        url.query_pairs_mut().clear().extend_pairs(masked);
    }
    url.to_string()
}

/// The address of a Postgres server with its password. Shown only masked.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Takes a `postgres://` URL.
    ///
    /// # Errors
    /// The rule that was broken.
    pub fn parse(text: &str) -> Result<DatabaseUrl, String> {
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") => Ok(DatabaseUrl(text.to_owned())),
            _ => Err("a URL such as postgres://user:password@host:5432/database".to_owned()),
        }
    }

    /// The URL with its password, for the one who connects.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&mask_url(&self.0))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&mask_url(&self.0))
    }
}

/// The address of a Redis server with its password. Shown only masked.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// Takes a `redis://` or `rediss://` URL.
    ///
    /// # Errors
    /// The rule that was broken.
    pub fn parse(text: &str) -> Result<RedisUrl, String> {
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "redis" | "rediss") && url.has_host() => {
                Ok(RedisUrl(text.to_owned()))
            }
            _ => Err("a URL such as redis://:password@host:6379/0, or rediss:// for TLS".to_owned()),
        }
    }

    /// The URL with its password, for the one who connects.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&mask_url(&self.0))
    }
}

/// Where pages of another site are from, such as `https://console.example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// As a browser says it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = String;

    /// A scheme, a host, a port that is not the scheme's own, and nothing behind them.
    fn from_str(text: &str) -> Result<Self, String> {
        let rule = || "origins such as https://console.example, separated by commas".to_owned();
        let url = Url::parse(text).map_err(|_| rule())?;
        let origin = url.origin().ascii_serialization();
        let is_exact = text.trim_end_matches('/').eq_ignore_ascii_case(&origin);
        if is_exact && matches!(url.scheme(), "http" | "https") {
            Ok(Self(origin))
        } else {
            Err(rule())
        }
    }
}

/// A range of addresses: `10.0.0.0/8`, `::1`, `192.0.2.7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// Whether the address lies in the range. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX
                    .checked_shl(32 - u32::from(self.prefix_bits))
                    .unwrap_or(0);
                u32::from(network) & mask == u32::from(address) & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.prefix_bits))
                    .unwrap_or(0);
                u128::from(network) & mask == u128::from(address) & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let rule = || "addresses or networks such as 10.0.0.0/8, separated by commas".to_owned();
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| rule())?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => bits_max,
            Some(text) => text
                .trim()
                .parse()
                .ok()
                .filter(|bits| *bits <= bits_max)
                .ok_or_else(rule)?,
        };
        Ok(Network { address, prefix_bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_as_people_write_them() {
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5 m"), Ok(Duration::from_mins(5)));
        assert_eq!(size("512MiB"), Ok(512 << 20));
        assert_eq!(size("1gb"), Ok(1_000_000_000));
        assert_eq!(size("7"), Ok(7));
        for wrong in ["", "s", "-1s", "1.5h", "30 parsecs", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for milliseconds in [0, 1, 999, 1_000, 90_000, 3_600_000, 5_400_000] {
            let value = Duration::from_millis(milliseconds);
            assert_eq!(duration(&show_duration(value)), Ok(value));
        }
        for bytes in [0, 1, 1_000, 1 << 10, 512 << 20, (1 << 30) + 1, 1 << 40] {
            assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
        assert_eq!(show_size(512 << 20), "512MiB");
    }

    #[test]
    fn passwords_are_masked_wherever_they_hide() {
        assert_eq!(mask_url("postgres://u:hunter2@h/db"), "postgres://u:***@h/db");
        assert!(!mask_url("postgres:///db?host=/s&password=hunter2").contains("hunter2"));
        assert_eq!(mask_url("hunter2"), "***");
        let url = DatabaseUrl::parse("postgres://u:hunter2@h/db").unwrap();
        assert!(!format!("{url} {url:?}").contains("hunter2"));
        assert_eq!(url.expose(), "postgres://u:hunter2@h/db");
    }

    #[test]
    fn an_origin_is_exact() {
        for (text, origin) in [
            ("https://console.example", "https://console.example"),
            ("http://LOCALHOST:3000/", "http://localhost:3000"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().as_str(), origin);
        }
        for bad in [
            "*",
            "null",
            "console.example",
            "https://a.example/path",
            "https://*.example/x",
            "ftp://a",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.255.3".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.1".parse().unwrap()));
        assert!(
            "0.0.0.0/0"
                .parse::<Network>()
                .unwrap()
                .contains("203.0.113.9".parse().unwrap())
        );
        assert!("::1".parse::<Network>().unwrap().contains("::1".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
        assert!("example".parse::<Network>().is_err());
    }
}
