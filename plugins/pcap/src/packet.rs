//! One packet's layers, as far as addresses, ports and the payload: the `etherparse` crate's lax
//! slices, which keep what is readable when a header lies about lengths.
//!
//! Only the link types that `etherparse` has no entry for are taken off here: Linux cooked captures
//! (both versions) and the loopback forms.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use etherparse::{EtherType, LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, TransportSlice};

use crate::capture::LinkType;

const COOKED_BYTES: usize = 16;
const COOKED_TYPE_AT: usize = 14;
const COOKED_V2_BYTES: usize = 20;
const LOOPBACK_BYTES: usize = 4;

/// An IPv4 or IPv6 address; IPv4 is kept in its mapped form, so that flows have one key. Halves instead
/// of one number, because that would align every key to 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    high: u64,
    low: u64,
}

impl Address {
    fn v4(bytes: [u8; 4]) -> Self {
        Self {
            high: 0,
            low: 0xffff_0000_0000 | u64::from(u32::from_be_bytes(bytes)),
        }
    }

    fn v6(bytes: [u8; 16]) -> Self {
        let bits = u128::from_be_bytes(bytes);
        Self {
            high: (bits >> 64) as u64,
            low: bits as u64,
        }
    }

    fn readable(self) -> IpAddr {
        Ipv6Addr::from_bits(u128::from(self.high) << 64 | u128::from(self.low)).to_canonical()
    }

    /// Whether it stands for more than one host, or for none.
    pub(crate) fn is_group(self) -> bool {
        match self.readable() {
            IpAddr::V4(address) => {
                address.is_multicast() || address.is_broadcast() || address.is_unspecified()
            }
            IpAddr::V6(address) => address.is_multicast() || address.is_unspecified(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.readable().fmt(formatter)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// An address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Endpoint {
    pub(crate) address: Address,
    pub(crate) port: u16,
}

/// The flags that a connection's state follows from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TcpHead {
    pub(crate) sequence: u32,
    pub(crate) syn: bool,
    pub(crate) ack: bool,
    pub(crate) rst: bool,
    pub(crate) fin: bool,
}

/// What stands above the network layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carried {
    Tcp,
    Udp,
    Icmp,
    Icmpv6,
    Igmp,
    /// A protocol without ports, or a header that could not be read.
    Other,
    /// A part of a packet: its ports may stand in another part.
    Fragment,
}

/// What stands above the link layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    Ipv4,
    Ipv6,
    Arp,
    Other,
}

/// A packet's layers.
#[derive(Debug)]
pub(crate) struct Packet<'data> {
    pub(crate) network: Network,
    pub(crate) carried: Carried,
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    pub(crate) tcp: Option<TcpHead>,
    pub(crate) payload: &'data [u8],
    /// VLAN tags.
    pub(crate) tags: u8,
    /// A header that is cut short or contradicts itself.
    pub(crate) malformed: bool,
}

/// Whether packets of the type can be taken apart.
pub(crate) fn is_decoded(link: LinkType) -> bool {
    matches!(link.0, 0 | 1 | 12 | 14 | 101 | 108 | 113 | 228 | 229 | 276)
}

/// Takes a packet apart; nothing in it is believed beyond the captured bytes.
pub(crate) fn decode(link: LinkType, data: &[u8]) -> Packet<'_> {
    let sliced = match link.0 {
        1 => LaxSlicedPacket::from_ethernet(data).ok(),
        113 => ether_type(data, COOKED_TYPE_AT)
            .zip(data.get(COOKED_BYTES..))
            .map(|(kind, rest)| LaxSlicedPacket::from_ether_type(kind, rest)),
        276 => ether_type(data, 0)
            .zip(data.get(COOKED_V2_BYTES..))
            .map(|(kind, rest)| LaxSlicedPacket::from_ether_type(kind, rest)),
        0 | 108 => data
            .get(LOOPBACK_BYTES..)
            .and_then(|rest| LaxSlicedPacket::from_ip(rest).ok()),
        12 | 14 | 101 | 228 | 229 => LaxSlicedPacket::from_ip(data).ok(),
        _ => None,
    };
    match sliced {
        Some(sliced) => layers(&sliced),
        None => Packet {
            malformed: true,
            ..nothing()
        },
    }
}

fn ether_type(data: &[u8], at: usize) -> Option<EtherType> {
    let bytes = data.get(at..)?.first_chunk()?;
    Some(EtherType(u16::from_be_bytes(*bytes)))
}

fn nothing<'data>() -> Packet<'data> {
    let nowhere = Endpoint {
        address: Address { high: 0, low: 0 },
        port: 0,
    };
    Packet {
        network: Network::Other,
        carried: Carried::Other,
        source: nowhere,
        destination: nowhere,
        tcp: None,
        payload: &[],
        tags: 0,
        malformed: false,
    }
}

fn layers<'data>(sliced: &LaxSlicedPacket<'data>) -> Packet<'data> {
    let mut packet = nothing();
    packet.malformed = sliced.stop_err.is_some();
    let tags = sliced.link_exts.iter();
    packet.tags = tags.filter(|tag| matches!(tag, LaxLinkExtSlice::Vlan(_))).count() as u8;
    match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let head = ip.header();
            packet.network = Network::Ipv4;
            packet.source.address = Address::v4(head.source());
            packet.destination.address = Address::v4(head.destination());
            packet.malformed |= ip.payload().incomplete;
            if ip.is_payload_fragmented() {
                packet.carried = Carried::Fragment;
            }
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let head = ip.header();
            packet.network = Network::Ipv6;
            packet.source.address = Address::v6(head.source());
            packet.destination.address = Address::v6(head.destination());
            packet.malformed |= ip.payload().incomplete;
            if ip.is_payload_fragmented() {
                packet.carried = Carried::Fragment;
            }
        }
        Some(LaxNetSlice::Arp(_)) => packet.network = Network::Arp,
        None => {}
    }
    match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            packet.carried = Carried::Tcp;
            packet.source.port = tcp.source_port();
            packet.destination.port = tcp.destination_port();
            packet.tcp = Some(TcpHead {
                sequence: tcp.sequence_number(),
                syn: tcp.syn(),
                ack: tcp.ack(),
                rst: tcp.rst(),
                fin: tcp.fin(),
            });
            packet.payload = tcp.payload();
        }
        Some(TransportSlice::Udp(udp)) => {
            packet.carried = Carried::Udp;
            packet.source.port = udp.source_port();
            packet.destination.port = udp.destination_port();
            packet.payload = udp.payload();
        }
        Some(TransportSlice::Icmpv4(_)) => packet.carried = Carried::Icmp,
        Some(TransportSlice::Icmpv6(_)) => packet.carried = Carried::Icmpv6,
        Some(TransportSlice::Igmp(_)) => packet.carried = Carried::Igmp,
        None => {}
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::{Carried, LinkType, Network, decode};

    /// 10.0.0.1:1000 to 10.0.0.2:53 over UDP with the payload `hi`.
    const IPV4: &[u8] = &[
        0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x03, 0xe8, 0, 53, 0, 10, 0, 0,
        b'h', b'i',
    ];

    #[track_caller]
    fn check(link: u32, head: &[u8], tags: u8) {
        let data = [head, IPV4].concat();
        let packet = decode(LinkType(link), &data);
        assert_eq!((packet.network, packet.carried), (Network::Ipv4, Carried::Udp));
        assert_eq!(packet.source.address.to_string(), "10.0.0.1");
        assert_eq!((packet.source.port, packet.destination.port), (1000, 53));
        assert_eq!((packet.payload, packet.tags), (&b"hi"[..], tags));
        assert!(!packet.malformed);
        for end in 0..data.len() {
            decode(LinkType(link), &data[..end]);
        }
    }

    #[test]
    fn every_link_type_leads_to_the_same_packet() {
        let mac = [2_u8; 12];
        check(1, &[&mac[..], &[0x08, 0x00]].concat(), 0);
        check(1, &[&mac[..], &[0x81, 0, 0, 5, 0x08, 0]].concat(), 1);
        check(
            1,
            &[&mac[..], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x08, 0]].concat(),
            2,
        );
        check(113, &[&[0; 14][..], &[0x08, 0]].concat(), 0);
        check(276, &[&[0x08, 0][..], &[0; 18]].concat(), 0);
        check(0, &[2, 0, 0, 0], 0);
        check(108, &[0, 0, 0, 2], 0);
        check(101, &[], 0);
        check(228, &[], 0);
    }

    #[test]
    fn a_fragment_has_no_ports() {
        let mut data = IPV4.to_vec();
        data[6] = 0x20;
        let packet = decode(LinkType(101), &data);
        assert_eq!((packet.carried, packet.source.port), (Carried::Fragment, 0));
    }
}
