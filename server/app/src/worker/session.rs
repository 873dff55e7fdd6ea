//! What a capture held, taken from the artifact in which the plugin says it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use tamiz_core::text::is_storable_object;
use tamiz_store::pcap_session::NewPcapSession;

/// The kind of that artifact.
pub(crate) const KIND: &str = "pcap-session";

/// A session names some dozens of protocols; more than this is no summary.
const SESSION_BYTES_MAX: u64 = 1024 * 1024;

/// What the plugin writes, as far as it becomes a row; the rest stays in the artifact.
#[derive(Deserialize)]
struct Written {
    packet_count: u64,
    protocol_stats: Map<String, Value>,
    #[serde(default)]
    flow_count: u64,
    #[serde(default)]
    top_flows: Vec<Value>,
}

/// Reads the artifact; the error is for the reader of the task.
pub(crate) fn read(path: &Path) -> Result<NewPcapSession, String> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(SESSION_BYTES_MAX + 1).read_to_end(&mut text))
        .map_err(|_| "the plugin's session cannot be read back".to_owned())?;
    if text.len() as u64 > SESSION_BYTES_MAX {
        return Err(format!(
            "the plugin's session has more than {SESSION_BYTES_MAX} bytes"
        ));
    }
    let written: Written = serde_json::from_slice(&text)
        .map_err(|error| format!("the plugin's session is not understood: {error}"))?;
    let counts = [written.packet_count, written.flow_count];
    let is_storable = |flow: &Value| flow.as_object().is_some_and(is_storable_object);
    if !is_storable_object(&written.protocol_stats)
        || !written.top_flows.iter().all(is_storable)
        || counts.iter().any(|count| i64::try_from(*count).is_err())
    {
        return Err("the plugin's session holds what the database cannot".to_owned());
    }
    Ok(NewPcapSession {
        capture: None,
        packet_count: written.packet_count,
        protocol_stats: written.protocol_stats,
        flow_count: written.flow_count,
        flows: written.top_flows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<NewPcapSession, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn a_session_is_read_and_what_else_it_says_is_left() {
        let session = of(
            r#"{"packet_count": 88, "bytes": 7, "protocol_stats": {"tcp": {"packets": 88}}, "flow_count": 3,
                "top_flows": [{"client": "10.0.0.1"}]}"#,
        );
        let session = session.unwrap();
        assert_eq!((session.flow_count, session.flows.len()), (3, 1));
        let without = of(r#"{"packet_count": 1, "protocol_stats": {}}"#).unwrap();
        assert_eq!((without.flow_count, without.flows.len()), (0, 0));
        assert_eq!(session.packet_count, 88);
        assert_eq!(session.protocol_stats["tcp"]["packets"], 88);
    }

    #[test]
    fn a_session_that_is_none_is_told() {
        let long = format!(
            r#"{{"packet_count": 1, "protocol_stats": {{"x": "{}"}}}}"#,
            "x".repeat(1 << 20)
        );
        for bad in [
            "",
            "[]",
            r#"{"packet_count": -1, "protocol_stats": {}}"#,
            r#"{"packet_count": 18446744073709551615, "protocol_stats": {}}"#,
            r#"{"packet_count": 1, "protocol_stats": []}"#,
            r#"{"packet_count": 1, "protocol_stats": {"a\u0000": 1}}"#,
            r#"{"packet_count": 1, "protocol_stats": {}, "top_flows": [1]}"#,
            r#"{"packet_count": 1, "protocol_stats": {}, "top_flows": [{"a": "\u0000"}]}"#,
            &long,
        ] {
            assert!(of(bad).is_err(), "{}", &bad[..bad.len().min(80)]);
        }
    }
}
