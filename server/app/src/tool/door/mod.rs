//! The one way out of a tool's box: its target, and nothing else.
//!
//! ```text
//! worker                      shell (own user and network namespace)      box (as every tool's)
//! outside  <- Unix socket ->  inside: `tamiz door`, listens on the        the tool, which calls
//! connects to pinned          target's addresses and ports on this        the target as it always
//! addresses only, counts      namespace's loopback                        does
//! ```
//!
//! The namespace has no interface but its loopback. `inside` gives that loopback the addresses to
//! which the worker pinned the target, listens there, drops every capability that this took, and only
//! then starts the box, whose `/etc/hosts` names the target. So a tool works unchanged, also on ports
//! below 1024 and on a target that is a bare address, and reports real addresses. It sees neither the
//! socket nor the door's process, and whatever else it calls does not exist.
//!
//! `outside` takes no address from the other end that it does not have itself: it connects to pinned
//! addresses and ports, or asks the operator's resolvers. It counts bytes both ways against a limit,
//! bounds the connections that are open at once, and ends with the run.
//!
//! A caller must know: a tool reaches a listener even when the target is down, so contact is proved
//! before the run, and [`Traffic::bytes_received`] afterwards.
//!
//! Not here: which targets are allowed (whoever pinned the addresses), the box (`boxed`).

pub(super) mod inside;
mod loopback;
pub(super) mod outside;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What a tool with a door is sent to. Parsed, allowed and pinned by whoever made it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkTarget {
    /// The whole URL, for a web target.
    pub url: Option<String>,
    /// The name, or the address as text.
    pub host: String,
    /// Where it is called; none for a bare domain.
    pub ports: Vec<u16>,
    /// What the host was resolved to, once. Of a tool with `network = "dns"` nobody calls them.
    pub addresses: Vec<IpAddr>,
    /// The operator's resolvers, for tools with `network = "dns"`.
    pub resolvers: Vec<SocketAddr>,
}

impl NetworkTarget {
    /// `host:port`, with brackets around an IPv6 address.
    pub fn endpoint(&self) -> Option<String> {
        let port = self.ports.first()?;
        Some(if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]:{port}", self.host)
        } else {
            format!("{}:{port}", self.host)
        })
    }
}

/// What went through one door, and what did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Connections and datagram exchanges that the other side took.
    pub connections: u64,
    /// Those that it did not.
    pub failures: u64,
    /// To the target.
    pub bytes_sent: u64,
    /// From the target.
    pub bytes_received: u64,
    /// The tool asked for these and did not get them; how often each, a bounded number of them.
    pub refused: BTreeMap<String, u64>,
    /// Why the first failed connection failed.
    pub first_failure: Option<String>,
}

/// What one door lets through.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) ports: BTreeSet<u16>,
    /// Asked in this order. Without any, every name is refused.
    pub(super) resolvers: Vec<SocketAddr>,
    pub(super) bytes_max: u64,
    pub(super) connections_max: usize,
}

/// What `inside` is to do; a file in its folder, because its command line is for everybody to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) ports: BTreeSet<u16>,
    pub(super) connections_max: usize,
    /// The box.
    pub(super) command: Vec<String>,
}

/// The file names in a door's folder.
pub(super) const ORDER: &str = "order.json";
const SOCKET: &str = "socket";

/// The resolver that a box with a door finds.
pub(super) const RESOLVER: &str = "127.0.0.1";

impl Order {
    /// Writes the order for a box whose arguments are `command`.
    pub(super) fn write(folder: &Path, reach: &Reach, command: Vec<OsString>) -> io::Result<()> {
        let command: Result<Vec<String>, OsString> = command.into_iter().map(OsString::into_string).collect();
        let command = command.map_err(|odd| {
            let message = format!("{} is not UTF-8, which a door's paths must be", odd.display());
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        let order = Self {
            addresses: reach.addresses.clone(),
            ports: reach.ports.clone(),
            connections_max: reach.connections_max,
            command,
        };
        std::fs::write(folder.join(ORDER), serde_json::to_vec(&order)?)
    }
}

/// The system settings of a box with a door: the target's name, and a resolver on the loopback.
///
/// The host must be a plain name or an address; anything else would be lines of its own.
pub(super) fn write_settings(folder: &Path, target: &NetworkTarget) -> io::Result<()> {
    let mut hosts = "127.0.0.1 localhost worker\n::1 localhost\n".to_owned();
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    if is_name(&target.host) && target.host.parse::<IpAddr>().is_err() && target.host != "localhost" {
        for address in &target.addresses {
            // Writing to a string cannot fail.
            let _ = writeln!(hosts, "{address} {}", target.host);
        }
    }
    std::fs::write(folder.join("hosts"), hosts)?;
    std::fs::write(
        folder.join("resolv.conf"),
        format!("nameserver {RESOLVER}\noptions timeout:5 attempts:2\n"),
    )?;
    std::fs::write(folder.join("nsswitch.conf"), "hosts: files dns\n")
}

/// The files of [`write_settings`], and where the box has them.
pub(super) const SETTINGS: [(&str, &str); 3] = [
    ("hosts", "/etc/hosts"),
    ("resolv.conf", "/etc/resolv.conf"),
    ("nsswitch.conf", "/etc/nsswitch.conf"),
];

/// The program that runs `inside`, without its order.
#[cfg(not(test))]
pub(super) fn program() -> io::Result<Vec<OsString>> {
    Ok(vec![std::env::current_exe()?.into(), "door".into()])
}

/// The unit tests' own program, with a test that acts as the hidden command does.
#[cfg(test)]
pub(super) fn program() -> io::Result<Vec<OsString>> {
    let words = [
        "--exact",
        "tool::door_tests::acts_as_the_door",
        "--nocapture",
        "--test-threads=1",
    ];
    let this = std::env::current_exe()?.into();
    Ok(std::iter::once(this).chain(words.map(OsString::from)).collect())
}
