//! What a command prints as its answer.
//!
//! A reader such as `head` closes its end when it has seen enough: that is no error, and what is left is
//! nobody's.

use std::io::{self, ErrorKind, Write};

use super::CliError;

/// Who reads what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Has it.
    There,
    /// Has seen enough: what goes on printing for as long as somebody reads ends now.
    Gone,
}

/// Prints `text`, which ends its own lines, and nothing more of its kind comes: a command may still fail by what it
/// found, whether or not somebody reads it.
///
/// # Errors
/// When standard output cannot be written, unless its reader has gone.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    print_on(text).map(drop)
}

/// Prints a piece of what has no end.
///
/// # Errors
/// As [`print`].
pub(super) fn print_on(text: &str) -> Result<Reader, CliError> {
    print_to(&mut io::stdout().lock(), text)
}

/// Prints one line.
///
/// # Errors
/// As [`print`].
pub(super) fn print_line(line: &str) -> Result<(), CliError> {
    print(&format!("{line}\n"))
}

/// A table without lines, under this head.
pub(super) fn table<const COLUMNS: usize>(head: [&str; COLUMNS]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(head);
    table
}

fn print_to(output: &mut impl Write, text: &str) -> Result<Reader, CliError> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(CliError::Failed(format!("cannot write the answer: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed(ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_is_no_error_and_a_full_disk_is() {
        let gone = print_to(&mut Closed(ErrorKind::BrokenPipe), "x");
        assert_eq!(gone.unwrap(), Reader::Gone);
        assert_eq!(print_to(&mut Vec::new(), "x").unwrap(), Reader::There);
        assert!(matches!(
            print_to(&mut Closed(ErrorKind::StorageFull), "x"),
            Err(CliError::Failed(_))
        ));
    }
}
