//! What a tool can reach through its door, from inside a real box: servers on this machine's loopback.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;

/// Not a test: the doors of the tests below run this very program with this name, in a folder with an
/// order. Anywhere else there is none, and nothing to do.
#[test]
fn acts_as_the_door() {
    if !std::path::Path::new(door::ORDER).exists() {
        return;
    }
    let code = door::inside::run().unwrap_or_else(|error| {
        eprintln!("door: {error}");
        1
    });
    std::process::exit(code);
}

const BYTES_MAX: u64 = 100_000;

/// A bash script as a tool with a door.
struct Caller {
    folder: TempDir,
    tool: Tool,
}

impl Caller {
    async fn new(script: &str, network: &str, connections: usize) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let bin = folder.path().join("install/bin");
        fs::create_dir_all(&bin).expect("bin");
        let text = format!("#!/bin/bash\n[ \"$1\" = --version ] && exec echo caller 1.0\n{script}\n");
        fs::write(bin.join("caller"), text).expect("script");
        fs::set_permissions(bin.join("caller"), fs::Permissions::from_mode(0o755)).expect("mode");
        let catalogue = format!(
            "[[tool]]\nname = \"caller\"\nbinary = \"caller\"\ninstall = \"write it\"\nscan_types = [\"test\"]\n\
             targets = [\"url\"]\nversion = {{ args = [\"--version\"], after = \"caller\" }}\n\
             read_only = [\"${{install}}\"]\nnetwork = \"{network}\"\n\
             door = {{ bytes = {BYTES_MAX}, connections = {connections} }}\nexit_codes = {{ ran = [0] }}\n\
             arguments = {{ positional = true }}\n[tool.limits]\nwall_seconds = 20\ncpu_seconds = 20\n\
             address_space_bytes = 1073741824\nmemory_bytes = 134217728\nstream_bytes = 1048576\n\
             file_bytes = 1048576\ntemporary_bytes = 1048576\nopen_files = 64\nprocesses = 64\n"
        );
        let catalogue = Catalogue::parse("test", &catalogue).expect("catalogue");
        let inventory = catalogue
            .probe(&ToolFolders::new(Some(bin.as_os_str()), &[], None))
            .await;
        let tool = inventory.tool("caller");
        let tool = tool.unwrap_or_else(|| panic!("{:?}", inventory.missing)).clone();
        Self { folder, tool }
    }

    async fn call(&self, target: &NetworkTarget) -> ToolOutcome {
        let scratch = tempfile::tempdir_in(&self.folder).expect("scratch").keep();
        let output = ToolOutput {
            name: "report".to_owned(),
            media_type: "text/plain".to_owned(),
        };
        let request = ToolRequest {
            args: &["${target.host}".to_owned()],
            outputs: &[output],
            target: None,
            network: Some(target),
            rules: None,
            scratch: &scratch,
            cancel: &CancellationToken::new(),
        };
        run(&self.tool, request).await.expect("a run")
    }
}

fn report(outcome: &ToolOutcome) -> String {
    let report = outcome
        .outputs
        .first()
        .map(|report| fs::read_to_string(&report.path));
    report.map_or_else(String::new, |report| report.expect("text"))
}

fn target(host: &str, server: SocketAddr) -> NetworkTarget {
    NetworkTarget {
        url: Some(format!("http://{host}:{}/", server.port())),
        host: host.to_owned(),
        ports: vec![server.port()],
        addresses: vec![server.ip()],
        resolvers: Vec::new(),
    }
}

/// A server that answers each connection by `answer`, as long as the test's process lives.
fn serve(address: &str, answer: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind(address).expect("server");
    let address = listener.local_addr().expect("address");
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn say_hello(mut stream: TcpStream) {
    let mut line = [0; 6];
    if stream.read_exact(&mut line).is_ok() {
        // The other end may be gone; that is its test's matter.
        let _ = stream.write_all(&[b"hello ", &line[..]].concat());
    }
}

#[tokio::test]
async fn a_tool_reaches_its_target_by_name_and_nothing_else() {
    let server = serve("127.0.0.1:0", say_hello);
    let other = serve("127.0.0.1:0", say_hello);
    let script = format!(
        "ask() {{ exec 3<>/dev/tcp/$1/$2 && echo tamiz >&3 && cat <&3; }}\n\
         (ask $1 {target}; for other in $1/{other} 192.0.2.7/80 127.0.0.2/{target} ::1/{target}; do\n\
         (ask ${{other%/*}} ${{other#*/}}) && echo reached $other; done; exit 0) > /out/report",
        target = server.port(),
        other = other.port(),
    );
    let caller = Caller::new(&script, "target", 8).await;
    let outcome = caller.call(&target("shop.example", server)).await;
    assert_eq!(report(&outcome), "hello tamiz\n", "{outcome:?}");
    assert_eq!(outcome.verdict, Verdict::Ran);
    let traffic = outcome.traffic.expect("traffic");
    assert_eq!(
        (
            traffic.connections,
            traffic.failures,
            traffic.bytes_sent,
            traffic.bytes_received
        ),
        (1, 0, 6, 12)
    );
}

#[tokio::test]
async fn a_tool_in_a_box_with_a_door_has_no_more_rights_than_in_any_other() {
    let server = serve("127.0.0.1:0", say_hello);
    let script = "exec > /out/report; id -u; grep CapEff /proc/self/status; ls /; cat /proc/net/dev; \
                  cat /etc/hosts; ls /proc | grep -c '^[0-9]'; unshare -U true && echo nested; \
                  ls /tmp; echo end";
    let caller = Caller::new(script, "target", 8).await;
    let shown = report(&caller.call(&target("shop.example", server)).await);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "65534");
    assert!(lines[1].ends_with("0000000000000000"), "{shown}");
    assert!(!shown.contains("eth0") && !shown.contains("root"), "{shown}");
    assert!(
        shown.contains("127.0.0.1 shop.example\n") && shown.ends_with("home\nend\n"),
        "{shown}"
    );
    assert!(!shown.contains("nested"), "{shown}");
}

#[tokio::test]
async fn the_door_listens_on_the_pinned_address_itself_and_on_any_port() {
    // Nothing is called: the worker would leave this machine for it.
    let target = NetworkTarget {
        host: "192.0.2.77".to_owned(),
        ports: vec![80],
        addresses: vec![[192, 0, 2, 77].into()],
        ..NetworkTarget::default()
    };
    let script = "{ cat /proc/net/tcp; grep -A1 'host LOCAL' /proc/net/fib_trie; cat /proc/net/fib_trie; } > /out/report";
    let caller = Caller::new(script, "target", 8).await;
    let shown = report(&caller.call(&target).await);
    // 192.0.2.77:80, as the kernel writes it, listening.
    assert!(shown.contains("4D0200C0:0050 00000000:0000 0A"), "{shown}");
    assert!(shown.contains("192.0.2.77"), "{shown}");
}

#[tokio::test]
async fn more_than_the_limit_ends_the_tool_and_keeps_what_it_wrote() {
    let server = serve("127.0.0.1:0", |mut stream| {
        let chunk = [b'x'; 1000];
        while stream.write_all(&chunk).is_ok() {}
    });
    let script = format!(
        "echo part > /out/report; cat < /dev/tcp/shop.example/{}; sleep 100",
        server.port()
    );
    let caller = Caller::new(&script, "target", 8).await;
    let outcome = caller.call(&target("shop.example", server)).await;
    assert_eq!(
        outcome.end,
        ToolEnd::TrafficLimit {
            limit_bytes: BYTES_MAX
        }
    );
    assert_eq!(
        (outcome.verdict, report(&outcome).as_str()),
        (Verdict::RanPartly, "part\n")
    );
    let traffic = outcome.traffic.expect("traffic");
    assert!(traffic.bytes_received <= BYTES_MAX, "{traffic:?}");
    assert!(outcome.stdout.bytes <= BYTES_MAX);
}

#[tokio::test]
async fn no_more_connections_than_allowed_are_open_at_once() {
    let (open, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = peak.clone();
    let server = serve("127.0.0.1:0", move |stream| {
        let now = open.fetch_add(1, Ordering::SeqCst) + 1;
        seen.fetch_max(now, Ordering::SeqCst);
        say_hello(stream);
        open.fetch_sub(1, Ordering::SeqCst);
    });
    let script = format!(
        "for i in $(seq 12); do (exec 3<>/dev/tcp/shop.example/{}; sleep 0.1; echo tamiz >&3; cat <&3 >> /out/report) & \
         done; wait; exit 0",
        server.port()
    );
    let caller = Caller::new(&script, "target", 3).await;
    let outcome = caller.call(&target("shop.example", server)).await;
    assert_eq!(report(&outcome).matches("hello tamiz").count(), 12);
    assert!(peak.load(Ordering::SeqCst) <= 3, "{peak:?}");
}

#[tokio::test]
async fn one_connection_at_once_is_enough_for_target_and_names() {
    let server = serve("127.0.0.1:0", say_hello);
    let script = format!(
        "for i in 1 2 3; do getent hosts no-$i.example; (exec 3<>/dev/tcp/shop.example/{}; echo tamiz >&3; \
         cat <&3 >> /out/report); done; exit 0",
        server.port()
    );
    let caller = Caller::new(&script, "target", 1).await;
    let outcome = caller.call(&target("shop.example", server)).await;
    assert_eq!(report(&outcome).matches("hello tamiz").count(), 3, "{outcome:?}");
    assert_eq!(outcome.traffic.expect("traffic").refused.len(), 3);
}

#[tokio::test]
async fn a_target_that_is_gone_resets_the_tool_and_is_told() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .expect("port")
        .local_addr()
        .expect("address");
    let script = format!(
        "echo tried > /out/report; cat < /dev/tcp/shop.example/{}; exit 0",
        gone.port()
    );
    let caller = Caller::new(&script, "target", 8).await;
    let outcome = caller.call(&target("shop.example", gone)).await;
    let traffic = outcome.traffic.expect("traffic");
    assert_eq!(
        (traffic.connections, traffic.failures, traffic.bytes_received),
        (0, 1, 0)
    );
    assert!(traffic.first_failure.expect("why").contains("refused"));
}

#[tokio::test]
async fn names_that_nobody_may_ask_for_are_refused_and_named() {
    let server = serve("127.0.0.1:0", say_hello);
    let script =
        "getent hosts tracker.example > /out/report; getent ahosts shop.example >> /out/report; exit 0";
    let caller = Caller::new(script, "target", 8).await;
    let outcome = caller.call(&target("shop.example", server)).await;
    let shown = report(&outcome);
    assert!(
        shown.contains("127.0.0.1") && !shown.contains("tracker"),
        "{shown}"
    );
    let refused = outcome.traffic.expect("traffic").refused;
    assert!(refused.contains_key("the name tracker.example"), "{refused:?}");
}

#[tokio::test]
async fn a_tool_for_names_asks_the_operators_resolver_and_reaches_no_address() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("resolver");
    let resolver = socket.local_addr().expect("address");
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            let answer = answer_a(&question[..length]);
            // A tool that is gone needs no answer.
            let _ = socket.send_to(&answer, from);
        }
    });
    let server = serve("127.0.0.1:0", say_hello);
    let script = format!(
        "getent ahostsv4 shop.example | head -n1 > /out/report; (exec 3<>/dev/tcp/127.0.0.1/{} && echo in >> /out/report); exit 0",
        server.port()
    );
    let caller = Caller::new(&script, "dns", 8).await;
    let target = NetworkTarget {
        host: "shop.example".to_owned(),
        resolvers: vec![resolver],
        ports: vec![server.port()],
        addresses: Vec::new(),
        url: None,
    };
    let outcome = caller.call(&target).await;
    assert!(report(&outcome).starts_with("203.0.113.9 "), "{outcome:?}");
    assert!(!report(&outcome).contains("in\n"));
    let traffic = outcome.traffic.expect("traffic");
    assert!(
        traffic.bytes_received > 0 && traffic.refused == BTreeMap::new(),
        "{traffic:?}"
    );
}

/// The question with one address for an answer, whatever it was.
fn answer_a(question: &[u8]) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|&byte| byte == 0).expect("name") + 5;
    let mut answer = question[..end].to_vec();
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 9]);
    answer
}

#[tokio::test]
async fn a_tool_that_calls_wants_a_target() {
    let caller = Caller::new("exit 0", "target", 8).await;
    let scratch = tempfile::tempdir().expect("scratch");
    let request = ToolRequest {
        args: &[],
        outputs: &[],
        target: None,
        network: None,
        rules: None,
        scratch: scratch.path(),
        cancel: &CancellationToken::new(),
    };
    let refused = run(&caller.tool, request).await;
    assert!(matches!(refused, Err(ToolError::NoTarget { .. })));
}
