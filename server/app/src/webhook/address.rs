//! Where a webhook may go: an https address whose host is public, or one that the operator allows; there plain http, too.

use std::net::IpAddr;

use tamiz_core::webhook::URL_BYTES_MAX;
use tamiz_core::{Refusal, RefusalCode};
use url::{Host, Url};

use crate::config::TargetSettings;
use crate::target;

/// An address whose form is right. Nobody has looked yet where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(Url);

impl Address {
    /// Reads one.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let refuse = |rule: &str| Err(Refusal::invalid("url", rule));
        if text.len() > URL_BYTES_MAX {
            return refuse(&format!("must have at most {URL_BYTES_MAX} bytes"));
        }
        let Ok(url) = Url::parse(text) else {
            return refuse("must be an address such as https://hooks.example/tamiz");
        };
        if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
            return refuse("must be an address such as https://hooks.example/tamiz");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("must not have a name or password: whoever receives it checks the signature");
        }
        if url.fragment().is_some() {
            return refuse("must not have a fragment: it is not sent");
        }
        Ok(Self(url))
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    /// Without the brackets of an IPv6 address.
    fn host(&self) -> String {
        match self.0.host() {
            Some(Host::Domain(name)) => name.trim_end_matches('.').to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        }
    }
}

/// The addresses behind it, all of which the tenant's webhooks may go to. Names are asked for once: these are called, and
/// no others.
pub(crate) async fn judged(
    address: &Address,
    tenant: &str,
    settings: &TargetSettings,
) -> Result<Vec<IpAddr>, Refusal> {
    let at = |refusal: Refusal| refusal.at(&["input", "url"]);
    let found = target::reach(&address.host(), tenant, settings)
        .await
        .map_err(at)?;
    let is_plain = address.0.scheme() == "http";
    if is_plain && !found.iter().all(|found| settings.allows(tenant, *found)) {
        let message = "plain http is for networks that the operator allows alone: use https";
        return Err(at(Refusal::new(RefusalCode::InvalidInput, message)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowing(text: &str) -> TargetSettings {
        TargetSettings {
            networks_allowed: vec![text.parse().unwrap()],
            ..TargetSettings::default()
        }
    }

    async fn judge(text: &str, settings: &TargetSettings) -> Result<Vec<IpAddr>, String> {
        let address = Address::parse(text).unwrap();
        let judged = judged(&address, "acme", settings).await;
        judged.map_err(|refusal| {
            assert_eq!(refusal.path, ["input", "url"]);
            format!("{}: {}", refusal.code, refusal.message)
        })
    }

    #[test]
    fn an_address_has_a_scheme_and_a_host_and_nothing_that_is_not_sent() {
        for bad in [
            "",
            "hooks.example",
            "ftp://hooks.example/",
            "https://",
            "https://jo:secret@hooks.example/",
            "https://hooks.example/#part",
            "file:///etc/passwd",
        ] {
            let refusal = Address::parse(bad).unwrap_err();
            assert_eq!(refusal.path, ["input", "url"], "{bad}");
        }
        let long = format!("https://hooks.example/{}", "x".repeat(URL_BYTES_MAX));
        assert!(Address::parse(&long).is_err());
        assert!(Address::parse("https://hooks.example:8443/a?b=c").is_ok());
    }

    #[tokio::test]
    async fn what_is_not_public_is_refused_however_it_is_written() {
        let strict = TargetSettings::default();
        for (address, word) in [
            ("https://127.0.0.1/", "127.0.0.1 is a loopback address"),
            ("https://2130706433/", "127.0.0.1 is a loopback address"),
            ("https://0x7f.1/", "127.0.0.1 is a loopback address"),
            ("https://[::1]/", "::1 is the loopback address"),
            ("https://[::ffff:10.0.0.1]/", "10.0.0.1"),
            ("https://10.1.2.3:8443/", "10.1.2.3 is a private address"),
            ("https://169.254.169.254/latest", "metadata service"),
            ("https://localhost/", "loopback address"),
            ("https://localhost./", "loopback address"),
        ] {
            let refused = judge(address, &strict).await.unwrap_err();
            assert!(refused.starts_with("TARGET_FORBIDDEN"), "{address}: {refused}");
            assert!(refused.contains(word), "{address}: {refused}");
        }
    }

    #[tokio::test]
    async fn plain_http_is_for_networks_that_the_operator_allows() {
        let local = allowing("acme=127.0.0.0/8");
        assert_eq!(judge("http://127.0.0.1:9/", &local).await.unwrap().len(), 1);
        let refused = judge("http://8.8.8.8/", &local).await.unwrap_err();
        assert!(refused.contains("use https"), "{refused}");
        assert!(judge("https://8.8.8.8/", &local).await.is_ok());
        let others = allowing("globex=127.0.0.0/8");
        assert!(judge("http://127.0.0.1:9/", &others).await.is_err());
    }
}
