//! Who is at the other end: the peer, or the client that a trusted proxy speaks for.
//!
//! `X-Forwarded-For` is believed only when the peer is a configured proxy, and then from the right:
//! the rightmost address that is not itself a trusted proxy was written by one of ours. Everything
//! further left may be the client's invention.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;

use crate::config::Network;

/// Hops read from the right of `X-Forwarded-For`; longer chains of own proxies do not exist.
const HOPS_MAX: usize = 16;

/// The client's address, in the request's extensions. Absent only when the server was started
/// without connection info.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Networks whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[Network]>);

impl TrustedProxies {
    /// From the configured networks.
    pub fn new(networks: &[Network]) -> Self {
        Self(networks.into())
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client behind `peer`.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let hops = headers
            .get_all("x-forwarded-for")
            .iter()
            .rev()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.rsplit(','))
            .take(HOPS_MAX);
        for hop in hops {
            if !self.trust(client) {
                break;
            }
            match parse_hop(hop.trim()) {
                Some(address) => client = address.to_canonical(),
                None => break,
            }
        }
        client
    }
}

/// An address with or without port, an IPv6 one with or without brackets.
fn parse_hop(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| {
            text.strip_prefix('[')?
                .strip_suffix(']')?
                .parse::<Ipv6Addr>()
                .ok()
                .map(IpAddr::V6)
        })
}

/// Notes the client's address in the request.
pub(super) async fn find_address(
    State(proxies): State<TrustedProxies>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let client = proxies.client(peer.ip(), request.headers());
        request.extensions_mut().insert(ClientAddress(client));
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&'static str]) -> String {
        let networks: Vec<Network> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_static(value));
        }
        TrustedProxies::new(&networks)
            .client(peer.parse().unwrap(), &headers)
            .to_string()
    }

    #[test]
    fn a_client_cannot_choose_its_address_by_a_header() {
        assert_eq!(client(&[], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(
            client(&["10.0.0.0/8"], "192.0.2.1", &["198.51.100.7"]),
            "192.0.2.1"
        );
    }

    #[test]
    fn the_rightmost_address_that_is_not_ours_is_the_client() {
        let trusted = ["10.0.0.0/8", "::1"];
        assert_eq!(
            client(&trusted, "10.1.1.1", &["1.1.1.1, 198.51.100.7"]),
            "198.51.100.7"
        );
        assert_eq!(
            client(&trusted, "::1", &["1.1.1.1, 198.51.100.7, 10.2.2.2"]),
            "198.51.100.7"
        );
        assert_eq!(
            client(&trusted, "10.1.1.1", &["1.1.1.1", "198.51.100.7:4711"]),
            "198.51.100.7"
        );
        assert_eq!(client(&trusted, "10.1.1.1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(
            client(&trusted, "10.1.1.1", &["198.51.100.7, nonsense"]),
            "10.1.1.1"
        );
        assert_eq!(
            client(&trusted, "::ffff:10.1.1.1", &["198.51.100.7"]),
            "198.51.100.7"
        );
    }
}
