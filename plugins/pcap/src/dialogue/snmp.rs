//! SNMP v1 and v2c: the community is a password, and every packet shows it.

use std::borrow::Cow;

use x509_parser::asn1_rs::{FromBer, OctetString, Sequence};

/// Communities that devices are shipped with.
const DEFAULTS: [&[u8]; 4] = [b"public", b"private", b"cisco", b"community"];

/// What a packet shows.
#[derive(PartialEq, Eq)]
pub(crate) struct Community<'packet> {
    /// For its identity alone; never shown.
    pub(crate) value: Cow<'packet, [u8]>,
    pub(crate) version: &'static str,
}

/// Whether devices are shipped with it.
pub(crate) fn is_default(community: &[u8]) -> bool {
    DEFAULTS.contains(&community)
}

/// Reads version and community; nothing for version 3 and for what is no SNMP.
pub(crate) fn community(bytes: &[u8]) -> Option<Community<'_>> {
    let (_, message) = Sequence::from_ber(bytes).ok()?;
    let Cow::Borrowed(content) = message.content else {
        return None;
    };
    let (rest, version) = u32::from_ber(content).ok()?;
    let (_, community) = OctetString::from_ber(rest).ok()?;
    let value = community.into_cow();
    let version = match version {
        0 => "v1",
        1 => "v2c",
        _ => return None,
    };
    Some(Community { value, version })
}

#[cfg(test)]
mod tests {
    use super::{community, is_default};

    #[test]
    fn a_community_is_told_and_not_shown() {
        let packet = b"\x30\x0e\x02\x01\x01\x04\x06public\xa0\x01\x00";
        let found = community(packet).expect("a community");
        assert!(found.version == "v2c" && is_default(&found.value));
        assert!(community(b"\x30\x03\x02\x01\x03").is_none());
        assert!((0..packet.len() - 3).all(|end| community(&packet[..end]).is_none()));
    }
}
