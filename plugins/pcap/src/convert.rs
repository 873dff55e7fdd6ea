//! What pcap reads.

use tamiz_sdk::model::{ConvertError, Outcome};
use tamiz_sdk::report::{Converter, Options};
use tamiz_sdk::{Host, Input};

use crate::{eve, raw, zeek};

/// What pcap reads.
pub(crate) const CONVERTER: Converter = Converter {
    plugin: "pcap",
    expected: "expected a capture (pcap, pcapng), Suricata's EVE JSON or a log of Zeek",
    formats: &[&raw::Pcap, &raw::Pcapng, &eve::Eve, &zeek::Table, &zeek::Json],
};

/// Converts captures and reports about captures; see [`tamiz_sdk::report`].
///
/// # Errors
/// [`ConvertError`] when the options do not fit, when no input is of a known format, or when one
/// breaks off before anything could be read.
pub fn convert(
    inputs: Vec<Box<dyn Input>>,
    options: &str,
    host: &mut dyn Host,
) -> Result<Outcome, ConvertError> {
    let options = Options::parse(options, CONVERTER.plugin, &[]).map_err(ConvertError::BadOptions)?;
    CONVERTER.convert(inputs, options, host)
}
