//! Arrays one after the other: tools that append a run's report to the file that is there.

use tamiz_sdk::json::{JsonError, Kind};
use tamiz_sdk::report::{Element, Session, Source, Stop, each};

/// Goes through the elements of each array of the input.
///
/// # Errors
/// [`Stop`] of the reading, or of `handle`.
pub(crate) fn arrays(
    source: Source<'_>,
    session: &mut Session<'_>,
    mut handle: impl FnMut(&mut Session<'_>, Element<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut reader = source.json()?;
    each(&mut reader, session, "", &mut handle)?;
    loop {
        match reader.kind() {
            Ok(Kind::Array) => each(&mut reader, session, "", &mut handle)?,
            Err(JsonError::Ended { .. }) => return Ok(()),
            _ => return Ok(reader.finish()?),
        }
    }
}
