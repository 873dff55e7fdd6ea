//! Spellings of targets: what they are once parsed, and which are refused before anything is resolved.

use core::net::IpAddr;

use super::*;
use crate::address;

/// Ways to write an address that must not be reached, as hosts of a web address; with what they are.
const HOSTILE: [(&str, &str); 36] = [
    ("127.0.0.1", "127.0.0.1"),
    ("127.1", "127.0.0.1"),
    ("127.0.1", "127.0.0.1"),
    ("2130706433", "127.0.0.1"),
    ("0x7f000001", "127.0.0.1"),
    ("0x7f.0x0.0x0.0x1", "127.0.0.1"),
    ("0X7F.1", "127.0.0.1"),
    ("017700000001", "127.0.0.1"),
    ("0177.0.0.01", "127.0.0.1"),
    ("0177.0.0.0x1", "127.0.0.1"),
    ("127.0.0.1.", "127.0.0.1"),
    ("127.0.0.%31", "127.0.0.1"),
    ("１２７.０.０.１", "127.0.0.1"),
    ("①②⑦.⓪.⓪.①", "127.0.0.1"),
    ("127。0。0。1", "127.0.0.1"),
    ("0", "0.0.0.0"),
    ("0.0.0.0", "0.0.0.0"),
    ("0x0", "0.0.0.0"),
    ("10.0.0.1", "10.0.0.1"),
    ("0xa.1", "10.0.0.1"),
    ("100.64.0.1", "100.64.0.1"),
    ("169.254.169.254", "169.254.169.254"),
    ("2852039166", "169.254.169.254"),
    ("0251.0376.0251.0376", "169.254.169.254"),
    ("0xa9fea9fe", "169.254.169.254"),
    ("192.168.257", "192.168.1.1"),
    ("198.18.0.1", "198.18.0.1"),
    ("255.255.255.255", "255.255.255.255"),
    ("[::]", "::"),
    ("[::1]", "::1"),
    ("[0:0:0:0:0:0:0:1]", "::1"),
    ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
    ("[::ffff:7f00:1]", "::ffff:127.0.0.1"),
    ("[64:ff9b::a9fe:a9fe]", "64:ff9b::a9fe:a9fe"),
    ("[2002:7f00:1::]", "2002:7f00:1::"),
    ("[fd00:ec2::254]", "fd00:ec2::254"),
];

#[test]
fn no_spelling_hides_an_address() {
    for (spelling, address) in HOSTILE {
        let address: IpAddr = address.parse().unwrap();
        let targets = [
            Target::url(&format!("http://{spelling}/x")),
            Target::endpoint(&spelling.replace("%31", "1"), 443),
        ];
        for target in targets {
            let target = target.unwrap_or_else(|error| panic!("{spelling}: {error}"));
            let host: IpAddr = target.host().unwrap().parse().unwrap();
            assert_eq!(host, address, "{spelling}");
            assert!(address::judge(host, &|_| false).is_err(), "{spelling}");
        }
        assert!(Target::domain(spelling).is_err(), "{spelling}");
    }
}

#[test]
fn a_web_address_is_kept_in_one_spelling() {
    for (given, url, host, port) in [
        ("https://Example.ORG", "https://example.org/", "example.org", 443),
        (
            "http://example.org.:8080/a?b#c",
            "http://example.org:8080/a?b",
            "example.org",
            8080,
        ),
        (
            "HTTP://bücher.example/",
            "http://xn--bcher-kva.example/",
            "xn--bcher-kva.example",
            80,
        ),
        (
            "http://[2001:db8::1]:81/",
            "http://[2001:db8::1]:81/",
            "2001:db8::1",
            81,
        ),
        ("  http://a_b.example\n", "http://a_b.example/", "a_b.example", 80),
        ("http://e\txample.org/", "http://example.org/", "example.org", 80),
    ] {
        let expected = Target::Url {
            url: url.to_owned(),
            host: host.to_owned(),
            port,
        };
        assert_eq!(Target::url(given), Ok(expected), "{given}");
    }
}

#[test]
fn what_is_no_web_address_is_refused() {
    let long = format!("http://example.org/{}", "a".repeat(PLACE_BYTES_MAX));
    let long_name = format!("http://{}example/", "a.".repeat(130));
    for bad in [
        "",
        "example.org",
        "//example.org",
        "ftp://example.org",
        "file:///etc/passwd",
        "gopher://example.org",
        "javascript:alert(1)",
        "http://",
        "http://user@example.org/",
        "http://user:secret@example.org/",
        "http://:secret@example.org/",
        "http://user:secret@exa mple.org/",
        "http://-oProxyCommand=x/",
        "http://-example.org/",
        "http://a.-b.example/",
        "http://*.example.org/",
        "http://a..b/",
        "http://exa mple.org/",
        "http://example.org:0/",
        "http://example.org:99999/",
        "http://1.2.3.4.5/",
        "http://256.0.0.1/",
        "http://[::1%25eth0]/",
        "http://a'b.example/",
        &long,
        &long_name,
    ] {
        let refusal = Target::url(bad).map(|target| panic!("{bad}: {target:?}"));
        let refusal = Refusal::from(refusal.unwrap_err());
        assert_eq!(refusal.code, "TARGET_INVALID", "{bad}");
        assert!(!refusal.message.contains("secret"), "{refusal}");
    }
}

#[test]
fn endpoints_and_names_follow_the_same_rules() {
    let endpoint = Target::endpoint("2001:DB8::1", 443).unwrap();
    assert_eq!(endpoint.text(), "[2001:db8::1]:443");
    assert_eq!(Target::endpoint("[2001:db8::1]", 443), Ok(endpoint));
    let named = Target::endpoint("Mail.Example.org.", 25).unwrap();
    assert_eq!(
        (named.text().as_str(), named.port()),
        ("mail.example.org:25", Some(25))
    );
    assert_eq!(
        Target::domain("bücher.example").unwrap().text(),
        "xn--bcher-kva.example"
    );
    for (host, port) in [
        ("example.org", 0),
        ("example.org", 65536),
        ("example.org", -1),
        ("-x.example", 443),
        ("--help", 443),
        ("", 443),
        ("a/b", 443),
        ("example.org:80", 443),
        ("user@example.org", 443),
    ] {
        assert!(Target::endpoint(host, port).is_err(), "{host}:{port}");
    }
    for bad in [
        "",
        ".",
        "-x.example",
        "1.2.3.4",
        "::1",
        "a b",
        "a,b",
        "http://example.org",
    ] {
        assert!(Target::domain(bad).is_err(), "{bad}");
    }
}

#[test]
fn people_are_plain_words() {
    assert_eq!(
        Target::email("Jo.Doe+x@Example.ORG").unwrap().text(),
        "Jo.Doe+x@example.org"
    );
    assert_eq!(Target::username("jo_doe-7.x").unwrap().text(), "jo_doe-7.x");
    assert_eq!(Target::email("a@example.org").unwrap().host(), None);
    for bad in [
        "@example.org",
        "a@",
        "a@localhost",
        "a@127.0.0.1",
        "-a@example.org",
        "a b@example.org",
        "a\n@example.org",
        "plain",
    ] {
        assert!(Target::email(bad).is_err(), "{bad}");
    }
    for bad in ["", "-x", "--output=/tmp/x", "a/b", "a b", "a\0", &"x".repeat(65)] {
        assert!(Target::username(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_target_survives_the_database_and_its_kind_has_one_word() {
    for target in [
        Target::url("https://example.org/").unwrap(),
        Target::endpoint("example.org", 443).unwrap(),
        Target::domain("example.org").unwrap(),
        Target::email("a@example.org").unwrap(),
        Target::username("jo").unwrap(),
    ] {
        let json = serde_json::to_value(&target).unwrap();
        assert_eq!(json["kind"], target.kind().as_str());
        assert_eq!(serde_json::from_value::<Target>(json).unwrap(), target);
        assert!(!target.text().starts_with('-'));
    }
    for kind in TargetKind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
}
