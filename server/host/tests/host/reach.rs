//! What a guest reaches beyond conversion: nothing, unless it was granted and declared.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use tamiz_core::plugin::Capability;
use tamiz_host::{CancelFlag, ConvertFailure, Grants, NetworkGrant, Plugin, RunLimits, ScanRequest, World};

use crate::sink::Kept;
use crate::world::{Run, component, host, reach, request, run, text, tight};

/// Lets the guest do something with grants.
fn deed(plugin: &Plugin, name: &str, lines: &str, grants: Grants, limits: RunLimits) -> Run {
    let mut request = request(&format!(r#"{{"do":"{name}"}}"#), vec![text(lines)], limits);
    request.grants = grants;
    run(plugin, request)
}

fn log(plugin: &Plugin, name: &str, lines: &str, grants: Grants) -> Vec<String> {
    let run = deed(plugin, name, lines, grants, tight());
    run.outcome.unwrap();
    run.kept.log
}

fn network(address: &str, port: Option<u16>) -> Grants {
    Grants {
        network: Some(NetworkGrant {
            addresses: vec![address.parse().unwrap()],
            port,
        }),
        ..Grants::none()
    }
}

/// The guest, with its declaration blanked.
fn undeclared() -> &'static Plugin {
    static PLUGIN: OnceLock<Plugin> = OnceLock::new();
    PLUGIN.get_or_init(|| {
        let mut bytes = std::fs::read(component("reach")).unwrap();
        let words = b"network,clock,randomness";
        let place = bytes
            .windows(words.len())
            .position(|window| window == words)
            .unwrap();
        bytes[place..place + words.len()].fill(b' ');
        Plugin::from_bytes(host(), &bytes).unwrap()
    })
}

/// Answers `pong` to whoever says something; ends with the test.
fn answering(address: &str) -> SocketAddr {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let place = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut word = [0; 4];
            if stream.read_exact(&mut word).is_ok() && &word == b"ping" {
                stream.write_all(b"pong").unwrap();
            }
        }
    });
    place
}

#[test]
fn a_plugin_says_which_world_it_is_of_and_what_it_wants() {
    assert_eq!(reach().world(), World { major: 1, minor: 0 });
    assert!(reach().description().capabilities.iter().eq(Capability::ALL));
    assert!(undeclared().description().capabilities.is_empty());
    assert!(
        reach()
            .imports()
            .iter()
            .any(|name| name.starts_with("wasi:sockets/tcp@"))
    );
}

#[test]
fn nothing_is_reached_without_a_grant_or_without_a_declaration() {
    let open = answering("127.0.0.1");
    let line = format!("127.0.0.1 {}", open.port());
    let refused = format!("{line} access-denied");
    assert_eq!(log(reach(), "connect", &line, Grants::none()), [refused.as_str()]);
    let granted = network("127.0.0.1", Some(open.port()));
    assert_eq!(log(undeclared(), "connect", &line, granted), [refused.as_str()]);
}

#[test]
fn with_a_grant_exactly_the_pinned_address_and_port_are_reached() {
    let (open, other) = (answering("127.0.0.1"), answering("127.0.0.1"));
    // the same port of another address of this machine
    let elsewhere = TcpListener::bind(("127.0.0.2", open.port()));
    let (port, other) = (open.port(), other.port());
    let lines = [
        format!("127.0.0.1 {port}"),
        format!("127.0.0.1 {other}"),
        format!("127.0.0.2 {port}"),
        format!("0.0.0.0 {port}"),
        format!("::1 {port}"),
        format!("::ffff:127.0.0.1 {port}"),
        format!("::127.0.0.1 {port}"),
        format!("64:ff9b::7f00:1 {port}"),
        "127.0.0.1 0".to_owned(),
    ];
    let got = log(
        reach(),
        "connect",
        &lines.join("\n"),
        network("127.0.0.1", Some(port)),
    );
    assert_eq!(got[0], format!("127.0.0.1 {port} pong"));
    assert_eq!(got.len(), lines.len());
    for answer in &got[1..] {
        assert!(
            answer.ends_with("access-denied") || answer.ends_with("invalid-argument"),
            "{answer}"
        );
    }
    drop(elsewhere);

    let any_port = log(
        reach(),
        "connect",
        &lines[..2].join("\n"),
        network("127.0.0.1", None),
    );
    assert!(
        any_port.iter().all(|answer| answer.ends_with("pong")),
        "{any_port:?}"
    );
}

#[test]
fn a_grant_does_not_open_listening_udp_or_names() {
    for grants in [Grants::none(), network("127.0.0.1", None)] {
        let got = log(reach(), "other-sockets", "", grants);
        assert_eq!(got.len(), 3);
        for answer in got {
            assert!(
                ["access-denied", "permanent-resolver-failure"]
                    .iter()
                    .any(|word| answer.ends_with(word)),
                "{answer}"
            );
        }
    }
}

#[test]
fn sockets_are_counted() {
    assert_eq!(log(reach(), "many-sockets", "", Grants::none()), ["0"]);
    assert_eq!(
        log(reach(), "many-sockets", "", network("127.0.0.1", None)),
        ["256"]
    );
}

#[test]
fn a_guest_that_waits_in_the_host_ends_at_its_deadline_or_when_it_is_cancelled() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let soon = RunLimits {
        deadline: Duration::from_millis(300),
        ..tight()
    };
    for (name, lines) in [("sleep", String::new()), ("wait", format!("127.0.0.1 {port}"))] {
        let begun = Instant::now();
        let run = deed(
            reach(),
            name,
            &lines,
            network("127.0.0.1", Some(port)),
            soon.clone(),
        );
        assert!(
            matches!(run.outcome, Err(ConvertFailure::Deadline { seconds: 1 })),
            "{name}: {:?}",
            run.outcome
        );
        assert!(begun.elapsed() < Duration::from_secs(5), "{name}");
    }
    let mut asked = request(r#"{"do":"sleep"}"#, vec![text("")], tight());
    let flag = CancelFlag::new();
    asked.cancel = flag.clone();
    let (begun, begins) = channel();
    asked.sink = Box::new(Kept {
        begun: Some(begun),
        ..Kept::default()
    });
    let canceller = thread::spawn(move || {
        begins.recv().unwrap();
        flag.cancel();
    });
    let run = run(reach(), asked);
    canceller.join().unwrap();
    assert!(
        matches!(run.outcome, Err(ConvertFailure::Cancelled)),
        "{:?}",
        run.outcome
    );
}

#[test]
fn clocks_stand_still_and_randomness_repeats_unless_granted() {
    assert_eq!(log(reach(), "clock", "", Grants::none()), ["0.000000000", "0"]);
    assert_eq!(
        log(reach(), "random", "", Grants::none()),
        log(reach(), "random", "", Grants::none())
    );

    let all = || Grants {
        clock: true,
        randomness: true,
        ..Grants::none()
    };
    let got = log(reach(), "clock", "", all());
    let (seconds, _) = got[0].split_once('.').unwrap();
    assert!(seconds.parse::<u64>().unwrap() > 1_700_000_000, "{got:?}");
    assert!(got[1].parse::<u64>().unwrap() >= 4_000_000, "{got:?}");
    let (one, other) = (
        log(reach(), "random", "", all()),
        log(reach(), "random", "", all()),
    );
    assert!(
        one.iter().zip(&other).all(|(one, other)| one != other),
        "{one:?} {other:?}"
    );
    assert_eq!(log(undeclared(), "clock", "", all()), ["0.000000000", "0"]);
}

#[test]
fn there_are_no_folders_variables_arguments_or_input() {
    let got = log(reach(), "surroundings", "", Grants::none());
    assert_eq!(
        got,
        [
            "0 folders",
            "0 variables",
            "0 arguments",
            "None",
            "Err(StreamError::Closed)"
        ]
    );
}

#[test]
fn what_is_printed_is_logged() {
    let got = log(reach(), "print", "", Grants::none());
    assert_eq!(got, ["hello world", "next line", "an error", "last"]);
}

#[test]
fn too_much_that_is_printed_hides_no_other_failure() {
    let limits = RunLimits {
        log_lines_max: 0,
        ..tight()
    };
    let soon = RunLimits {
        deadline: Duration::from_millis(500),
        ..limits.clone()
    };
    let run = deed(reach(), "shout", "", Grants::none(), soon);
    assert!(
        matches!(run.outcome, Err(ConvertFailure::Deadline { .. })),
        "{:?}",
        run.outcome
    );
    assert!(run.counts.log_lines_dropped > 64);
    let run = deed(reach(), "print", "", Grants::none(), limits);
    assert!(
        matches!(&run.outcome, Err(ConvertFailure::OverLimit { what, .. }) if *what == "log lines"),
        "{:?}",
        run.outcome
    );
}

#[test]
fn a_guest_that_ends_itself_has_crashed() {
    let run = deed(reach(), "exit", "", Grants::none(), tight());
    assert!(
        matches!(&run.outcome, Err(ConvertFailure::Trap { message, .. }) if message.contains("ended itself")),
        "{:?}",
        run.outcome
    );
}

#[test]
fn the_request_tells_the_addresses_only_with_a_grant() {
    let ask = |grants| {
        let mut request = request(r#"{"do":"request"}"#, vec![text("")], tight());
        request.request = ScanRequest {
            target_kind: "endpoint".to_owned(),
            target: "example.org:443".to_owned(),
            options: request.request.options,
        };
        request.grants = grants;
        run(reach(), request).kept.log
    };
    assert_eq!(ask(Grants::none()), ["endpoint example.org:443"]);
    let granted = Grants {
        network: Some(NetworkGrant {
            addresses: vec![
                "192.0.2.1".parse().unwrap(),
                IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
            ],
            port: Some(443),
        }),
        ..Grants::none()
    };
    assert_eq!(
        ask(granted),
        ["endpoint example.org:443", "192.0.2.1", "2001:db8::1"]
    );
}

#[test]
fn a_guest_that_waits_may_be_asked_from_inside_any_runtime() {
    for mut runtime in [
        tokio::runtime::Builder::new_current_thread(),
        tokio::runtime::Builder::new_multi_thread(),
    ] {
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async { assert_eq!(log(reach(), "clock", "", Grants::none()).len(), 2) });
    }
}
