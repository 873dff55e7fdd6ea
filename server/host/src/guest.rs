//! The exports of both worlds behind one set of calls, in the types of world 1.0.
//!
//! A call is a future that is ready at once when the component's imports are all our own: host code
//! then never waits, and no fiber is made. With WASI among the imports it may wait, so it runs as
//! async code under the run's deadline (see [`crate::drive`]).

use std::fmt;

use wasmtime::Store;
use wasmtime::component::{Component, ComponentNamedList, Lift, Linker, Lower, Resource, TypedFunc};

use crate::bindings::v1::plugin as wit;
use crate::bindings::{v0, v1};
use crate::failure::ConvertFailure;
use crate::host_impl::OpenInput;
use crate::run::RunState;
use crate::words::message as bounded;

/// Calls an export of a new instance; the generated types of the two worlds have no trait in common.
macro_rules! ask {
    ($guest:expr, $pre:expr, $store:expr, $export:ident($($parameters:expr),*)) => {{
        let instance = if $guest.waits {
            $pre.instantiate_async(&mut *$store).await?
        } else {
            $pre.instantiate(&mut *$store)?
        };
        let export = instance.tamiz_scanner_plugin().$export();
        let (answer,) = $guest.call(export, $store, ($($parameters,)*)).await?;
        answer
    }};
}

/// The component's world: `tamiz:scanner@` this, as its export says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct World {
    /// 0 or 1: the shape of the contract.
    pub major: u32,
    /// What the component may know beyond the first of its shape; the host provides what it knows itself.
    pub minor: u32,
}

impl fmt::Display for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// The versions of the contract whose components this host runs, as components say them. A minor version of 1
/// that is not here runs as well when a component of it comes, but tickets for it go to workers that know it.
pub const WORLDS: [&str; 2] = ["0.1", "1.0"];

/// A component of either world, linked.
#[derive(Clone)]
pub(crate) struct Guest {
    exports: Exports,
    world: World,
    /// Some of its imports may wait.
    waits: bool,
}

#[derive(Clone)]
enum Exports {
    V0(v0::ScannerPre<RunState>),
    V1(v1::ScannerPre<RunState>),
}

/// A plugin's polite failure, in the words of both worlds.
pub(crate) struct ConvertError {
    pub(crate) failure: ConvertFailure,
    /// How far it came, when the envelope was corrupt and the world can tell.
    pub(crate) so_far: Option<wit::Outcome>,
}

impl Guest {
    /// Links a component by the world whose `plugin` interface it exports.
    pub(crate) fn link(linker: &Linker<RunState>, component: &Component) -> wasmtime::Result<Self> {
        let engine = linker.engine();
        let of = component.component_type();
        let waits = of.imports(engine).any(|(name, _)| name.starts_with("wasi:"));
        let world = of
            .exports(engine)
            .find_map(|(name, _)| world_of(name))
            .ok_or_else(|| wasmtime::Error::msg("it exports no tamiz:scanner/plugin of world 0.1 or 1"))?;
        let pre = linker.instantiate_pre(component)?;
        let exports = if world.major == 0 {
            Exports::V0(v0::ScannerPre::new(pre)?)
        } else {
            Exports::V1(v1::ScannerPre::new(pre)?)
        };
        Ok(Self {
            exports,
            world,
            waits,
        })
    }

    pub(crate) const fn world(&self) -> World {
        self.world
    }

    /// Whether calls have to run as async code.
    pub(crate) const fn waits(&self) -> bool {
        self.waits
    }

    pub(crate) async fn describe(&self, store: &mut Store<RunState>) -> wasmtime::Result<wit::Description> {
        Ok(match &self.exports {
            Exports::V0(pre) => ask!(self, pre, store, func_describe()).into(),
            Exports::V1(pre) => ask!(self, pre, store, func_describe()),
        })
    }

    pub(crate) async fn plan(
        &self,
        store: &mut Store<RunState>,
        request: &wit::ScanRequest,
    ) -> wasmtime::Result<Result<Vec<wit::ToolRun>, wit::PlanError>> {
        Ok(match &self.exports {
            Exports::V0(pre) => match ask!(self, pre, store, func_plan(&request.into())) {
                Ok(runs) => Ok(runs.into_iter().map(Into::into).collect()),
                Err(error) => Err(error.into()),
            },
            Exports::V1(pre) => ask!(self, pre, store, func_plan(request)),
        })
    }

    pub(crate) async fn convert(
        &self,
        store: &mut Store<RunState>,
        inputs: &[Resource<OpenInput>],
        request: &wit::ScanRequest,
    ) -> wasmtime::Result<Result<wit::Outcome, ConvertError>> {
        Ok(match &self.exports {
            Exports::V0(pre) => ask!(self, pre, store, func_convert(inputs, request.options.as_str()))
                .map(Into::into)
                .map_err(Into::into),
            Exports::V1(pre) => ask!(self, pre, store, func_convert(inputs, request)).map_err(Into::into),
        })
    }

    async fn call<P, R>(
        &self,
        function: TypedFunc<P, R>,
        store: &mut Store<RunState>,
        parameters: P,
    ) -> wasmtime::Result<R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        if self.waits {
            function.call_async(store, parameters).await
        } else {
            function.call(store, parameters)
        }
    }
}

/// The world whose exports this is: 0.1, or 1 and whatever minor version.
fn world_of(export: &str) -> Option<World> {
    let version = export.strip_prefix("tamiz:scanner/plugin@")?;
    let (major, rest) = version.split_once('.')?;
    let (minor, _) = rest.split_once('.')?;
    let world = World {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    };
    matches!(world, World { major: 0, minor: 1 } | World { major: 1, .. }).then_some(world)
}

impl From<v0::plugin::ConvertError> for ConvertError {
    fn from(error: v0::plugin::ConvertError) -> Self {
        match error {
            v0::plugin::ConvertError::Unrecognized(message) => unrecognized(&message),
            v0::plugin::ConvertError::BadOptions(message) => bad_options(&message),
            v0::plugin::ConvertError::Corrupt(message) => corrupt(&message, None),
        }
    }
}

impl From<wit::ConvertError> for ConvertError {
    fn from(error: wit::ConvertError) -> Self {
        match error {
            wit::ConvertError::Unrecognized(message) => unrecognized(&message),
            wit::ConvertError::BadOptions(message) => bad_options(&message),
            wit::ConvertError::Corrupt(corruption) => corrupt(&corruption.message, Some(corruption.so_far)),
        }
    }
}

fn unrecognized(message: &str) -> ConvertError {
    ConvertFailure::Unrecognized {
        message: bounded(message),
    }
    .into()
}

fn bad_options(message: &str) -> ConvertError {
    ConvertFailure::BadOptions {
        message: bounded(message),
    }
    .into()
}

fn corrupt(message: &str, so_far: Option<wit::Outcome>) -> ConvertError {
    let message = bounded(message);
    ConvertError {
        failure: ConvertFailure::Corrupt {
            message,
            so_far: None,
        },
        so_far,
    }
}

impl From<ConvertFailure> for ConvertError {
    fn from(failure: ConvertFailure) -> Self {
        Self {
            failure,
            so_far: None,
        }
    }
}
