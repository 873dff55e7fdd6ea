//! The WIT world as Rust, generated. Nothing else of this crate names generated paths.
//!
//! One module per major version of the world; wasmtime's linker matches every 0.1.x to this one.

mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "scanner",
        imports: { default: trappable },
        with: {
            "tamiz:scanner/host.input": crate::host_impl::OpenInput,
            "tamiz:scanner/host.artifact": crate::host_impl::OpenArtifact,
        },
    });
}

pub(crate) use generated::exports::tamiz::scanner::plugin;
pub(crate) use generated::tamiz::scanner::{host, types};
pub(crate) use generated::{Scanner, ScannerPre};
