//! Which IP addresses no scan may reach unless the operator allows their network.
//!
//! Everything that is not an ordinary address of the public internet: the special-purpose registries
//! of IANA, the metadata services of clouds, and every IPv6 form that carries an IPv4 address inside,
//! whose inside is judged as well. Of IPv6 only `2000::/3` is public at all, so that a range nobody has
//! thought of is refused, too.
//!
//! Callers judge parsed addresses, never text. Not here: resolving names (see the guard of the server).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address may not be scanned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The address itself.
    #[error("{address} is {what}")]
    Itself {
        /// The address.
        address: IpAddr,
        /// Such as `a private address`.
        what: &'static str,
    },
    /// The IPv4 address that it carries.
    #[error("{address} leads to {inside}, which is {what}")]
    Inside {
        /// The address.
        address: IpAddr,
        /// What it carries.
        inside: Ipv4Addr,
        /// Such as `a private address`.
        what: &'static str,
    },
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

const fn v6(head: [u16; 4]) -> Ipv6Addr {
    Ipv6Addr::new(head[0], head[1], head[2], head[3], 0, 0, 0, 0)
}

const METADATA: &str = "the metadata service of a cloud";
const DOCUMENTATION: &str = "an address for documentation";

/// First address, bits of the prefix, what it is; the narrower range stands first.
const SPECIAL_V4: &[(Ipv4Addr, u32, &str)] = &[
    (v4(169, 254, 169, 254), 32, METADATA),
    (v4(169, 254, 170, 2), 32, METADATA),
    (v4(100, 100, 100, 200), 32, METADATA),
    (v4(168, 63, 129, 16), 32, METADATA),
    (v4(192, 0, 0, 192), 32, METADATA),
    (v4(0, 0, 0, 0), 32, "the unspecified address"),
    (v4(255, 255, 255, 255), 32, "the broadcast address"),
    (v4(0, 0, 0, 0), 8, "an address of this network"),
    (v4(10, 0, 0, 0), 8, "a private address"),
    (v4(100, 64, 0, 0), 10, "a provider's shared address"),
    (v4(127, 0, 0, 0), 8, "a loopback address"),
    (v4(169, 254, 0, 0), 16, "a link-local address"),
    (v4(172, 16, 0, 0), 12, "a private address"),
    (v4(192, 0, 0, 0), 24, "an address of protocols"),
    (v4(192, 0, 2, 0), 24, DOCUMENTATION),
    (v4(192, 88, 99, 0), 24, "a 6to4 relay"),
    (v4(192, 168, 0, 0), 16, "a private address"),
    (v4(198, 18, 0, 0), 15, "an address for benchmarks"),
    (v4(198, 51, 100, 0), 24, DOCUMENTATION),
    (v4(203, 0, 113, 0), 24, DOCUMENTATION),
    (v4(224, 0, 0, 0), 4, "a multicast address"),
    (v4(240, 0, 0, 0), 4, "a reserved address"),
];

/// As [`SPECIAL_V4`]; the last row catches what is not public unicast.
const SPECIAL_V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "the unspecified address"),
    (Ipv6Addr::LOCALHOST, 128, "the loopback address"),
    (Ipv6Addr::UNSPECIFIED, 96, "an IPv4-compatible address"),
    (
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0),
        96,
        "an IPv4-mapped address",
    ),
    (
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0),
        96,
        "an IPv4-translated address",
    ),
    (v6([0x64, 0xff9b, 0, 0]), 96, "a NAT64 address"),
    (v6([0x64, 0xff9b, 1, 0]), 48, "a local NAT64 address"),
    (v6([0x100, 0, 0, 0]), 64, "a discard-only address"),
    (v6([0x2001, 0, 0, 0]), 32, "a Teredo address"),
    (v6([0x2001, 2, 0, 0]), 48, "an address for benchmarks"),
    (v6([0x2001, 0, 0, 0]), 23, "an address of protocols"),
    (v6([0x2001, 0xdb8, 0, 0]), 32, DOCUMENTATION),
    (v6([0x3fff, 0, 0, 0]), 20, DOCUMENTATION),
    (v6([0x2002, 0, 0, 0]), 16, "a 6to4 address"),
    (v6([0x5f00, 0, 0, 0]), 16, "a segment-routing address"),
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, METADATA),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, METADATA),
    (v6([0xfc00, 0, 0, 0]), 7, "a private address"),
    (v6([0xfe80, 0, 0, 0]), 10, "a link-local address"),
    (v6([0xfec0, 0, 0, 0]), 10, "a site-local address"),
    (v6([0xff00, 0, 0, 0]), 8, "a multicast address"),
];

/// All public unicast addresses of today.
const PUBLIC_V6: (Ipv6Addr, u32) = (v6([0x2000, 0, 0, 0]), 3);

/// Whether a scan may go to `address`: it is public, or `allows` says so, and the same for an IPv4
/// address that it carries.
///
/// # Errors
/// [`Forbidden`] says what it is.
pub fn judge(address: IpAddr, allows: &dyn Fn(IpAddr) -> bool) -> Result<(), Forbidden> {
    if let Some(what) = special(address).filter(|_| !allows(address)) {
        return Err(Forbidden::Itself { address, what });
    }
    let IpAddr::V6(outer) = address else {
        return Ok(());
    };
    for inside in carried(outer).into_iter().flatten() {
        if let Some(what) = special(IpAddr::V4(inside)).filter(|_| !allows(IpAddr::V4(inside))) {
            return Err(Forbidden::Inside {
                address,
                inside,
                what,
            });
        }
    }
    Ok(())
}

/// What a special address is; `None` for a public one.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => SPECIAL_V4
            .iter()
            .find(|(first, bits, _)| shares_v4(address, *first, *bits))
            .map(|(_, _, what)| *what),
        IpAddr::V6(address) => SPECIAL_V6
            .iter()
            .find(|(first, bits, _)| shares_v6(address, *first, *bits))
            .map(|(_, _, what)| *what)
            .or_else(|| {
                let (first, bits) = PUBLIC_V6;
                (!shares_v6(address, first, bits)).then_some("no public address")
            }),
    }
}

fn shares_v4(one: Ipv4Addr, other: Ipv4Addr, bits: u32) -> bool {
    (u32::from(one) ^ u32::from(other)).leading_zeros() >= bits
}

fn shares_v6(one: Ipv6Addr, other: Ipv6Addr, bits: u32) -> bool {
    (u128::from(one) ^ u128::from(other)).leading_zeros() >= bits
}

/// The IPv4 addresses inside an IPv6 address, by every way of putting one there.
fn carried(address: Ipv6Addr) -> [Option<Ipv4Addr>; 3] {
    let number = u128::from(address);
    let last = Ipv4Addr::from(number as u32);
    let within = |first: [u16; 4], bits| shares_v6(address, v6(first), bits);
    let ends_with_it = shares_v6(address, Ipv6Addr::UNSPECIFIED, 96)
        || shares_v6(address, Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96)
        || shares_v6(address, Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96)
        || within([0x64, 0xff9b, 0, 0], 96)
        || within([0x64, 0xff9b, 1, 0], 48);
    let is_small = number <= 1;
    if ends_with_it && !is_small {
        return [Some(last), None, None];
    }
    if within([0x2002, 0, 0, 0], 16) {
        return [Some(Ipv4Addr::from((number >> 80) as u32)), None, None];
    }
    if within([0x2001, 0, 0, 0], 32) {
        let client = Ipv4Addr::from(!(number as u32));
        let server = Ipv4Addr::from((number >> 64) as u32);
        return [Some(server), Some(client), None];
    }
    // ISATAP: any prefix, `0:5efe` or `200:5efe`, then the address
    let is_isatap = (number >> 32) as u32 & !0x0200_0000 == 0x5efe;
    [is_isatap.then_some(last), None, None]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbidden(text: &str) -> Option<String> {
        let verdict = judge(text.parse().unwrap(), &|_| false);
        verdict.err().map(|why| why.to_string())
    }

    /// One address of each range, first or last where that tells the border.
    const REFUSED: &[(&str, &str)] = &[
        ("0.0.0.0", "unspecified"),
        ("0.255.255.255", "this network"),
        ("10.0.0.0", "private"),
        ("10.255.255.255", "private"),
        ("100.64.0.0", "shared"),
        ("100.127.255.255", "shared"),
        ("100.100.100.200", "metadata"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("168.63.129.16", "metadata"),
        ("169.254.0.1", "link-local"),
        ("169.254.169.254", "metadata"),
        ("169.254.170.2", "metadata"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.192", "metadata"),
        ("192.0.0.8", "protocols"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "6to4"),
        ("192.168.255.255", "private"),
        ("198.18.0.0", "benchmarks"),
        ("198.19.255.255", "benchmarks"),
        ("198.51.100.7", "documentation"),
        ("203.0.113.7", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::2", "IPv4-compatible"),
        ("::8.8.8.8", "IPv4-compatible"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("::ffff:0:8.8.8.8", "IPv4-translated"),
        ("64:ff9b::8.8.8.8", "NAT64"),
        ("64:ff9b:1:ffff::1", "local NAT64"),
        ("100::1", "discard"),
        ("2001::1", "Teredo"),
        ("2001:2::1", "benchmarks"),
        ("2001:10::1", "protocols"),
        ("2001:1ff:ffff::1", "protocols"),
        ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"),
        ("3fff:fff:ffff::1", "documentation"),
        ("2002:808:808::1", "6to4"),
        ("5f00::1", "segment-routing"),
        ("fc00::1", "private"),
        ("fd00:ec2::254", "metadata"),
        ("fd20:ce::254", "metadata"),
        ("fdff::1", "private"),
        ("fe80::1", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("4000::1", "no public"),
        ("1fff::1", "no public"),
        // public outside, private inside
        ("2a00::5efe:10.0.0.1", "leads to 10.0.0.1"),
        ("2a00::200:5efe:127.0.0.1", "leads to 127.0.0.1"),
    ];

    #[test]
    fn special_addresses_are_refused_and_named() {
        for (address, word) in REFUSED {
            let why = forbidden(address).unwrap_or_else(|| panic!("{address} passes"));
            assert!(why.contains(word), "{address}: {why}");
        }
    }

    #[test]
    fn public_addresses_beside_the_special_ones_pass() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2003::1",
            "2606:4700::1111",
            "3ffe::1",
            "2a00::5efe:8.8.8.8",
        ] {
            assert_eq!(forbidden(address), None, "{address}");
        }
    }

    #[test]
    fn an_allowance_for_the_way_does_not_allow_where_it_leads() {
        let outer_only = |address: IpAddr| address.is_ipv6();
        for (address, inside) in [
            ("64:ff9b::10.0.0.1", "10.0.0.1"),
            ("64:ff9b:1::127.0.0.1", "127.0.0.1"),
            ("::ffff:169.254.169.254", "169.254.169.254"),
            ("::ffff:0:192.168.1.1", "192.168.1.1"),
            ("::192.168.1.1", "192.168.1.1"),
            ("2002:a00:1::", "10.0.0.1"),
            // the server of the tunnel, and its client, whose bits are turned
            ("2001:0:7f00:1::f7f7:f7f7", "127.0.0.1"),
            ("2001:0:808:808::f5ff:fffe", "10.0.0.1"),
        ] {
            let why = judge(address.parse().unwrap(), &outer_only).unwrap_err();
            assert!(
                matches!(why, Forbidden::Inside { inside: found, .. } if found.to_string() == inside),
                "{address}: {why}"
            );
            assert_eq!(judge(address.parse().unwrap(), &|_| true), Ok(()), "{address}");
        }
        assert_eq!(judge("64:ff9b::8.8.8.8".parse().unwrap(), &outer_only), Ok(()));
    }
}
