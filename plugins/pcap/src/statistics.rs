//! What a capture holds, in numbers: packets and bytes per protocol, and the largest conversations.

use serde::Serialize;

use crate::packet::{Carried, Endpoint, Network, Packet};

/// Conversations listed in the session.
pub(crate) const TOP_FLOWS: usize = 50;

/// Everything that is counted, from the network layer up. The order is the session's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Protocol {
    Ipv4,
    Ipv6,
    Arp,
    OtherNetwork,
    Tcp,
    Udp,
    Icmp,
    Icmpv6,
    Igmp,
    OtherTransport,
    Dns,
    Http,
    Tls,
    Ftp,
    Telnet,
    Smtp,
    Imap,
    Pop3,
    Ssh,
    Snmp,
    Dhcp,
    Mdns,
    Ntp,
    Netbios,
    Ssdp,
    Quic,
    Syslog,
    Tftp,
    Smb,
    Kerberos,
    Ldap,
    Sip,
    Rdp,
    Vnc,
    Mqtt,
    Modbus,
    Irc,
    Mysql,
    Postgresql,
    Redis,
    Nfs,
    DceRpc,
    /// Nothing above TCP or UDP that is known.
    #[default]
    Unknown,
}

const PROTOCOLS: [(Protocol, &str); 43] = [
    (Protocol::Ipv4, "ipv4"),
    (Protocol::Ipv6, "ipv6"),
    (Protocol::Arp, "arp"),
    (Protocol::OtherNetwork, "other-network"),
    (Protocol::Tcp, "tcp"),
    (Protocol::Udp, "udp"),
    (Protocol::Icmp, "icmp"),
    (Protocol::Icmpv6, "icmpv6"),
    (Protocol::Igmp, "igmp"),
    (Protocol::OtherTransport, "other-transport"),
    (Protocol::Dns, "dns"),
    (Protocol::Http, "http"),
    (Protocol::Tls, "tls"),
    (Protocol::Ftp, "ftp"),
    (Protocol::Telnet, "telnet"),
    (Protocol::Smtp, "smtp"),
    (Protocol::Imap, "imap"),
    (Protocol::Pop3, "pop3"),
    (Protocol::Ssh, "ssh"),
    (Protocol::Snmp, "snmp"),
    (Protocol::Dhcp, "dhcp"),
    (Protocol::Mdns, "mdns"),
    (Protocol::Ntp, "ntp"),
    (Protocol::Netbios, "netbios"),
    (Protocol::Ssdp, "ssdp"),
    (Protocol::Quic, "quic"),
    (Protocol::Syslog, "syslog"),
    (Protocol::Tftp, "tftp"),
    (Protocol::Smb, "smb"),
    (Protocol::Kerberos, "kerberos"),
    (Protocol::Ldap, "ldap"),
    (Protocol::Sip, "sip"),
    (Protocol::Rdp, "rdp"),
    (Protocol::Vnc, "vnc"),
    (Protocol::Mqtt, "mqtt"),
    (Protocol::Modbus, "modbus"),
    (Protocol::Irc, "irc"),
    (Protocol::Mysql, "mysql"),
    (Protocol::Postgresql, "postgresql"),
    (Protocol::Redis, "redis"),
    (Protocol::Nfs, "nfs"),
    (Protocol::DceRpc, "dce-rpc"),
    (Protocol::Unknown, "unknown"),
];

impl Protocol {
    /// Its name in the session.
    pub(crate) fn name(self) -> &'static str {
        PROTOCOLS[self as usize].1
    }

    /// What a port over UDP usually is; there is no stream to look into.
    pub(crate) fn of_udp_port(port: u16) -> Option<Self> {
        Some(match port {
            53 => Self::Dns,
            67 | 68 => Self::Dhcp,
            69 => Self::Tftp,
            88 => Self::Kerberos,
            123 => Self::Ntp,
            137 | 138 => Self::Netbios,
            161 | 162 => Self::Snmp,
            443 => Self::Quic,
            514 => Self::Syslog,
            1900 => Self::Ssdp,
            5060 => Self::Sip,
            5353 => Self::Mdns,
            _ => return None,
        })
    }

    /// What a port over TCP usually is, for protocols whose content is not looked at.
    pub(crate) fn of_tcp_port(port: u16) -> Option<Self> {
        Some(match port {
            88 => Self::Kerberos,
            139 | 445 => Self::Smb,
            389 => Self::Ldap,
            502 => Self::Modbus,
            1883 => Self::Mqtt,
            2049 => Self::Nfs,
            3306 => Self::Mysql,
            3389 => Self::Rdp,
            5060 => Self::Sip,
            5432 => Self::Postgresql,
            5900 => Self::Vnc,
            6379 => Self::Redis,
            6667 => Self::Irc,
            _ => return None,
        })
    }

    /// The transport that a log names, in words or, where it knows none, as IP numbers it.
    pub(crate) fn of_transport(name: &str, network: Self) -> Self {
        let is = |word: &str| name.eq_ignore_ascii_case(word);
        if is("tcp") || is("6") {
            Self::Tcp
        } else if is("udp") || is("17") {
            Self::Udp
        } else if is("ipv6-icmp") || is("icmp6") || is("58") || (is("icmp") && network == Self::Ipv6) {
            Self::Icmpv6
        } else if is("icmp") || is("1") {
            Self::Icmp
        } else if is("igmp") || is("2") {
            Self::Igmp
        } else {
            Self::OtherTransport
        }
    }

    /// What IP carries, by its number.
    fn of_number(number: u8) -> Self {
        match number {
            1 => Self::Icmp,
            2 => Self::Igmp,
            6 => Self::Tcp,
            17 => Self::Udp,
            58 => Self::Icmpv6,
            _ => Self::OtherTransport,
        }
    }

    /// The protocol that a log names; of several between commas, the last that is known here.
    pub(crate) fn of_name(names: &str) -> Self {
        let known = names.rsplit(',').find_map(|name| {
            let name = name.trim().to_ascii_lowercase();
            let name = match name.as_str() {
                "ssl" => "tls",
                "http2" => "http",
                "krb" | "krb5" | "krb_tcp" => "kerberos",
                "rfb" => "vnc",
                "pgsql" => "postgresql",
                "dce_rpc" | "dcerpc" => "dce-rpc",
                "ldap_tcp" | "ldap_udp" => "ldap",
                other => other,
            };
            let above = PROTOCOLS.iter().skip(Self::Dns as usize);
            above.copied().find(|(_, known)| *known == name)
        });
        known.map_or(Self::Unknown, |(protocol, _)| protocol)
    }
}

/// Packets and bytes on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Amount {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Amount {
    #[inline]
    pub(crate) fn add(&mut self, packets: u64, bytes: u64) {
        self.packets += packets;
        self.bytes += bytes;
    }
}

/// A conversation in the session.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TopFlow {
    pub(crate) client: String,
    pub(crate) client_port: u16,
    pub(crate) server: String,
    pub(crate) server_port: u16,
    pub(crate) transport: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) first_packet: u32,
    pub(crate) seconds: f64,
}

/// What is known of a conversation when it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndedFlow {
    pub(crate) client: Endpoint,
    pub(crate) server: Endpoint,
    pub(crate) transport: Protocol,
    pub(crate) protocol: Protocol,
    pub(crate) amount: Amount,
    pub(crate) first_packet: u32,
    pub(crate) nanoseconds: i64,
}

#[derive(Debug)]
struct Protocols([Amount; PROTOCOLS.len()]);

impl Default for Protocols {
    fn default() -> Self {
        Self([Amount::default(); PROTOCOLS.len()])
    }
}

/// The counts of one capture.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    protocols: Protocols,
    pub(crate) total: Amount,
    pub(crate) captured_bytes: u64,
    pub(crate) first_time: Option<i64>,
    pub(crate) last_time: Option<i64>,
    pub(crate) fragments: u64,
    pub(crate) malformed: u64,
    pub(crate) tagged: u64,
    pub(crate) cut_short: u64,
    pub(crate) flows: u64,
    top: Vec<EndedFlow>,
    /// Of the smallest of them.
    top_bytes_min: u64,
}

impl Statistics {
    /// Counts a packet that was taken apart.
    #[inline]
    pub(crate) fn packet(&mut self, packet: &Packet<'_>, bytes: u64) {
        let network = match packet.network {
            Network::Ipv4 => Protocol::Ipv4,
            Network::Ipv6 => Protocol::Ipv6,
            Network::Arp => Protocol::Arp,
            Network::Other => Protocol::OtherNetwork,
        };
        self.count(network, 1, bytes);
        self.tagged += u64::from(packet.tags > 0);
        self.malformed += u64::from(packet.malformed);
        if !matches!(packet.network, Network::Ipv4 | Network::Ipv6) {
            return;
        }
        let carried = match packet.carried {
            Carried::Tcp => Protocol::Tcp,
            Carried::Udp => Protocol::Udp,
            Carried::Icmp => Protocol::Icmp,
            Carried::Icmpv6 => Protocol::Icmpv6,
            Carried::Igmp => Protocol::Igmp,
            Carried::Fragment => Protocol::of_number(packet.piece.protocol),
            Carried::Other => Protocol::OtherTransport,
        };
        self.fragments += u64::from(packet.carried == Carried::Fragment);
        self.count(carried, 1, bytes);
    }

    #[inline]
    pub(crate) fn count(&mut self, protocol: Protocol, packets: u64, bytes: u64) {
        self.protocols.0[protocol as usize].add(packets, bytes);
    }

    /// Takes the time of a packet.
    #[inline]
    pub(crate) fn time(&mut self, time: i64) {
        self.first_time = Some(self.first_time.map_or(time, |first| first.min(time)));
        self.last_time = Some(self.last_time.map_or(time, |last| last.max(time)));
    }

    /// Counts a conversation that is over.
    pub(crate) fn flow(&mut self, flow: EndedFlow) {
        self.flows += 1;
        self.count(flow.protocol, flow.amount.packets, flow.amount.bytes);
        if self.top.len() < TOP_FLOWS {
            self.top.push(flow);
        } else if flow.amount.bytes > self.top_bytes_min {
            let smallest = self.top.iter_mut().min_by_key(|other| other.amount.bytes);
            if let Some(smallest) = smallest {
                *smallest = flow;
            }
        } else {
            return;
        }
        let smallest = self.top.iter().map(|other| other.amount.bytes).min();
        self.top_bytes_min = smallest.unwrap_or(0);
    }

    /// The largest conversations, largest first.
    pub(crate) fn top_flows(&mut self) -> Vec<TopFlow> {
        self.top
            .sort_by_key(|flow| (std::cmp::Reverse(flow.amount.bytes), flow.first_packet));
        self.top.iter().map(top_flow).collect()
    }

    /// The protocols that were seen.
    pub(crate) fn protocols(&self) -> impl Iterator<Item = (&'static str, Amount)> {
        let all = PROTOCOLS.iter().zip(&self.protocols.0);
        all.filter(|(_, amount)| amount.packets > 0)
            .map(|((_, name), amount)| (*name, *amount))
    }
}

fn top_flow(flow: &EndedFlow) -> TopFlow {
    TopFlow {
        client: flow.client.address.to_string(),
        client_port: flow.client.port,
        server: flow.server.address.to_string(),
        server_port: flow.server.port,
        transport: flow.transport.name(),
        protocol: flow.protocol.name(),
        packets: flow.amount.packets,
        bytes: flow.amount.bytes,
        first_packet: flow.first_packet,
        seconds: flow.nanoseconds as f64 / 1e9,
    }
}

#[cfg(test)]
mod tests {
    use super::{PROTOCOLS, Protocol};

    #[test]
    fn names_of_logs_are_the_same_protocols() {
        assert_eq!(Protocol::of_name("ssl"), Protocol::Tls);
        assert_eq!(Protocol::of_name("gssapi,smb,ntlm"), Protocol::Smb);
        assert_eq!(Protocol::of_name("tcp"), Protocol::Unknown);
        assert_eq!(
            Protocol::of_transport("IPv6-ICMP", Protocol::Ipv6),
            Protocol::Icmpv6
        );
        assert_eq!(Protocol::of_transport("icmp", Protocol::Ipv4), Protocol::Icmp);
    }

    #[test]
    fn each_protocol_stands_at_its_own_index() {
        for (index, (protocol, _)) in PROTOCOLS.iter().enumerate() {
            assert_eq!(*protocol as usize, index);
        }
    }
}
