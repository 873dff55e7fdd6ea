//! The report kit: everything that converters of reports have in common.
//!
//! A plugin lists its formats in a [`Converter`], and each [`Format`] is a small type: it looks at a
//! [`Head`] to say whether an input is its own, and walks the input's records into findings. The kit
//! does the rest: it looks at each input once, counts records, batches findings, bounds diagnostics,
//! and says at the end what the reading amounts to.
//!
//! What the end of a reading means:
//! - no format takes the input: `unrecognized`, or `corrupt` when it is no content or no text at all;
//! - the input ends early: `truncated`, with what was readable;
//! - the envelope breaks: `corrupt`, and what was emitted before is kept;
//! - records were lost in the middle: `partial`.
//!
//! Apart from that, the coverage is `partial` when the report names something that its tool left out.
//!
//! Every record is accounted for: [`Session::emit`] makes it a finding, [`Session::lose`],
//! [`Session::leave_out`] and [`Session::gap_record`] a diagnostic, and there is no other way. A record never stops the reading;
//! only a [`Stop`] does, and that is the envelope's.
//!
//! Not here: the tools' words (see [`crate::vocabulary`]) and how bytes become records (see
//! [`crate::json`], [`crate::xml`], [`crate::csv`]).

mod convert;
mod format;
mod head;
mod head_json;
mod lines;
mod options;
pub mod path;
mod peek;
mod profile;
mod record;
mod rows;
mod session;
mod trees;

pub use convert::Converter;
pub use format::{EmptyList, Format, Recognition, RefusedEmptyList, Source};
pub use head::{Head, Shape};
pub use lines::{TextLine, json_lines, lines};
pub use options::{OptionKind, OptionSpec, Options};

pub use profile::{Profile, tool_run};
pub(crate) use record::span;
pub use record::{Element, Record, each, members, objects, small_object, small_text, span_since};
pub use rows::rows;
pub use session::{Notes, Session, Stop};
pub use trees::{Event, XmlRecord, walk};
