//! Reports of every format, whole and damaged, through the plugin's front door.

mod formats;
mod hostile;
mod properties;
