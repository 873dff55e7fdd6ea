//! What pcap reads.

use tamiz_sdk::model::{ConvertError, Outcome, ScanRequest};
use tamiz_sdk::report::{Converter, EmptyList, Options};
use tamiz_sdk::{Host, Input};

use crate::{eve, plan, raw, tshark, zeek};

/// What pcap reads.
pub(crate) const CONVERTER: Converter = Converter {
    plugin: "pcap",
    expected: "expected a capture (pcap, pcapng), EVE JSON of Suricata, a log of Zeek or JSON of tshark",
    formats: &[
        &raw::Pcap,
        &raw::Pcapng,
        &eve::Eve,
        &zeek::Table,
        &zeek::Json,
        &tshark::Tshark,
        // What tshark writes when no packet has what it is asked for.
        &EmptyList,
    ],
};

/// Converts captures and reports about captures; see [`tamiz_sdk::report`].
///
/// # Errors
/// [`ConvertError`] when the options do not fit, when no input is of a known format, or when one
/// breaks off before anything could be read.
pub fn convert(
    inputs: Vec<Box<dyn Input>>,
    request: &ScanRequest,
    host: &mut dyn Host,
) -> Result<Outcome, ConvertError> {
    let options =
        Options::parse(&request.options, CONVERTER.plugin, plan::KNOWN).map_err(ConvertError::BadOptions)?;
    CONVERTER.convert(inputs, options, host)
}
