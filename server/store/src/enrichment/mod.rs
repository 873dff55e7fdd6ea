//! What is known of advisories from elsewhere (EPSS, KEV): dated series of public facts in the control database.
//!
//! An operator's command writes them ([`begin`], then [`insert_scores`] or [`put_catalogue`], then [`finish`], in one
//! transaction); tenants read them by CVE ([`of_cves`]) beside their own rows, and nothing is copied into those.
//!
//! Not here: reading the files (core's `enrichment`), and which CVEs a finding names (core's `aliases`).

mod epss;
mod file;
mod kev;
mod read;

pub use epss::{PERCENTILE_STEP, SCORES_PER_INSERT, insert_scores};
pub use file::{Begun, FILES_MAX, ImportedFile, NewFile, OpenFile, Series, begin, files, finish};
pub use kev::{ENTRIES_PER_INSERT, put_catalogue};
pub use read::{Epss, KevListing, Known, of_cves};
