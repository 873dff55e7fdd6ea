//! From file to plugin: the cache, the child process, and what is no plugin.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tamiz_host::{CompileError, Host, HostConfig, Input, Plugin, PluginError, Registry};

use crate::world::{component, host, request, run, start, text, tight};

/// How long a test waits for what must happen.
const WAIT_MAX: Duration = Duration::from_secs(10);

fn cached_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "code"))
        .collect();
    files.sort();
    files
}

fn works(plugin: &Plugin) {
    let run = run(plugin, request(r#"{"do":"echo"}"#, vec![text("a\n")], tight()));
    assert_eq!(run.outcome.unwrap().findings, 1);
}

/// A host whose compiler does not exist can only load from the cache.
fn without_compiler(cache_folder: &Path) -> Host {
    Host::start(HostConfig {
        concurrency: 1,
        compiler: "/nonexistent/tamiz".into(),
        cache_folder: cache_folder.to_owned(),
    })
    .unwrap()
}

#[test]
fn a_plugin_is_compiled_once_and_loaded_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = component("hostile");
    works(&Plugin::load(&start(2, folder.path()), &path).unwrap());
    let written = cached_files(folder.path());
    assert_eq!(written.len(), 1);
    let modified = fs::metadata(&written[0]).unwrap().modified().unwrap();

    works(&Plugin::load(&start(2, folder.path()), &path).unwrap());
    assert_eq!(cached_files(folder.path()), written);
    assert_eq!(fs::metadata(&written[0]).unwrap().modified().unwrap(), modified);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "the key and the code, no folder of the child");
}

#[test]
fn a_changed_cache_file_is_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = component("hostile");
    Plugin::load(&start(1, folder.path()), &path).unwrap();
    let file = cached_files(folder.path()).remove(0);
    let good = fs::read(&file).unwrap();
    let mut changed = good.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 0xff;
    fs::write(&file, &changed).unwrap();

    works(&Plugin::load(&start(1, folder.path()), &path).unwrap());
    assert_ne!(fs::read(&file).unwrap(), changed, "it was replaced");
}

#[test]
fn a_cache_file_of_another_installation_is_compiled_again() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = component("hostile");
    Plugin::load(&start(1, theirs.path()), &path).unwrap();
    let foreign = cached_files(theirs.path()).remove(0);
    let host = start(1, ours.path());
    let copy = ours.path().join(foreign.file_name().unwrap());
    fs::copy(&foreign, &copy).unwrap();
    let before = fs::read(&copy).unwrap();
    works(&Plugin::load(&host, &path).unwrap());
    assert_ne!(fs::read(&copy).unwrap(), before, "it was replaced");
}

#[test]
fn a_compiler_that_cannot_be_started_fails_or_dies_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(component("hostile")).unwrap();
    let refused = Plugin::from_bytes(&without_compiler(folder.path()), &bytes);
    assert!(matches!(
        refused,
        Err(PluginError::Compile(CompileError::Io { .. }))
    ));

    for (script, signal) in [("echo broken >&2; exit 3", None), ("kill -9 $$", Some(9))] {
        let program = folder.path().join("compiler");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let host = Host::start(HostConfig {
            concurrency: 1,
            compiler: program,
            cache_folder: folder.path().join("cache"),
        })
        .unwrap();
        match (Plugin::from_bytes(&host, &bytes), signal) {
            (Err(PluginError::Compile(CompileError::Child { message, .. })), None) => {
                assert_eq!(message, "broken");
            }
            (Err(PluginError::Compile(CompileError::UsedUp { signal: 9 })), Some(9)) => {}
            (other, _) => panic!("{other:?}"),
        }
    }
    assert_eq!(cached_files(&folder.path().join("cache")).len(), 0);
}

/// Says that the guest has begun to read, and holds it there until it is let go.
struct Gate {
    begun: Sender<()>,
    let_go: Receiver<()>,
}

impl Read for Gate {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        let _ = self.begun.send(());
        let _ = self.let_go.recv_timeout(WAIT_MAX);
        Ok(0)
    }
}

#[test]
fn a_full_pool_is_busy_and_not_the_plugins_fault() {
    let folder = tempfile::tempdir().unwrap();
    let host = start(1, folder.path());
    let plugin = Plugin::load(&host, &component("hostile")).unwrap();
    let ((begun, has_begun), (go, let_go)) = (channel(), channel());
    let gate = Input::once("gate", Gate { begun, let_go });
    std::thread::scope(|scope| {
        let first = scope.spawn(|| run(&plugin, request(r#"{"do":"echo"}"#, vec![gate], tight())));
        has_begun.recv_timeout(WAIT_MAX).unwrap();
        let second = run(&plugin, request(r#"{"do":"echo"}"#, vec![text("a\n")], tight()));
        go.send(()).unwrap();
        let busy = second.outcome.unwrap_err();
        assert!(busy.is_the_hosts() && busy.code() == "host-busy", "{busy}");
        first.join().unwrap().outcome.unwrap();
    });
    works(&plugin);
}

#[test]
fn a_folder_of_plugins_is_a_registry_and_what_is_no_plugin_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["hostile", "codeaudit"] {
        fs::copy(component(name), folder.path().join(format!("{name}.wasm"))).unwrap();
    }
    fs::copy(component("hostile"), folder.path().join("twice.wasm")).unwrap();
    fs::write(folder.path().join("broken.wasm"), b"not wasm").unwrap();
    fs::write(folder.path().join("README.md"), b"words").unwrap();

    let registry = Registry::load_folder(host(), folder.path()).unwrap();
    let names: Vec<_> = registry
        .plugins()
        .map(|plugin| plugin.description().name.as_str())
        .collect();
    assert_eq!(names, ["codeaudit", "hostile"]);
    assert_eq!(registry.refused().len(), 2);
    for plugin in registry.plugins() {
        assert!(
            plugin
                .imports()
                .iter()
                .all(|import| import.starts_with("tamiz:scanner/")),
            "{:?}",
            plugin.imports()
        );
        assert_eq!(plugin.sha256().len(), 64);
    }
    assert!(Registry::load_folder(host(), &folder.path().join("absent")).is_err());
}
