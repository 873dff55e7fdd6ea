//! Documents of every kind, in chunks of every size.

use crate::memory::MemoryInput;
use crate::xml::{Step, XmlError, XmlReader};

/// Each with a space in front.
fn listed(parts: impl Iterator<Item = String>) -> String {
    parts.flat_map(|part| [" ".to_owned(), part]).collect()
}

/// Walks a document and writes down what comes.
fn walked(bytes: &[u8], chunk_bytes: usize) -> (Vec<String>, Option<XmlError>) {
    let mut input = MemoryInput::new("report", bytes).with_chunk_bytes(chunk_bytes);
    let mut seen = Vec::new();
    let mut reader = match XmlReader::open(&mut input) {
        Ok(reader) => reader,
        Err(error) => return (seen, Some(error)),
    };
    loop {
        match reader.step(&["item", "x:item"]) {
            Ok(None) => return (seen, None),
            Err(error) => return (seen, Some(error)),
            Ok(Some(Step::Open(node))) => {
                let attributes = listed(node.attributes().map(|(key, value)| format!("{key}={value}")));
                seen.push(format!("<{}{attributes}", node.name()));
            }
            Ok(Some(Step::Close(name))) => seen.push(format!("{name}>")),
            Ok(Some(Step::Lost { name, code, span, .. })) => {
                seen.push(format!("{code} {name} {}+{}", span.offset, span.length));
            }
            Ok(Some(Step::Tree {
                node,
                span,
                repaired,
                unknown_entity,
            })) => {
                let attributes = listed(node.attributes().map(|(key, value)| format!("{key}={value}")));
                let place = span.offset as usize..(span.offset + span.length) as usize;
                if !repaired {
                    assert!(bytes[place.clone()].starts_with(b"<item") && bytes[place].ends_with(b">"));
                }
                let children = listed(
                    node.children()
                        .map(|child| format!("{}:{}", child.name(), child.text())),
                );
                let odd = if repaired || unknown_entity { " odd" } else { "" };
                seen.push(format!(
                    "{}{attributes}{children} [{}] {}+{}{odd}",
                    node.name(),
                    node.text(),
                    span.offset,
                    span.length
                ));
            }
        }
    }
}

#[track_caller]
fn check(bytes: &[u8], expected: &[&str], error: Option<&str>) {
    for chunk_bytes in [1, 2, 3, 7, 64, 1 << 20] {
        let (seen, stopped) = walked(bytes, chunk_bytes);
        assert_eq!(seen, expected, "in chunks of {chunk_bytes}");
        let stopped = stopped.map(|error| error.to_string());
        assert_eq!(stopped.as_deref(), error, "in chunks of {chunk_bytes}");
    }
}

#[test]
fn a_byte_order_mark_in_the_middle_is_nothing() {
    let mark = "\u{feff}";
    let text = format!("<scan>{mark}{mark}<item>x</item>{mark}<host/>{mark}\n<item/>{mark}é</scan>{mark}");
    let seen = [
        "<scan",
        "item [x] 12+14",
        "<host",
        "host>",
        "item [] 40+7",
        "scan>",
    ];
    check(text.as_bytes(), &seen, None);
}

#[test]
fn records_come_whole_and_the_envelope_in_steps() {
    check(
        b"<?xml version='1.0'?>\n<!DOCTYPE scan SYSTEM \"scan.dtd\">\n<!-- made --><scan a=\"1&amp;2\"><host/>\
          <item n='1'><a>x &lt;&#65;<![CDATA[<b>]]></a><b>y</b> own </item><other><item/></other></scan>\n",
        &[
            "<scan a=1&2",
            "<host",
            "host>",
            "item n=1 a:x <A<b> b:y [own] 94+65",
            "<other",
            "item [] 166+7",
            "other>",
            "scan>",
        ],
        None,
    );
}

#[test]
fn a_malformed_record_costs_itself() {
    check(
        b"<scan><item>1</item><item><a>2</b></item><item>3</item><item a=b/><item>4</item></scan>",
        &[
            "<scan",
            "item [1] 6+14",
            "record-unreadable item 20+21",
            "item [3] 41+14",
            "record-unreadable item 55+11",
            "item [4] 66+14",
            "scan>",
        ],
        None,
    );
    check(
        b"<scan><list><item><a>1</list><list><item>2</item></list></scan>",
        &[
            "<scan",
            "<list",
            "record-unreadable item 12+10",
            "list>",
            "<list",
            "item [2] 35+14",
            "list>",
            "scan>",
        ],
        None,
    );
}

#[test]
fn a_lost_quote_costs_one_record() {
    check(
        b"<scan><item a=\"1>x</item><item a=\"2\">y</item><item a=\"3\">z</item></scan>",
        &[
            "<scan",
            "record-unreadable item 6+19",
            "item a=2 [y] 25+20",
            "item a=3 [z] 45+20",
            "scan>",
        ],
        None,
    );
}

#[test]
fn large_and_deep_records_are_passed_over() {
    let deep = format!(
        "<scan><item>{}{}</item><item>2</item></scan>",
        "<a>".repeat(100),
        "</a>".repeat(100)
    );
    for chunk_bytes in [1, 100, 1 << 20] {
        let (seen, error) = walked(deep.as_bytes(), chunk_bytes);
        assert_eq!(
            seen,
            ["<scan", "record-too-deep item 6+713", "item [2] 719+14", "scan>"]
        );
        assert_eq!(error, None);
    }
    let large = format!("<scan><item>{}</item><item>2</item></scan>", "x".repeat(9 << 20));
    for chunk_bytes in [4096, 1 << 20] {
        let (seen, error) = walked(large.as_bytes(), chunk_bytes);
        assert!(
            seen == [
                "<scan",
                "record-too-large item 6+9437197",
                "item [2] 9437203+14",
                "scan>"
            ]
        );
        assert_eq!(error, None);
    }
}

#[test]
fn an_early_end_is_told_apart_from_damage() {
    let text = b"<scan><item>1</item><item>2</item></scan>";
    for end in 7..text.len() - 1 {
        for chunk_bytes in [1, 100] {
            let (_, error) = walked(&text[..end], chunk_bytes);
            assert_eq!(error, Some(XmlError::Ended { offset: end as u64 }), "{end}");
        }
    }
    check(
        b"",
        &[],
        Some("the input has no content (0 bytes of white space)"),
    );
    check(
        b"<scan></other>",
        &["<scan"],
        Some("not XML at byte 6: `</other>` where `</scan>` should be"),
    );
    check(
        b"x<scan/>",
        &[],
        Some("not XML at byte 0: text in front of the root element"),
    );
    check(
        b"<scan/>\n<?xml version=\"1.0\"?><scan/>",
        &["<scan", "scan>"],
        Some("the document ends before byte 8, but another document follows"),
    );
}

#[test]
fn other_encodings_are_decoded_or_named() {
    check(
        b"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><s><item>\xc3\xa9</item></s>",
        &["<s", "item [\u{e9}] 44+15", "s>"],
        None,
    );
    check(
        b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><s b=\"\xe9\"><item>\xe9</item><item/></s>",
        &["<s b=\u{e9}", "item [\u{e9}] 52+14", "item [] 66+7", "s>"],
        None,
    );
    check(
        b"<?xml version=\"1.0\" encoding=\"EUC-JP\"?><s/>",
        &[],
        Some("the input is EUC-JP, not UTF-8"),
    );
    check(
        b"<s><item>\xe9x</item><item>&nbsp;&x</item></s>",
        &[
            "<s",
            "item [\u{fffd}x] 3+15 odd",
            "item [&nbsp;&x] 18+21 odd",
            "s>",
        ],
        None,
    );
    check(b"<s a='\xe9'/>", &[], Some("bytes that are not UTF-8 at byte 0"));
}

#[test]
fn hostile_documents_get_their_good_answers() {
    for (name, steps, good) in [
        (
            "attributes-50k",
            0,
            "an element with more than 256 attributes at byte 0",
        ),
        (
            "billion-laughs",
            0,
            "the document declares entities in its DOCTYPE at byte 21, which no report needs",
        ),
        ("control-chars", 3, ""),
        (
            "declared-utf8-is-latin1",
            0,
            "bytes that are not UTF-8 at byte 38",
        ),
        ("deep-100k", 64, "nested deeper than 64 levels at byte 192"),
        (
            "external-entity-file",
            0,
            "the document declares entities in its DOCTYPE at byte 21, which no report needs",
        ),
        ("external-entity-http", 2, ""),
        (
            "parameter-entity",
            0,
            "the document declares entities in its DOCTYPE at byte 21, which no report needs",
        ),
        (
            "quadratic-blowup",
            0,
            "the document declares entities in its DOCTYPE at byte 21, which no report needs",
        ),
        ("truncated", 4, "the input ends at byte 107, inside the document"),
        (
            "two-roots",
            2,
            "the document ends before byte 33, but another root follows",
        ),
        ("utf16", 0, "the input is UTF-16LE, not UTF-8"),
    ] {
        let path = format!("{}/cases/xml/{name}.xml.gz", env!("CARGO_MANIFEST_DIR"));
        let packed = std::fs::read(&path).expect(&path);
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut bytes)
            .expect("gzip");
        for chunk_bytes in [97, 1 << 20] {
            let (seen, error) = walked(&bytes, chunk_bytes);
            assert_eq!(
                error.map_or_else(String::new, |error| error.to_string()),
                good,
                "{name}"
            );
            assert_eq!(seen.len(), steps, "{name}: {seen:?}");
        }
    }
}
