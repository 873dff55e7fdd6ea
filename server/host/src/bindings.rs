//! The WIT worlds as Rust, generated. Nothing else of this crate names generated paths.
//!
//! One module per major version of the world; wasmtime's linker matches every 0.1.x to [`v0`] and every
//! 1.y.z to [`v1`]. The types of [`v1`] are what this crate works with; those of [`v0`] become them at the
//! border (`world_0`).

pub(crate) mod v0 {
    mod generated {
        wasmtime::component::bindgen!({
            path: "../../wit/v0",
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
}

pub(crate) mod v1 {
    mod generated {
        wasmtime::component::bindgen!({
            path: "../../wit/v1",
            world: "scanner",
            imports: { default: trappable },
            with: {
                "tamiz:scanner/host.input": crate::host_impl::OpenInput,
                "tamiz:scanner/host.artifact": crate::host_impl::OpenArtifact,
                "tamiz:scanner/records.reader": crate::records::OpenReader,
            },
        });
    }

    pub(crate) use generated::exports::tamiz::scanner::plugin;
    pub(crate) use generated::tamiz::scanner::{host, records, types};
    pub(crate) use generated::{Scanner, ScannerPre};
}
