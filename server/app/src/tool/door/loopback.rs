//! Giving the loopback of this network namespace more addresses, by the kernel's own protocol.
//!
//! One netlink message of fixed shape; a crate for all of netlink would be larger than the door.

use std::io;
use std::net::IpAddr;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

/// `RTM_NEWADDR`.
const NEW_ADDRESS: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE`.
const FLAGS: u16 = 0x001 | 0x004 | 0x400 | 0x100;
/// `NLMSG_ERROR`, which with error 0 says that it is done.
const ANSWER: u16 = 2;
/// The loopback is the first interface of every namespace.
const LOOPBACK: u32 = 1;
/// `IFA_F_NODAD`: nobody else could have the address.
const NO_DUPLICATES: u8 = 0x02;
/// `RT_SCOPE_HOST`.
const SCOPE_HOST: u8 = 254;
/// `IFA_ADDRESS` and `IFA_LOCAL`.
const ATTRIBUTES: [u16; 2] = [1, 2];

/// Makes `address` one of this namespace's own.
pub(super) fn add(address: IpAddr) -> io::Result<()> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // NETLINK_ROUTE is number 0.
        None,
    )?;
    sendto(
        &socket,
        &message(address),
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    let mut answer = [0; 512];
    let (_, length) = recv(&socket, &mut answer, RecvFlags::empty())?;
    let read = |at: usize| {
        answer[..length.min(answer.len())]
            .get(at..at + 4)?
            .try_into()
            .ok()
    };
    let kind = read(4).map(|bytes: [u8; 4]| u16::from_ne_bytes([bytes[0], bytes[1]]));
    let error = read(16).map(i32::from_ne_bytes);
    match (kind, error) {
        (Some(ANSWER), Some(0)) => Ok(()),
        (Some(ANSWER), Some(error)) => Err(io::Error::from_raw_os_error(-error)),
        _ => Err(io::Error::other("the kernel's answer is not one")),
    }
}

fn message(address: IpAddr) -> Vec<u8> {
    let (family, bytes) = match address {
        IpAddr::V4(address) => (AddressFamily::INET, address.octets().to_vec()),
        IpAddr::V6(address) => (AddressFamily::INET6, address.octets().to_vec()),
    };
    let prefix = if address.is_ipv4() { 32 } else { 128 };
    let mut body = vec![
        family.as_raw().to_le_bytes()[0],
        prefix,
        NO_DUPLICATES,
        SCOPE_HOST,
    ];
    body.extend(LOOPBACK.to_ne_bytes());
    for attribute in ATTRIBUTES {
        body.extend((4 + if address.is_ipv4() { 4_u16 } else { 16 }).to_ne_bytes());
        body.extend(attribute.to_ne_bytes());
        body.extend(&bytes);
    }
    let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(NEW_ADDRESS.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    // A number for the answer and the sender, which nobody asks for.
    message.extend([0; 8]);
    message.extend(body);
    message
}
