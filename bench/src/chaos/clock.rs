//! Clocks of workers that are wrong: an hour off and jumping, or running at another speed.
//!
//! libfaketime is loaded before a worker's own libraries and lies to it about the time. Where it is not
//! there (`scripts/setup-faketime` unpacks it) all clocks are right, and the run says so.

use std::path::{Path, PathBuf};
use std::process::Command;

use rand::RngExt;
use rand::rngs::StdRng;

/// Where the library lies below the unpacked package, on any architecture.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
/// Where jumping clocks are set to, in libfaketime's words.
const JUMPS: [&str; 6] = ["+1h", "-1h", "+0", "+17s", "-17s", "+2d"];

/// One worker's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Clock {
    /// As the machine's.
    Right,
    /// Off by what this file says, and moved while it runs; only the time of day, as when somebody sets it.
    Jumping(PathBuf),
    /// Twice the speed, with all waits.
    Fast,
    /// Half the speed: it believes that it has more of its lease than it has.
    Slow,
}

/// The library, if it was unpacked into the checkout at `checkout`.
pub(crate) fn library(checkout: &Path) -> Option<PathBuf> {
    let folders = std::fs::read_dir(checkout.join(".tools/libfaketime/usr/lib")).ok()?;
    folders
        .flatten()
        .map(|folder| folder.path().join(LIBRARY))
        .find(|path| path.is_file())
}

impl Clock {
    /// Draws the clock of a worker that starts; `file` is its own.
    pub(crate) fn draw(random: &mut StdRng, file: &Path) -> Self {
        match random.random_range(0..8) {
            0..=2 => Self::Right,
            3..=5 => Self::Jumping(file.to_owned()),
            6 => Self::Fast,
            _ => Self::Slow,
        }
    }

    /// Lets `command` start with this clock.
    pub(crate) fn wear(
        &self,
        command: &mut Command,
        library: &Path,
        random: &mut StdRng,
    ) -> std::io::Result<()> {
        if *self == Self::Right {
            return Ok(());
        }
        command
            .env("LD_PRELOAD", library)
            // a killed process would leave its shared memory
            .env("FAKETIME_DISABLE_SHM", "1")
            // the age of files and the scratch folder's locks are the machine's
            .env("NO_FAKE_STAT", "1");
        match self {
            Self::Right => {}
            Self::Jumping(file) => {
                std::fs::write(file, JUMPS[random.random_range(0..JUMPS.len())])?;
                command
                    .env("FAKETIME_TIMESTAMP_FILE", file)
                    .env("FAKETIME_CACHE_DURATION", "1")
                    .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            }
            Self::Fast => {
                command.env("FAKETIME", "+0 x2");
            }
            Self::Slow => {
                command.env("FAKETIME", "+0 x0.5");
            }
        }
        Ok(())
    }

    /// Moves a clock that can be moved; answers whether it did.
    pub(crate) fn jump(&self, random: &mut StdRng) -> std::io::Result<bool> {
        let Self::Jumping(file) = self else {
            return Ok(false);
        };
        // whole at every moment: the library reads it when it likes
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, JUMPS[random.random_range(0..JUMPS.len())])?;
        std::fs::rename(fresh, file)?;
        Ok(true)
    }
}
