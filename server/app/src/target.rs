//! The guard in front of targets: no scan reaches what the operator did not allow.
//!
//! It stands twice. [`pin`] runs before a task exists: the target's host is resolved once, by the name
//! servers that the operator named or else as the system does, every address is judged, and the
//! addresses stay with the task. [`recheck`] runs in the worker before the first contact and before each
//! tool: it judges the pinned addresses again, because the configuration may have changed, and resolves
//! nothing, because the name may have: what was judged is what is contacted.
//!
//! A domain is only asked about, at the name servers; nothing calls it. One without an address, such as
//! one that only takes mail, is a target, too, if the name servers know it.
//!
//! Not here: parsing and the rule itself (`tamiz_core::target`, `tamiz_core::address`), and holding
//! tools to the pinned addresses (see `tool`).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tamiz_core::address::{self, Forbidden};
use tamiz_core::{PinnedTarget, Refusal, RefusalCode, Target};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::TargetSettings;
use crate::names;

/// A name server that needs longer has no answer for us.
const RESOLVE_SECONDS_MAX: u64 = 5;
/// For one of several name servers that may know a domain.
const SERVER_SECONDS_MAX: u64 = 2;
/// Names asked for at once: each takes a blocking thread, and a slow name server must not take all.
const RESOLVES_MAX: usize = 16;
/// Addresses of one host; large sites have a dozen.
const ADDRESSES_MAX: usize = 64;

static RESOLVES: Semaphore = Semaphore::const_new(RESOLVES_MAX);

/// Resolves the target's host and judges all its addresses.
///
/// # Errors
/// `TARGET_UNRESOLVED` when the host has no address now, or the domain is unknown, `TARGET_FORBIDDEN` when
/// one of the addresses is special and not allowed to the tenant.
pub async fn pin(target: Target, tenant: &str, settings: &TargetSettings) -> Result<PinnedTarget, Refusal> {
    let patience = Duration::from_secs(RESOLVE_SECONDS_MAX);
    let asked = target.clone();
    let pinned = if settings.resolvers_are_named {
        // DNS tools ask these servers, so what they say is what is judged.
        let ask = async |host: String| names::addresses(&host, &settings.resolvers).await;
        pin_with(target, tenant, settings, patience, ask).await
    } else {
        pin_with(target, tenant, settings, patience, ask_system).await
    };
    match (pinned, &asked) {
        (Err(refusal), Target::Domain { name }) if refusal.code == RefusalCode::TargetUnresolved.as_str() => {
            judge_name(name, tenant, settings)?;
            let known = timeout(patience, is_known(name, &settings.resolvers)).await;
            let nowhere = PinnedTarget {
                target: asked,
                addresses: Vec::new(),
            };
            known.unwrap_or_default().then_some(nowhere).ok_or(refusal)
        }
        (pinned, _) => pinned,
    }
}

/// Zones that the public DNS does not have or that say who is behind an address: what the operator's name
/// servers know of them is about the operator's own network (RFC 6303, 6761, 6762, 8375; `internal` by
/// ICANN). With an address such a name is judged by that; without one it is for those tenants alone whom the
/// operator lets into some network.
const PRIVATE_ZONES: [&str; 7] = [
    "local",
    "localhost",
    "internal",
    "home.arpa",
    "in-addr.arpa",
    "ip6.arpa",
    "onion",
];

fn is_of_a_private_network(name: &str) -> bool {
    let is_in = |zone: &&str| {
        let above = name.strip_suffix(*zone);
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    };
    PRIVATE_ZONES.iter().any(is_in)
}

/// For a domain without an address.
fn judge_name(name: &str, tenant: &str, settings: &TargetSettings) -> Result<(), Refusal> {
    if settings.allows_some_network(tenant) || !is_of_a_private_network(name) {
        return Ok(());
    }
    let message =
        format!("{name} may not be scanned: it is a name of private networks; the operator can allow one");
    Err(Refusal::new(RefusalCode::TargetForbidden, message).at(&["input", "target"]))
}

/// Whether the first name server that says anything knows a domain, whatever it has.
async fn is_known(name: &str, servers: &[SocketAddr]) -> bool {
    for server in servers {
        let patience = Duration::from_secs(SERVER_SECONDS_MAX);
        let answer = timeout(patience, names::ask(name, names::Record::Authority, *server)).await;
        match answer.map(|answer| answer.map(|answer| answer.code)) {
            Ok(Ok(names::NO_ERROR)) => return true,
            Ok(Ok(names::NO_SUCH_NAME)) => return false,
            _ => {}
        }
    }
    false
}

/// The addresses of a host that is to be called by something else than a scan, judged as those of a scan's target are.
///
/// # Errors
/// `TARGET_UNRESOLVED` when the host has no address now, `TARGET_FORBIDDEN` when one of the addresses is special and
/// not allowed to the tenant.
pub(crate) async fn reach(
    host: &str,
    tenant: &str,
    settings: &TargetSettings,
) -> Result<Vec<IpAddr>, Refusal> {
    let patience = Duration::from_secs(RESOLVE_SECONDS_MAX);
    let addresses = match host.parse() {
        Ok(literal) => vec![literal],
        Err(_) if settings.resolvers_are_named => {
            let ask = async |host: String| names::addresses(&host, &settings.resolvers).await;
            resolve(host, patience, ask).await?
        }
        Err(_) => resolve(host, patience, ask_system).await?,
    };
    for address in &addresses {
        let judged = address::judge(*address, &|address| settings.allows(tenant, address));
        judged.map_err(|why| {
            let message = format!("{host} may not be called: {why}; the operator can allow its network");
            Refusal::new(RefusalCode::TargetForbidden, message)
        })?;
    }
    Ok(addresses)
}

/// Judges the pinned addresses again; the very same ones come back.
///
/// # Errors
/// `TARGET_FORBIDDEN` when one of them is special and not, or no longer, allowed to the tenant.
pub fn recheck(
    pinned: &PinnedTarget,
    tenant: &str,
    settings: &TargetSettings,
) -> Result<PinnedTarget, Refusal> {
    if let Some(host) = pinned.target.host() {
        let is_asked_about = matches!(pinned.target, Target::Domain { .. });
        if pinned.addresses.is_empty() && !is_asked_about {
            return Err(unresolved(host, "the task has no addresses for it"));
        }
        // an address that is written out is its own pin
        let literal: Option<IpAddr> = host.parse().ok();
        if literal.is_some_and(|literal| pinned.addresses != [literal]) {
            return Err(unresolved(host, "the task has other addresses for it"));
        }
        judge_all(host, &pinned.addresses, tenant, settings)?;
        if pinned.addresses.is_empty() {
            judge_name(host, tenant, settings)?;
        }
    }
    Ok(pinned.clone())
}

async fn pin_with(
    target: Target,
    tenant: &str,
    settings: &TargetSettings,
    patience: Duration,
    ask: impl AsyncFnOnce(String) -> io::Result<Vec<IpAddr>>,
) -> Result<PinnedTarget, Refusal> {
    let Some(host) = target.host().map(str::to_owned) else {
        return Ok(PinnedTarget {
            target,
            addresses: Vec::new(),
        });
    };
    let addresses = match host.parse() {
        Ok(literal) => vec![literal],
        Err(_) => resolve(&host, patience, ask).await?,
    };
    judge_all(&host, &addresses, tenant, settings)?;
    Ok(PinnedTarget { target, addresses })
}

/// All addresses of a name, sorted, each once.
async fn resolve(
    host: &str,
    patience: Duration,
    ask: impl AsyncFnOnce(String) -> io::Result<Vec<IpAddr>>,
) -> Result<Vec<IpAddr>, Refusal> {
    let answer = timeout(patience, async {
        let _turn = RESOLVES.acquire().await.map_err(io::Error::other)?;
        ask(host.to_owned()).await
    });
    let mut addresses = match answer.await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => {
            tracing::debug!(host, %error, "a target's host does not resolve");
            return Err(unresolved(host, "the name has no address"));
        }
        Err(_) => {
            let why = format!("no answer in {} seconds", patience.as_secs_f32());
            return Err(unresolved(host, &why));
        }
    };
    addresses.sort_unstable();
    addresses.dedup();
    match addresses.len() {
        0 => Err(unresolved(host, "the name has no address")),
        1..=ADDRESSES_MAX => Ok(addresses),
        count => Err(unresolved(
            host,
            &format!("it has {count} addresses, more than {ADDRESSES_MAX}"),
        )),
    }
}

async fn ask_system(host: String) -> io::Result<Vec<IpAddr>> {
    // the port is not looked at: addresses only
    let found = tokio::net::lookup_host((host, 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}

/// One forbidden address is enough to refuse: a name with a public and a private one is a trap.
fn judge_all(
    host: &str,
    addresses: &[IpAddr],
    tenant: &str,
    settings: &TargetSettings,
) -> Result<(), Refusal> {
    let allows = |address| settings.allows(tenant, address);
    for address in addresses {
        address::judge(*address, &allows).map_err(|why| forbidden(host, &why))?;
    }
    Ok(())
}

fn forbidden(host: &str, why: &Forbidden) -> Refusal {
    let message = format!("{host} may not be scanned: {why}; the operator can allow its network");
    Refusal::new(RefusalCode::TargetForbidden, message).at(&["input", "target"])
}

fn unresolved(host: &str, why: &str) -> Refusal {
    Refusal::new(
        RefusalCode::TargetUnresolved,
        format!("{host} cannot be reached: {why}"),
    )
    .at(&["input", "target"])
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn allowing(text: &str) -> TargetSettings {
        TargetSettings {
            networks_allowed: text.split(',').map(|part| part.parse().unwrap()).collect(),
            ..TargetSettings::default()
        }
    }

    fn site() -> Target {
        Target::url("https://shop.example/").unwrap()
    }

    async fn pinned(
        addresses: &'static [&'static str],
        settings: &TargetSettings,
    ) -> Result<PinnedTarget, Refusal> {
        let answer = async move |host: String| {
            assert_eq!(host, "shop.example");
            Ok(addresses.iter().map(|address| address.parse().unwrap()).collect())
        };
        pin_with(site(), "acme", settings, PATIENCE, answer).await
    }

    #[tokio::test]
    async fn all_addresses_are_pinned_and_one_forbidden_one_refuses_all() {
        let strict = TargetSettings::default();
        let good = pinned(&["8.8.8.8", "1.1.1.1", "8.8.8.8"], &strict).await.unwrap();
        let kept: Vec<String> = good.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(kept, ["1.1.1.1", "8.8.8.8"]);
        let trap = pinned(&["8.8.8.8", "10.0.0.1"], &strict).await.unwrap_err();
        assert_eq!(trap.code, "TARGET_FORBIDDEN");
        assert!(trap.message.contains("10.0.0.1 is a private address"), "{trap}");
        assert!(
            pinned(&["8.8.8.8", "10.0.0.1"], &allowing("acme=10.0.0.0/8"))
                .await
                .is_ok()
        );
        let others = allowing("globex=10.0.0.0/8,*=127.0.0.0/8");
        assert!(pinned(&["10.0.0.1"], &others).await.is_err());
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_unresolved() {
        let strict = TargetSettings::default();
        let none = pinned(&[], &strict).await.unwrap_err();
        assert_eq!(none.code, "TARGET_UNRESOLVED");
        let failing = async |_: String| Err(io::Error::other("SERVFAIL at 10.9.8.7"));
        let failed = pin_with(site(), "acme", &strict, PATIENCE, failing)
            .await
            .unwrap_err();
        assert_eq!(failed.code, "TARGET_UNRESOLVED");
        assert!(!failed.message.contains("10.9.8.7"), "{failed}");
    }

    #[tokio::test]
    async fn a_domain_without_an_address_is_a_target_if_the_name_servers_know_it() {
        for (code, is_target) in [(names::NO_ERROR, true), (names::NO_SUCH_NAME, false)] {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let settings = TargetSettings {
                resolvers: vec![socket.local_addr().unwrap()],
                resolvers_are_named: true,
                ..TargetSettings::default()
            };
            // The question comes back as an answer without records.
            let server = tokio::spawn(async move {
                let mut bytes = [0; 512];
                while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
                    bytes[3] = code;
                    socket.send_to(&bytes[..length], from).await.unwrap();
                }
            });
            let domain = || Target::domain("mail-only.example").unwrap();
            match pin(domain(), "acme", &settings).await {
                Ok(pinned) => {
                    assert!(is_target && pinned.addresses.is_empty());
                    assert_eq!(recheck(&pinned, "acme", &settings), Ok(pinned));
                }
                Err(refusal) => assert!(!is_target && refusal.code == "TARGET_UNRESOLVED", "{refusal}"),
            }
            // What is called needs an address to be called at.
            assert!(pin(site(), "acme", &settings).await.is_err());
            server.abort();
        }
    }

    #[tokio::test]
    async fn a_zone_of_a_private_network_is_for_tenants_who_may_enter_one() {
        for name in ["10.in-addr.arpa", "corp.internal", "internal", "printers.local"] {
            // Nobody is asked about it but for an address, which it has not.
            let settings = TargetSettings {
                resolvers_are_named: true,
                ..TargetSettings::default()
            };
            let refused = pin(Target::domain(name).unwrap(), "acme", &settings).await;
            assert_eq!(refused.unwrap_err().code, "TARGET_FORBIDDEN", "{name}");
        }
        let settings = TargetSettings {
            resolvers_are_named: true,
            ..allowing("acme=10.0.0.0/8")
        };
        for (tenant, code) in [("acme", "TARGET_UNRESOLVED"), ("globex", "TARGET_FORBIDDEN")] {
            let unknown = pin(Target::domain("corp.internal").unwrap(), tenant, &settings).await;
            assert_eq!(unknown.unwrap_err().code, code);
        }
        let pinned = PinnedTarget {
            target: Target::domain("corp.internal").unwrap(),
            addresses: Vec::new(),
        };
        assert!(recheck(&pinned, "acme", &settings).is_ok());
        assert!(recheck(&pinned, "globex", &settings).is_err());
        for name in ["internal.example", "notlocal", "arpa"] {
            assert!(!is_of_a_private_network(name), "{name}");
        }
    }

    #[tokio::test]
    async fn a_silent_name_server_is_not_waited_for() {
        let silent = async |_: String| std::future::pending().await;
        let patience = Duration::from_millis(10);
        let late = pin_with(site(), "acme", &TargetSettings::default(), patience, silent)
            .await
            .unwrap_err();
        assert!(late.message.contains("no answer in 0.01 seconds"), "{late}");
    }

    #[tokio::test]
    async fn a_written_address_is_judged_without_asking_and_people_have_none() {
        let never = async |_: String| panic!("nothing to resolve");
        let strict = TargetSettings::default();
        let local = Target::url("http://2130706433/").unwrap();
        let refused = pin_with(local, "acme", &strict, PATIENCE, never)
            .await
            .unwrap_err();
        assert!(
            refused.message.contains("127.0.0.1 is a loopback address"),
            "{refused}"
        );
        let person = Target::username("jo").unwrap();
        let pinned = pin_with(person, "acme", &strict, PATIENCE, never).await.unwrap();
        assert!(pinned.addresses.is_empty());
        assert!(recheck(&pinned, "acme", &strict).is_ok());
    }

    #[test]
    fn the_second_look_judges_the_pins_and_resolves_nothing() {
        let pinned = |target: Target, addresses: &[&str]| PinnedTarget {
            target,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        };
        let strict = TargetSettings::default();
        let good = pinned(site(), &["8.8.8.8"]);
        assert_eq!(recheck(&good, "acme", &strict), Ok(good.clone()));
        // allowed when it was asked for, no longer now
        let private = pinned(site(), &["10.0.0.1"]);
        assert!(recheck(&private, "acme", &allowing("acme=10.0.0.0/8")).is_ok());
        assert_eq!(
            recheck(&private, "acme", &strict).unwrap_err().code,
            "TARGET_FORBIDDEN"
        );
        // pins that were tampered with
        let literal = Target::endpoint("8.8.8.8", 443).unwrap();
        for (target, addresses) in [(site(), &[][..]), (literal, &["1.1.1.1"][..])] {
            let refused = recheck(&pinned(target, addresses), "acme", &strict).unwrap_err();
            assert_eq!(refused.code, "TARGET_UNRESOLVED");
        }
    }
}
