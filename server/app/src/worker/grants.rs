//! What a plugin is told of its task, and what it may reach for it beyond the report.
//!
//! An operator grants, the host checks that the plugin declared it. The network is the task's own target at the
//! addresses that were pinned when it was ordered, judged once more; a task without one has no network.

use tamiz_core::TargetKind;
use tamiz_core::plugin::Capability;
use tamiz_host::{Grants, NetworkGrant, ScanRequest};
use tamiz_store::plugin::InstalledPlugin;
use tamiz_store::task::Source;

use super::attempt::Bench;
use super::failure::Failure;
use super::target;

/// What the reports of a task are of.
pub(super) fn asked(source: &Source, options: String) -> ScanRequest {
    let (kind, target) = match source {
        Source::Report { .. } => return ScanRequest::of_report(options),
        Source::Tree { .. } => (TargetKind::Tree, String::new()),
        Source::Capture { .. } => (TargetKind::Capture, String::new()),
        Source::Target { target } => (target.kind(), target.text()),
    };
    ScanRequest {
        target_kind: kind.as_str().to_owned(),
        target,
        options,
    }
}

/// What `plugin` may reach while it converts for `asked`.
pub(super) async fn of(
    bench: &Bench,
    plugin: &InstalledPlugin,
    asked: &ScanRequest,
) -> Result<Grants, Failure> {
    let has = |capability| plugin.granted.contains(&capability);
    let network = if has(Capability::Network) && !asked.target.is_empty() {
        let pinned = target::pinned(bench).await?;
        // people are asked about elsewhere and have no address
        (!pinned.addresses.is_empty()).then(|| NetworkGrant {
            port: pinned.target.port(),
            addresses: pinned.addresses,
        })
    } else {
        None
    };
    Ok(Grants {
        network,
        clock: has(Capability::Clock),
        randomness: has(Capability::Randomness),
    })
}

#[cfg(test)]
mod tests {
    use tamiz_core::{Target, UploadId};

    use super::*;

    #[test]
    fn a_plugin_is_told_what_its_reports_are_of() {
        let upload_id = UploadId::fresh();
        let target = Target::endpoint("shop.example", 443).unwrap();
        for (source, kind, named) in [
            (Source::Report { upload_id }, "report", ""),
            (Source::Tree { upload_id }, "tree", ""),
            (Source::Capture { upload_id }, "capture", ""),
            (Source::Target { target }, "endpoint", "shop.example:443"),
        ] {
            let request = asked(&source, "{}".to_owned());
            assert_eq!((&*request.target_kind, &*request.target), (kind, named));
            assert_eq!(request.options, "{}");
        }
    }
}
