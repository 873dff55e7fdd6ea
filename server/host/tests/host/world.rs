//! The one host of this test binary, its plugins, and a short way to run one of them.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use tamiz_host::{
    CancelFlag, ConvertRequest, Converted, Counts, Grants, Host, HostConfig, Input, NoSources, Outcome,
    Plugin, RunLimits, ScanRequest, SecretKey,
};

use crate::sink::Kept;

/// More than the test threads of any machine.
const CONCURRENCY: u32 = 64;

pub(crate) fn target_folder() -> PathBuf {
    // target/PROFILE/deps/THIS
    let this = std::env::current_exe().expect("this program has a path");
    this.ancestors().nth(3).expect("it lies in target").to_owned()
}

pub(crate) fn compile_child() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    let child = this
        .ancestors()
        .nth(2)
        .expect("it lies in target")
        .join("examples/compile_child");
    assert!(
        child.is_file(),
        "{} is missing: run `cargo build -p tamiz-host --example compile_child`",
        child.display()
    );
    child
}

pub(crate) fn start(concurrency: u32, cache_folder: &Path) -> Host {
    Host::start(HostConfig {
        concurrency,
        compiler: compile_child(),
        cache_folder: cache_folder.to_owned(),
    })
    .expect("the host starts")
}

/// Shared by all tests, with a cache of its own that outlives them.
pub(crate) fn host() -> &'static Host {
    static HOST: LazyLock<Host> = LazyLock::new(|| {
        start(
            CONCURRENCY,
            &Path::new(env!("CARGO_TARGET_TMPDIR")).join("host-cache"),
        )
    });
    &HOST
}

pub(crate) fn component(name: &str) -> PathBuf {
    let folder = if matches!(name, "hostile" | "reach") {
        "test-plugins"
    } else {
        "plugins"
    };
    let path = target_folder().join(folder).join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing: run `make test`", path.display());
    path
}

pub(crate) fn hostile() -> &'static Plugin {
    static PLUGIN: OnceLock<Plugin> = OnceLock::new();
    PLUGIN.get_or_init(|| Plugin::load(host(), &component("hostile")).expect("the hostile guest loads"))
}

pub(crate) fn reach() -> &'static Plugin {
    static PLUGIN: OnceLock<Plugin> = OnceLock::new();
    PLUGIN.get_or_init(|| Plugin::load(host(), &component("reach")).expect("the reaching guest loads"))
}

pub(crate) fn codeaudit() -> &'static Plugin {
    static PLUGIN: OnceLock<Plugin> = OnceLock::new();
    PLUGIN.get_or_init(|| Plugin::load(host(), &component("codeaudit")).expect("codeaudit loads"))
}

pub(crate) fn text(content: &str) -> Input {
    let bytes = content.as_bytes().to_vec();
    let size = bytes.len() as u64;
    Input::seekable("input", Cursor::new(bytes)).with_size_bytes(size)
}

/// Limits under which a hostile run ends soon.
pub(crate) fn tight() -> RunLimits {
    RunLimits {
        deadline: Duration::from_secs(10),
        memory_bytes: 64 * 1024 * 1024,
        artifact_bytes_max: 16 * 1024 * 1024,
        ..RunLimits::default()
    }
}

pub(crate) fn request(options: &str, inputs: Vec<Input>, limits: RunLimits) -> ConvertRequest {
    ConvertRequest {
        inputs,
        request: ScanRequest::of_report(options),
        grants: Grants::none(),
        limits,
        sink: Box::new(Kept::default()),
        services: Box::new(NoSources::new(SecretKey::new(b"a tenant's key"))),
        cancel: CancelFlag::new(),
    }
}

/// What one run left behind.
pub(crate) struct Run {
    pub(crate) outcome: Result<Outcome, tamiz_host::ConvertFailure>,
    pub(crate) counts: Counts,
    pub(crate) kept: Kept,
}

pub(crate) fn run(plugin: &Plugin, request: ConvertRequest) -> Run {
    let Converted {
        outcome,
        counts,
        sink,
    } = plugin.convert(request);
    let sink: Box<dyn std::any::Any> = sink;
    Run {
        outcome,
        counts,
        kept: *sink.downcast::<Kept>().expect("the sink is ours"),
    }
}

/// Runs the hostile guest's deed on a small input.
pub(crate) fn deed(name: &str, limits: RunLimits) -> Run {
    let options = format!(r#"{{"do":"{name}"}}"#);
    run(hostile(), request(&options, vec![text("one\ntwo\n")], limits))
}
