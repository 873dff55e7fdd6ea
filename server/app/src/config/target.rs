//! What scans may reach beyond the public internet, by tenant.

use std::net::IpAddr;
use std::str::FromStr;

use super::value::Network;

/// What scans may reach beyond the public internet.
#[derive(Debug, Clone, Default)]
pub struct TargetSettings {
    /// networks that are special and allowed all the same; none by default
    pub networks_allowed: Vec<NetworkAllowance>,
}

impl TargetSettings {
    /// Whether the operator lets scans of this tenant go to a special address.
    pub fn allows(&self, tenant: &str, address: IpAddr) -> bool {
        self.networks_allowed
            .iter()
            .any(|allowance| allowance.covers(tenant, address))
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
        self.tenant.as_deref().is_none_or(|named| named == tenant) && self.network.contains(address)
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

    fn given(value: &str) -> Sources {
        let flag = Flag {
            flag: "--set target_networks_allowed".to_owned(),
            key: "target_networks_allowed".to_owned(),
            value: value.to_owned(),
        };
        Sources {
            flags: vec![flag],
            ..Sources::default()
        }
    }

    #[test]
    fn a_network_is_allowed_to_the_tenants_that_are_named() {
        let target = resolve(given("acme=10.0.0.0/8, *=127.0.0.0/8"))
            .unwrap()
            .config
            .target;
        let allows = |tenant, address: &str| target.allows(tenant, address.parse().unwrap());
        assert!(allows("acme", "10.1.2.3") && !allows("other", "10.1.2.3"));
        assert!(allows("acme", "127.0.0.1") && allows("other", "127.0.0.1"));
        assert!(!allows("acme", "192.168.0.1"));
        for wrong in ["10.0.0.0/8", "=10.0.0.0/8", "acme=ten", "acme=10.0.0.0/40"] {
            let text = resolve(given(wrong)).unwrap_err().to_string();
            assert!(
                text.contains("tenants and networks such as acme=10.0.0.0/8"),
                "{text}"
            );
        }
    }
}
