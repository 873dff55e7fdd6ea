//! What web reads.

use tamiz_sdk::model::{ConvertError, Outcome, ScanRequest};
use tamiz_sdk::report::{Converter, RefusedEmptyList};
use tamiz_sdk::vocabulary::SeverityTable;
use tamiz_sdk::{Host, Input};

use crate::options;
use crate::{
    arachni, arjun, burp, dirsearch, discovery, ffuf, gobuster, nikto, nmap, nuclei, sqlmap, wafw00f, wapiti,
    wfuzz, whatweb, wpscan, zap,
};

/// What web reads.
pub(crate) const CONVERTER: Converter = Converter {
    plugin: "web",
    expected: "expected a report of ZAP, nuclei, nikto, wapiti, WhatWeb, Burp, Arachni, ffuf, wfuzz, gobuster, \
               dirsearch, arjun, wafw00f, sqlmap, WPScan or nmap",
    formats: &[
        &zap::ZapXml,
        &zap::ZapJson,
        &nuclei::Nuclei,
        &nikto::NiktoXml,
        &nikto::NiktoJson,
        &nikto::NiktoCsv,
        &wapiti::WapitiJson,
        &wapiti::WapitiXml,
        &whatweb::WhatWeb,
        &burp::Burp,
        &arachni::Arachni,
        &wpscan::Wpscan,
        &nmap::Nmap,
        &sqlmap::SqlmapApi,
        &sqlmap::SqlmapTable,
        &sqlmap::SqlmapLog,
        &wafw00f::Wafw00f,
        &wafw00f::Wafw00fTable,
        &ffuf::Ffuf,
        &ffuf::FfufLines,
        &ffuf::FfufTable,
        &wfuzz::Wfuzz,
        &wfuzz::WfuzzTable,
        &gobuster::Gobuster,
        &dirsearch::Dirsearch,
        &dirsearch::DirsearchTable,
        &dirsearch::DirsearchXml,
        &dirsearch::DirsearchPlain,
        &arjun::Arjun,
        &RefusedEmptyList {
            tools: &["whatweb for a target that did not answer"],
            problem: "the report is an empty list, without a target that answered: tools write this for a dead \
                      target",
        },
    ],
};

/// What the tools' words for severities mean: `docs/severities.md` shows these tables.
pub const SEVERITIES: &[&SeverityTable] = &[
    &zap::SEVERITIES,
    &nuclei::SEVERITIES,
    &nikto::SEVERITIES,
    &wapiti::SEVERITIES,
    &burp::SEVERITIES,
    &arachni::SEVERITIES,
    &wpscan::SEVERITIES,
    &nmap::SEVERITIES,
    &sqlmap::SEVERITIES,
    &whatweb::SEVERITIES,
    &wafw00f::SEVERITIES,
    &arjun::SEVERITIES,
    &discovery::SEVERITIES,
];

/// Converts reports; see [`tamiz_sdk::report`].
///
/// # Errors
/// [`ConvertError`] when the options do not fit, when no input is of a known format, or when one
/// breaks off in its envelope or proves no contact with its target.
pub fn convert(
    inputs: Vec<Box<dyn Input>>,
    request: &ScanRequest,
    host: &mut dyn Host,
) -> Result<Outcome, ConvertError> {
    let options = options::parse(&request.options).map_err(ConvertError::BadOptions)?;
    CONVERTER.convert(inputs, options, host)
}
