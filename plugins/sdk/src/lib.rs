//! The guest SDK: everything a Rust plugin of Tamiz imports, and the only thing it imports.
//!
//! A plugin implements [`Scanner`] on a type and names it in [`export_scanner!`]. It reads its
//! inputs with [`InputReader`] and the [`json`], [`xml`] and [`csv`] splitters, so that its memory does
//! not grow with the report, builds findings with [`FindingBuilder`], and hands them to an [`Emitter`],
//! which batches them and loses none when the conversion fails half way. [`report`] is all of that put
//! together: a plugin for reports is a list of formats.
//!
//! Nothing here needs wasm: the platform is behind the [`Host`] and [`Input`] traits, [`memory`]
//! implements them for tests and benches, and only the private `guest` module talks to the real one.
//!
//! The platform uses the splitters, too, to read records for plugins in other languages: without the
//! feature `guest` there is nothing here but them.
//!
//! Not here: what any tool's report looks like. That is each plugin's own business.

#[cfg(any(all(target_arch = "wasm32", feature = "guest"), test))]
mod allocator;
#[cfg(feature = "guest")]
pub mod bindings;
#[cfg(feature = "guest")]
mod builder;
pub mod csv;
#[cfg(feature = "guest")]
mod diagnose;
#[cfg(feature = "guest")]
mod emitter;
#[cfg(all(target_arch = "wasm32", feature = "guest"))]
pub mod guest;
#[cfg(feature = "guest")]
mod host;
pub mod json;
pub mod limits;
#[cfg(feature = "guest")]
pub mod memory;
#[cfg(feature = "guest")]
pub mod model;
#[cfg(feature = "guest")]
mod progress;
mod reader;
#[cfg(feature = "guest")]
pub mod report;
#[cfg(feature = "guest")]
mod secret;
#[cfg(feature = "test-kit")]
pub mod test_kit;
mod text;
#[cfg(feature = "guest")]
pub mod vocabulary;
pub mod xml;

#[cfg(feature = "guest")]
pub use diagnose::Diagnostics;
#[cfg(feature = "guest")]
pub use emitter::Emitter;
#[cfg(feature = "guest")]
pub use host::{Artifact, Host, Input, Scanner};
#[cfg(feature = "guest")]
pub use model::FindingBuilder;
#[cfg(feature = "guest")]
pub use progress::Progress;
#[cfg(feature = "guest")]
pub use reader::InputReader;
pub use reader::{ChunkReader, Source};
#[cfg(feature = "guest")]
pub use secret::{hide, redact};
pub use text::{Cleaned, clean_line, clean_text};

/// Makes a [`Scanner`] the component's exports. Once per plugin; nothing on other targets than wasm.
///
/// The exports are a module below, so a type of the same file is named `super::Hello`.
#[macro_export]
macro_rules! export_scanner {
    ($scanner:ty) => {
        #[cfg(target_arch = "wasm32")]
        mod tamiz_exports {
            struct Component;

            impl $crate::bindings::exports::tamiz::scanner::plugin::Guest for Component {
                fn describe() -> $crate::model::Description {
                    <$scanner as $crate::Scanner>::describe()
                }

                fn plan(
                    request: $crate::model::ScanRequest,
                ) -> Result<Vec<$crate::model::ToolRun>, $crate::model::PlanError> {
                    <$scanner as $crate::Scanner>::plan(&request)
                }

                fn convert(
                    inputs: Vec<$crate::bindings::tamiz::scanner::host::Input>,
                    request: $crate::model::ScanRequest,
                ) -> Result<$crate::model::Outcome, $crate::model::ConvertError> {
                    $crate::guest::convert::<$scanner>(inputs, &request)
                }
            }

            $crate::bindings::export!(Component with_types_in $crate::bindings);
        }
    };
}
