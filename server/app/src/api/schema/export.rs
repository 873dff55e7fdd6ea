//! What alerts can be downloaded as.

use async_graphql::Enum;
use tamiz_core::export::Format;

/// What alerts can be downloaded as.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportFormat {
    /// SARIF 2.1.0 within the limits of GitHub.
    Sarif,
    /// OCSF findings, one JSON object a line.
    Ocsf,
    /// OpenVEX 0.2.0; only alerts about packages.
    Openvex,
    /// A CycloneDX 1.6 document of vulnerabilities; only alerts about packages.
    Cyclonedx,
    /// One row an alert.
    Csv,
}

impl From<ExportFormat> for Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Sarif => Self::Sarif,
            ExportFormat::Ocsf => Self::Ocsf,
            ExportFormat::Openvex => Self::OpenVex,
            ExportFormat::Cyclonedx => Self::CycloneDx,
            ExportFormat::Csv => Self::Csv,
        }
    }
}
