//! One packet's layers, as far as addresses, ports and the payload.
//!
//! The headers are read by the `etherparse` crate, one by one and leniently: what is readable is kept
//! when a header lies about lengths. Its `LaxSlicedPacket` does it all in one call, and was measured to
//! take a third of the time of a whole conversion in wasm, where moving large values is dear. The link
//! layer is a type at a fixed place and is looked up here.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use etherparse::{
    EtherType, IpNumber, Ipv4HeaderSlice, LaxIpv6Slice, TcpSlice, UdpSlice, ether_type, ip_number,
};

use crate::capture::LinkType;
use crate::fragments::{Joined, Piece};

const MAC_BYTES: usize = 14;
const MAC_TYPE_AT: usize = 12;
const COOKED_BYTES: usize = 16;
const COOKED_TYPE_AT: usize = 14;
const COOKED_V2_BYTES: usize = 20;
const LOOPBACK_BYTES: usize = 4;
/// Before the PPP in it.
const PPPOE_BYTES: usize = 6;
const PPPOE_SESSION: EtherType = EtherType(0x8864);
const TAG_BYTES: usize = 4;
const TAG_TYPE_AT: usize = 2;
/// VLAN, provider bridging, and what was used for the outer tag before it had a number.
const TAGS: [EtherType; 3] = [
    ether_type::VLAN_TAGGED_FRAME,
    ether_type::PROVIDER_BRIDGING,
    ether_type::VLAN_DOUBLE_TAGGED_FRAME,
];
/// Nobody nests more.
const TAGS_MAX: u8 = 4;
const IPV6_HEAD_BYTES: usize = 40;
/// Extension headers in front of the one that is looked for.
const EXTENSIONS_MAX: usize = 8;

/// An IPv4 or IPv6 address; IPv4 is kept in its mapped form, so that flows have one key. Halves instead
/// of one number, because that would align every key to 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    high: u64,
    low: u64,
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::v4(address.octets()),
            IpAddr::V6(address) => Self::v6(address.octets()),
        }
    }
}

impl Address {
    /// Where no address is known.
    pub(crate) const NOWHERE: Self = Self { high: 0, low: 0 };

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
    /// Of a part of a packet, whose bytes are the payload: where it belongs.
    pub(crate) piece: Piece,
    /// VLAN tags.
    pub(crate) tags: u8,
    /// A header that is cut short or contradicts itself.
    pub(crate) malformed: bool,
}

/// Whether packets of the type can be taken apart.
pub(crate) fn is_decoded(link: LinkType) -> bool {
    matches!(
        link.0,
        0 | 1 | 9 | 12 | 14 | 50 | 51 | 101 | 108 | 113 | 228 | 229 | 276
    )
}

/// Takes a packet apart; nothing in it is believed beyond the captured bytes.
pub(crate) fn decode(link: LinkType, data: &[u8]) -> Packet<'_> {
    let mut packet = nothing();
    let start = match link.0 {
        1 => typed(data, MAC_TYPE_AT, MAC_BYTES),
        113 => typed(data, COOKED_TYPE_AT, COOKED_BYTES),
        276 => typed(data, 0, COOKED_V2_BYTES),
        9 | 50 => ppp(data),
        51 => data.get(PPPOE_BYTES..).and_then(ppp),
        0 | 108 => data.get(LOOPBACK_BYTES..).and_then(by_version),
        _ => by_version(data),
    };
    let Some((mut kind, mut rest)) = start else {
        packet.malformed = true;
        return packet;
    };
    while TAGS.contains(&kind) && packet.tags < TAGS_MAX {
        packet.tags += 1;
        let Some(inner) = typed(rest, TAG_TYPE_AT, TAG_BYTES) else {
            packet.malformed = true;
            return packet;
        };
        (kind, rest) = inner;
    }
    if kind == PPPOE_SESSION {
        let Some(inner) = rest.get(PPPOE_BYTES..).and_then(ppp) else {
            packet.malformed = true;
            return packet;
        };
        (kind, rest) = inner;
    }
    match kind {
        ether_type::IPV4 => ipv4(&mut packet, rest),
        ether_type::IPV6 => ipv6(&mut packet, rest),
        ether_type::ARP => packet.network = Network::Arp,
        _ => {}
    }
    packet
}

/// The type that stands in a head, and what stands behind the head.
fn typed(data: &[u8], type_at: usize, head_bytes: usize) -> Option<(EtherType, &[u8])> {
    let kind = data.get(type_at..)?.first_chunk()?;
    Some((EtherType(u16::from_be_bytes(*kind)), data.get(head_bytes..)?))
}

/// PPP: perhaps an HDLC head, then the protocol's number.
fn ppp(data: &[u8]) -> Option<(EtherType, &[u8])> {
    let data = data.strip_prefix(&[0xff, 0x03]).unwrap_or(data);
    let (number, rest) = data.split_first_chunk()?;
    let kind = match u16::from_be_bytes(*number) {
        0x0021 => ether_type::IPV4,
        0x0057 => ether_type::IPV6,
        // Negotiation and what nobody uses any more.
        _ => EtherType(0),
    };
    Some((kind, rest))
}

/// Without a link layer, the first four bits tell.
fn by_version(data: &[u8]) -> Option<(EtherType, &[u8])> {
    match data.first()? >> 4 {
        4 => Some((ether_type::IPV4, data)),
        6 => Some((ether_type::IPV6, data)),
        _ => None,
    }
}

fn nothing<'data>() -> Packet<'data> {
    let nowhere = Endpoint {
        address: Address::NOWHERE,
        port: 0,
    };
    Packet {
        network: Network::Other,
        carried: Carried::Other,
        source: nowhere,
        destination: nowhere,
        tcp: None,
        payload: &[],
        piece: Piece::default(),
        tags: 0,
        malformed: false,
    }
}

fn ipv4<'data>(packet: &mut Packet<'data>, data: &'data [u8]) {
    let Ok(head) = Ipv4HeaderSlice::from_slice(data) else {
        packet.malformed = true;
        return;
    };
    packet.network = Network::Ipv4;
    packet.source.address = Address::v4(head.source());
    packet.destination.address = Address::v4(head.destination());
    let (head_bytes, total) = (head.slice().len(), usize::from(head.total_len()));
    // No length at all is what a capture before segmentation offload shows; the captured one is taken.
    let end = match total {
        0 => data.len(),
        _ if total < head_bytes || total > data.len() => {
            packet.malformed = true;
            data.len()
        }
        _ => total,
    };
    let payload = data.get(head_bytes..end).unwrap_or_default();
    if head.is_fragmenting_payload() {
        packet.carried = Carried::Fragment;
        packet.payload = payload;
        packet.piece = Piece {
            identification: u32::from(head.identification()),
            offset: head.fragments_offset().value().saturating_mul(8),
            protocol: head.protocol().0,
            more: head.more_fragments(),
        };
        return;
    }
    transport(packet, head.protocol(), payload);
}

fn ipv6<'data>(packet: &mut Packet<'data>, data: &'data [u8]) {
    let Ok((ip, stopped)) = LaxIpv6Slice::from_slice(data) else {
        packet.malformed = true;
        return;
    };
    let head = ip.header();
    packet.network = Network::Ipv6;
    packet.source.address = Address::v6(head.source());
    packet.destination.address = Address::v6(head.destination());
    let payload = ip.payload();
    packet.malformed = stopped.is_some() || payload.incomplete;
    if ip.is_payload_fragmented() {
        packet.carried = Carried::Fragment;
        packet.payload = payload.payload;
        if let Some((identification, offset, more)) = ipv6_piece(data, head.next_header()) {
            packet.piece = Piece {
                identification,
                offset,
                protocol: payload.ip_number.0,
                more,
            };
        }
    } else if stopped.is_none() {
        transport(packet, payload.ip_number, payload.payload);
    }
}

/// The fields of the fragment header among a packet's extension headers.
fn ipv6_piece(data: &[u8], mut kind: IpNumber) -> Option<(u32, u16, bool)> {
    let mut rest = data.get(IPV6_HEAD_BYTES..)?;
    for _ in 0..EXTENSIONS_MAX {
        let [next, length, high, low, id @ ..] = rest.first_chunk::<8>()?;
        if kind == ip_number::IPV6_FRAG {
            let place = u16::from_be_bytes([*high, *low]);
            return Some((u32::from_be_bytes(*id), place & !7, place & 1 == 1));
        }
        rest = rest.get((usize::from(*length) + 1) * 8..)?;
        kind = IpNumber(*next);
    }
    None
}

/// A packet that was put together from its parts.
pub(crate) fn joined(joined: &Joined) -> Packet<'_> {
    let mut packet = nothing();
    packet.network = joined.network;
    packet.source.address = joined.source;
    packet.destination.address = joined.destination;
    transport(&mut packet, IpNumber(joined.protocol), &joined.bytes);
    packet
}

fn transport<'data>(packet: &mut Packet<'data>, protocol: IpNumber, data: &'data [u8]) {
    match protocol {
        ip_number::TCP => {
            let Ok(tcp) = TcpSlice::from_slice(data) else {
                packet.malformed = true;
                return;
            };
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
        ip_number::UDP => {
            let Ok(udp) = UdpSlice::from_slice_lax(data) else {
                packet.malformed = true;
                return;
            };
            packet.carried = Carried::Udp;
            packet.source.port = udp.source_port();
            packet.destination.port = udp.destination_port();
            packet.payload = udp.payload();
        }
        ip_number::ICMP => packet.carried = Carried::Icmp,
        ip_number::IPV6_ICMP => packet.carried = Carried::Icmpv6,
        ip_number::IGMP => packet.carried = Carried::Igmp,
        _ => {}
    }
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
        check(9, &[0xff, 0x03, 0, 0x21], 0);
        check(50, &[0, 0x21], 0);
        check(51, &[0x11, 0, 0, 1, 0, 32, 0, 0x21], 0);
        let session = [&mac[..], &[0x88, 0x64, 0x11, 0, 0, 1, 0, 32, 0, 0x21]].concat();
        check(1, &session, 0);
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
