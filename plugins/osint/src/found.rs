//! What the tools find: names, addresses, accounts. Each is a place, and a finding of severity `info`
//! unless its format says otherwise.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::{DomainName, Location, NetworkEndpoint, UrlLocation};
use tamiz_sdk::report::{Record, Session, Stop};

/// A name in the DNS, without its last dot.
pub(crate) fn name(finding: FindingBuilder, name: &str, record_type: &str) -> FindingBuilder {
    let name = name.trim().trim_end_matches('.');
    if name.is_empty() {
        return finding;
    }
    finding.location(Location::Domain(DomainName {
        name: name.to_owned(),
        record_type: (!record_type.is_empty()).then(|| record_type.to_owned()),
    }))
}

/// An address in the web, or a mail address with `mailto:`.
pub(crate) fn url(finding: FindingBuilder, url: &str) -> FindingBuilder {
    if url.trim().is_empty() {
        return finding;
    }
    finding.location(Location::Url(UrlLocation {
        url: url.trim().to_owned(),
        method: None,
        parameter: None,
        evidence: None,
    }))
}

/// A mail address.
pub(crate) fn mail(finding: FindingBuilder, address: &str) -> FindingBuilder {
    url(finding, &format!("mailto:{}", address.trim()))
}

/// A host, or a service on it.
pub(crate) fn host(finding: FindingBuilder, host: &str, port: Option<i64>, protocol: &str) -> FindingBuilder {
    if host.trim().is_empty() {
        return finding;
    }
    finding.location(Location::Endpoint(NetworkEndpoint {
        host: host.trim().to_owned(),
        port: port
            .and_then(|port| u32::try_from(port).ok())
            .filter(|port| (1..=u32::from(u16::MAX)).contains(port)),
        protocol: (!protocol.is_empty()).then(|| protocol.to_owned()),
    }))
}

/// Keys and texts beside the finding; empty ones are none.
pub(crate) fn extras(finding: FindingBuilder, pairs: &[(&str, &str)]) -> FindingBuilder {
    let filled = pairs.iter().filter(|(_, value)| !value.is_empty());
    filled.fold(finding, |finding, (key, value)| finding.extra_text(key, value))
}

/// A record that names nothing, or a finding: `what` is what it should name.
pub(crate) fn emit(
    session: &mut Session<'_>,
    record: &dyn Record,
    what: &str,
    named: &str,
    finding: impl FnOnce() -> FindingBuilder,
) -> Result<(), Stop> {
    if named.trim().is_empty() {
        session.lose_record("record-without-rule", record, &format!("names no {what}"));
        return Ok(());
    }
    session.emit(finding(), record)
}
