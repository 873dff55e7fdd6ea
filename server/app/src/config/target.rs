//! What scans may reach beyond the public internet, by tenant.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::value::Network;

/// Where name servers listen.
const DNS_PORT: u16 = 53;

/// What scans may reach beyond the public internet.
#[derive(Debug, Clone, Default)]
pub struct TargetSettings {
    /// networks that are special and allowed all the same; none by default
    pub networks_allowed: Vec<NetworkAllowance>,
    /// name servers that DNS tools ask, in their order
    pub resolvers: Vec<SocketAddr>,
    /// whether the operator named them: then they are asked for the addresses of targets, too
    pub resolvers_are_named: bool,
}

impl TargetSettings {
    /// Whether the operator lets scans of this tenant go to a special address.
    pub fn allows(&self, tenant: &str, address: IpAddr) -> bool {
        self.networks_allowed
            .iter()
            .any(|allowance| allowance.covers(tenant, address))
    }

    /// Whether the operator lets scans of this tenant go to any special address at all.
    pub fn allows_some_network(&self, tenant: &str) -> bool {
        self.networks_allowed
            .iter()
            .any(|allowance| allowance.is_for(tenant))
    }
}

/// A name server: `10.0.0.53`, `10.0.0.53:5353`, `[::1]:53`.
pub(super) struct Resolver(pub(super) SocketAddr);

impl FromStr for Resolver {
    type Err = String;

    fn from_str(text: &str) -> Result<Resolver, String> {
        let bare = text
            .parse()
            .map(|address: IpAddr| SocketAddr::new(address, DNS_PORT));
        bare.or_else(|_| text.parse())
            .map(Resolver)
            .map_err(|_| "addresses of name servers such as 10.0.0.53 or 10.0.0.53:5353".to_owned())
    }
}

/// A network that scans of a tenant may reach: `acme=10.0.0.0/8`, or `*=…` for all tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkAllowance {
    /// none means all
    tenant: Option<String>,
    network: Network,
}

impl NetworkAllowance {
    /// Whether it is for this tenant and this address.
    pub fn covers(&self, tenant: &str, address: IpAddr) -> bool {
        self.is_for(tenant) && self.network.contains(address)
    }

    fn is_for(&self, tenant: &str) -> bool {
        self.tenant.as_deref().is_none_or(|named| named == tenant)
    }
}

impl FromStr for NetworkAllowance {
    type Err = String;

    fn from_str(text: &str) -> Result<NetworkAllowance, String> {
        let rule = || "tenants and networks such as acme=10.0.0.0/8 or *=127.0.0.0/8".to_owned();
        let (tenant, network) = text.rsplit_once('=').ok_or_else(rule)?;
        let network = network.trim().parse().map_err(|_| rule())?;
        match tenant.trim() {
            "" => Err(rule()),
            "*" => Ok(NetworkAllowance {
                tenant: None,
                network,
            }),
            tenant => Ok(NetworkAllowance {
                tenant: Some(tenant.to_owned()),
                network,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::{Flag, Sources, resolve};

    fn given(key: &str, value: &str) -> Sources {
        let flag = Flag {
            flag: format!("--set {key}"),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        Sources {
            flags: vec![flag],
            ..Sources::default()
        }
    }

    #[test]
    fn a_network_is_allowed_to_the_tenants_that_are_named() {
        let networks = |value| resolve(given("target_networks_allowed", value));
        let target = networks("acme=10.0.0.0/8, *=127.0.0.0/8").unwrap().config.target;
        let allows = |tenant, address: &str| target.allows(tenant, address.parse().unwrap());
        assert!(allows("acme", "10.1.2.3") && !allows("other", "10.1.2.3"));
        assert!(allows("acme", "127.0.0.1") && allows("other", "127.0.0.1"));
        assert!(!allows("acme", "192.168.0.1"));
        for wrong in ["10.0.0.0/8", "=10.0.0.0/8", "acme=ten", "acme=10.0.0.0/40"] {
            let text = networks(wrong).unwrap_err().to_string();
            assert!(
                text.contains("tenants and networks such as acme=10.0.0.0/8"),
                "{text}"
            );
        }
    }

    #[test]
    fn name_servers_have_a_port_or_the_usual_one() {
        let resolvers = |value| resolve(given("target_resolvers", value));
        let found = resolvers("10.0.0.53, [::1]:5353, ::1")
            .unwrap()
            .config
            .target
            .resolvers;
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["10.0.0.53:53", "[::1]:5353", "[::1]:53"]);
        assert!(resolvers("dns.example").is_err());
        assert!(resolvers("").unwrap().config.target.resolvers.is_empty());
    }

    #[test]
    fn name_servers_are_named_by_the_operator_or_the_machines_own() {
        for (key, value, named) in [
            ("target_resolvers", "10.0.0.53", true),
            ("target_resolvers", "", false),
            ("listen", "127.0.0.1:1", false),
        ] {
            let target = resolve(given(key, value)).unwrap().config.target;
            assert_eq!(target.resolvers_are_named, named, "{key} = {value:?}");
        }
    }
}
