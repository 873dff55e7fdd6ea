//! What the samples do not show, in captures made here.

use crate::forge::Forge;
use crate::run::{Answer, places, run};

const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 1], 40_000);
const HOST: [u8; 4] = [10, 0, 0, 9];

#[track_caller]
fn talk(port: u16, said: &[(bool, &[u8])]) -> Answer {
    let mut forge = Forge::new();
    forge.talk(CLIENT, (HOST, port), said);
    run("talk", forge.bytes())
}

#[track_caller]
fn check_login(port: u16, said: &[(bool, &[u8])], rule: &str, user: &str, words: &str) {
    let answer = talk(port, said);
    let found = answer.of(rule);
    assert_eq!(found.len(), 1, "{:?}", answer.titles());
    assert!(found[0].title.ends_with(user), "{}", found[0].title);
    assert!(found[0].message.ends_with(words), "{}", found[0].message);
    assert!(!answer.to_json().to_string().contains("hunter2"));
}

#[test]
fn imap_and_pop3_logins_are_found() {
    check_login(
        143,
        &[
            (false, b"* OK ready\r\n"),
            (true, b"a1 LOGIN \"alice@shop.test\" \"hunter2\"\r\n"),
            (false, b"a1 NO wrong\r\n"),
        ],
        "cleartext-credentials-imap",
        ": alice@shop.test",
        "The server refused it.",
    );
    check_login(
        110,
        &[
            (false, b"+OK ready\r\n"),
            (true, b"USER bob\r\n"),
            (false, b"+OK\r\n"),
            (true, b"PASS hunter2\r\n"),
            (false, b"+OK welcome\r\n"),
        ],
        "cleartext-credentials-pop3",
        ": bob",
        "The server accepted it.",
    );
    // AUTH LOGIN: `alice` and `hunter2` in base 64, on an unusual port.
    check_login(
        2500,
        &[
            (false, b"220 mail.shop.test ESMTP\r\n"),
            (true, b"EHLO me\r\n"),
            (false, b"250 AUTH LOGIN\r\n"),
            (true, b"AUTH LOGIN\r\n"),
            (false, b"334 VXNlcm5hbWU6\r\n"),
            (true, b"YWxpY2U=\r\n"),
            (false, b"334 UGFzc3dvcmQ6\r\n"),
            (true, b"aHVudGVyMg==\r\n"),
            (false, b"535 no\r\n"),
        ],
        "cleartext-credentials-smtp",
        ": alice",
        "The server refused it.",
    );
}

#[test]
fn a_mail_that_quotes_a_login_is_no_login() {
    let answer = talk(
        25,
        &[
            (false, b"220 mail ESMTP\r\n"),
            (true, b"EHLO me\r\nDATA\r\n"),
            (false, b"250 ok\r\n354 go on\r\n"),
            (true, b"AUTH PLAIN AGFsaWNlAGh1bnRlcjI=\r\n.\r\n"),
        ],
    );
    assert!(answer.findings.is_empty(), "{:?}", answer.titles());
}

#[test]
fn after_starttls_nothing_is_read_as_a_login() {
    let answer = talk(
        21,
        &[
            (false, b"220 FTP\r\n"),
            (true, b"AUTH TLS\r\n"),
            (false, b"234 go\r\n"),
            (true, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"),
        ],
    );
    assert!(answer.findings.is_empty());
    assert_eq!(answer.sessions[0]["protocol_stats"]["ftp"]["packets"], 8);
}

#[test]
fn segments_out_of_order_and_sent_twice_are_put_right() {
    let mut forge = Forge::new();
    let server = (HOST, 21);
    forge.tcp(CLIENT, server, 2, u32::MAX - 3, b"");
    forge.tcp(server, CLIENT, 18, 500, b"");
    forge.tcp(server, CLIENT, 24, 501, b"220 FTP\r\n");
    // The sequence numbers wrap inside `USER alice`.
    let first = u32::MAX - 2;
    forge.tcp(CLIENT, server, 24, first.wrapping_add(12), b"PASS hunter2\r\n");
    forge.tcp(CLIENT, server, 24, first.wrapping_add(5), b"alice\r\n");
    forge.tcp(CLIENT, server, 24, first, b"USER ");
    forge.tcp(CLIENT, server, 24, first, b"USER alice\r\n");
    let answer = run("order", forge.bytes());
    assert_eq!(
        answer.titles(),
        [(
            "cleartext-credentials-ftp",
            "FTP password sent in clear text: alice"
        )]
    );
}

#[test]
fn http_forms_queries_and_json_are_found() {
    let answer = talk(
        8080,
        &[
            (
                true,
                b"GET /in?user=carol&password=hunter2 HTTP/1.1\r\nHost: shop.test\r\n\r\n",
            ),
            (
                true,
                b"POST /api/login HTTP/1.1\r\nHost: shop.test\r\nContent-Type: application/json\r\n",
            ),
            (true, b"Content-Length: 40\r\n\r\n{\"username\":\"dave\",\"passw"),
            (
                true,
                b"ord\":\"hunter2\"}GET / HTTP/1.1\r\nAuthorization: Bearer hunter2\r\n\r\n",
            ),
        ],
    );
    let rules: Vec<&str> = answer.titles().into_iter().map(|(rule, _)| rule).collect();
    let expected = [
        "cleartext-credentials-http-query",
        "cleartext-credentials-http-form",
        "cleartext-token-http",
    ];
    assert_eq!(rules, expected);
    assert!(answer.findings[0].message.starts_with("`carol`"));
    assert!(answer.findings[1].message.starts_with("`dave`"));
    assert!(!answer.to_json().to_string().contains("hunter2"));
}

#[test]
fn snmp_communities_are_found_and_not_shown() {
    let mut forge = Forge::new();
    for _ in 0..3 {
        forge.udp(
            CLIENT,
            (HOST, 161),
            b"\x30\x0e\x02\x01\x01\x04\x06public\xa0\x01\x00",
        );
        forge.udp(
            CLIENT,
            (HOST, 161),
            b"\x30\x0f\x02\x01\x00\x04\x07hunter2\xa0\x01\x00",
        );
    }
    let answer = run("snmp", forge.bytes());
    let rules: Vec<&str> = answer.titles().into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["snmp-default-community", "cleartext-community-snmp"]);
    let kept = answer.to_json().to_string();
    assert!(!kept.contains("hunter2") && !kept.contains("public"));
}

#[test]
fn a_sweep_over_hosts_is_one_finding_and_browsing_is_none() {
    let mut forge = Forge::new();
    for host in 1..=40 {
        forge.tcp(CLIENT, ([10, 0, 1, host], 445), 2, 7, b"");
    }
    for host in 1..=40 {
        forge.talk(CLIENT, ([10, 0, 2, host], 443), &[(true, b"hello, server")]);
    }
    let answer = run("sweep", forge.bytes());
    assert_eq!(answer.titles(), [("port-sweep", "One port tried on many hosts")]);
    assert_eq!(places(&answer.findings[0]), ["10.0.0.1 > 10.0.1.1:445, 1"]);
    assert!(answer.findings[0].message.contains("port 445 of 40 hosts"));
}

#[test]
fn regular_connections_are_a_beacon_and_irregular_ones_are_none() {
    let mut forge = Forge::new();
    for number in 0..30_u16 {
        let client = ([10, 0, 0, 1], 41_000 + number);
        forge.talk(client, (HOST, 4444), &[(true, b"still here")]);
        let other = ([10, 0, 0, 2], 42_000 + number);
        forge.wait(60);
        if [0, 1, 3, 9, 10, 16, 20, 21, 22, 28].contains(&number) {
            forge.talk(other, (HOST, 80), &[(true, b"GET / HTTP/1.0\r\n\r\n")]);
        }
    }
    let answer = run("beacon", forge.bytes());
    assert_eq!(
        answer.titles(),
        [("periodic-beacon", "Connections at suspiciously regular intervals")]
    );
    let message = &answer.findings[0].message;
    assert!(
        message.contains("connected 30 times") && message.contains("every 60.0 s"),
        "{message}"
    );
}

#[test]
fn guessed_names_do_not_make_a_finding_each() {
    let mut forge = Forge::new();
    for number in 0..200_u16 {
        let line = format!("USER user{number}\r\nPASS hunter2\r\n");
        let said: [(bool, &[u8]); 3] = [
            (false, b"220 FTP\r\n"),
            (true, line.as_bytes()),
            (false, b"530 no\r\n"),
        ];
        forge.talk(([10, 0, 0, 1], 41_000 + number), (HOST, 21), &said);
    }
    let answer = run("guesses", forge.bytes());
    assert_eq!(answer.findings.len(), 33);
    let last = answer.findings.last().expect("33");
    assert!(
        last.message.contains("More than 32") && last.message.contains("168 times"),
        "{}",
        last.message
    );
}

#[test]
fn two_captures_have_a_session_each_and_foreign_input_is_told() {
    let mut forge = Forge::new();
    forge.udp(CLIENT, (HOST, 9), b"x");
    let input = |name: &str, bytes: &[u8]| tamiz_sdk::memory::MemoryInput::new(name, bytes);
    let answer = crate::run::run_inputs(vec![
        input("one", forge.bytes()),
        input("two", forge.bytes()),
        input("three", b"some notes"),
    ]);
    assert_eq!((answer.word().as_str(), answer.sessions.len()), ("partial", 2));
    assert_eq!(answer.sessions[1]["capture"], "two");
    assert_eq!(answer.codes(), ["input-unrecognized"]);
}

#[test]
fn a_log_of_conversations_has_a_session_too() {
    let log = |folder: &str| {
        let path = format!("{}/tests/reports/cases/{folder}", env!("CARGO_MANIFEST_DIR"));
        run(folder, &std::fs::read(path).expect("a case"))
    };
    let eve = log("eve/ftp-login.eve.jsonl");
    let session = &eve.sessions[0];
    assert_eq!(
        (&session["packet_count"], &session["flow_count"]),
        (&88.into(), &5.into())
    );
    assert_eq!(session["protocol_stats"]["tcp"]["packets"], 88);
    assert_eq!(session["top_flows"][0]["server_port"], 21);
    let zeek = log("zeek/rotated.log");
    let session = &zeek.sessions[0];
    assert_eq!(
        (&session["packet_count"], &session["flow_count"]),
        (&22.into(), &2.into())
    );
    assert_eq!(session["protocol_stats"]["icmp"]["packets"], 4);
    assert_eq!(session["top_flows"][0]["protocol"], "ftp");
    assert_eq!(session["first_time"], 1_700_000_000_000_000_000_i64);
    assert!(log("zeek/notice.log").sessions.is_empty());
}

#[test]
fn what_is_said_behind_the_limit_of_a_stream_is_told_as_unread() {
    let mut said: Vec<(bool, &[u8])> = vec![(false, b"220 FTP\r\n")];
    let line = [&[b'x'; 1000][..], b"\r\n"].concat();
    said.extend((0..300).map(|_| (true, &line[..])));
    said.push((true, b"USER alice\r\nPASS hunter2\r\n"));
    let answer = talk(21, &said);
    assert!(answer.findings.is_empty());
    assert_eq!(answer.codes(), ["stream-limit"]);
    assert!(answer.diagnostics[0].message.contains("first 256 KiB"));
}

#[test]
fn a_login_behind_a_lost_packet_is_found_and_the_gap_told() {
    let mut forge = Forge::new();
    let server = (HOST, 21);
    forge.tcp(CLIENT, server, 2, 1000, b"");
    forge.tcp(server, CLIENT, 18, 2000, b"");
    forge.tcp(server, CLIENT, 24, 2001, b"220 FTP\r\n");
    // Ten bytes of the client are not in the capture.
    forge.tcp(CLIENT, server, 24, 1011, b"USER alice\r\n");
    forge.tcp(CLIENT, server, 24, 1023, b"PASS hunter2\r\n");
    let answer = run("gap", forge.bytes());
    assert_eq!(
        answer.of("cleartext-credentials-ftp").len(),
        1,
        "{:?}",
        answer.titles()
    );
    assert_eq!(answer.codes(), ["reassembly-gap"]);
}

#[test]
fn a_request_behind_a_body_in_chunks_is_read() {
    let answer = talk(
        80,
        &[
            (
                true,
                b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nab\r\nc",
            ),
            (
                true,
                b"\r\n0\r\nX: y\r\n\r\nGET /b HTTP/1.1\r\nAuthorization: Basic YWxpY2U6aHVudGVyMg==\r\n\r\n",
            ),
        ],
    );
    let rules: Vec<&str> = answer.titles().into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["cleartext-credentials-http-basic"]);
}

#[test]
fn a_hello_in_the_form_of_ssl_2_leads_to_the_versions_that_follow() {
    let old = b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10";
    let client = [&old[..], &[7; 37]].concat();
    // A ServerHello of SSL 3.0 with 3DES.
    let hello = [
        &b"\x16\x03\x00\x00\x2a\x02\x00\x00\x26\x03\x00"[..],
        &[1; 32],
        b"\x00\x00\x0a\x00",
    ]
    .concat();
    let answer = talk(443, &[(true, &client), (false, &hello)]);
    let rules: Vec<&str> = answer.titles().into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["tls-obsolete-version", "tls-weak-cipher"]);
    let server = [&b"\x80\x20\x04\x00\x01\x00\x02"[..], &[7; 27]].concat();
    let answer = talk(443, &[(true, &client), (false, &server)]);
    assert_eq!(
        answer.titles(),
        [("tls-obsolete-version", "Obsolete TLS version negotiated: SSL 2.0")]
    );
}
