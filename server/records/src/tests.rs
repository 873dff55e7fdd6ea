//! Every layout, whole and damaged, however the bytes come.

use super::{Ending, Layout, RECORD_BYTES, Records, Row, Source};

/// Bytes in memory, in chunks of any size.
struct Memory<'bytes> {
    bytes: &'bytes [u8],
    position: usize,
    chunk_bytes: usize,
}

/// A source that was told to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("refused")
    }
}

impl std::error::Error for Refused {}

impl Source for Memory<'_> {
    type Error = Refused;
    type Place = (u64, u64);

    fn read(&mut self, max: u32) -> Result<Vec<u8>, Refused> {
        if self.chunk_bytes == 0 {
            return Err(Refused);
        }
        let rest = &self.bytes[self.position..];
        let count = rest.len().min(self.chunk_bytes).min(max as usize);
        self.position += count;
        Ok(rest[..count].to_vec())
    }

    fn rewind(&mut self) -> Result<(), Refused> {
        self.position = 0;
        Ok(())
    }

    fn place(start: u64, end: u64) -> (u64, u64) {
        (start, end)
    }
}

fn open<'bytes>(
    bytes: &'bytes [u8],
    chunk_bytes: usize,
    layout: &Layout,
    fields: &[&str],
) -> Result<Records<Memory<'bytes>>, String> {
    let source = Memory {
        bytes,
        position: 0,
        chunk_bytes,
    };
    let fields: Vec<String> = fields.iter().map(|it| (*it).to_owned()).collect();
    Records::open(source, layout, &fields).map_err(|error| error.message)
}

fn read(bytes: &[u8], chunk_bytes: usize, layout: &Layout, fields: &[&str]) -> (Vec<Row>, Ending) {
    let mut records = open(bytes, chunk_bytes, layout, fields).unwrap();
    let mut all = Vec::new();
    loop {
        let rows = records.next(2, 1000).unwrap();
        assert!(rows.len() <= 2);
        if rows.is_empty() {
            return (all, records.ending().unwrap());
        }
        all.extend(rows);
    }
}

/// Each row as its values with `|` between them, `-` for none and `!` for a problem.
fn shown(rows: &[Row]) -> Vec<String> {
    rows.iter()
        .map(|row| {
            let values = row.values.iter().map(|value| value.as_deref().unwrap_or("-"));
            let problem = row.problem.as_ref().map(|_| "!");
            values.chain(problem).collect::<Vec<_>>().join("|")
        })
        .collect()
}

/// As [`shown`], so short that a failure can be read.
fn cut(rows: &[Row]) -> Vec<String> {
    let texts = shown(rows).into_iter();
    texts.map(|text| text.chars().take(9).collect()).collect()
}

fn array(pointer: &str) -> Layout {
    Layout::JsonArray(pointer.to_owned())
}

fn elements(name: &str) -> Layout {
    Layout::XmlElements(name.to_owned())
}

fn table(header: bool) -> Layout {
    Layout::Csv {
        delimiter: ',',
        header,
    }
}

/// One document, one way to read it, and what comes of it, however the bytes come.
#[track_caller]
fn check(text: &str, layout: &Layout, fields: &[&str], rows: &[&str], ending: Ending) {
    for chunk_bytes in [1, 2, 3, 7, 64, 1 << 20] {
        let (seen, end) = read(text.as_bytes(), chunk_bytes, layout, fields);
        assert_eq!(shown(&seen), rows, "in chunks of {chunk_bytes}");
        assert_eq!(end, ending, "in chunks of {chunk_bytes}");
        if fields.is_empty() && !matches!(layout, Layout::Csv { .. }) {
            for row in seen.iter().filter(|row| row.problem.is_none()) {
                let (start, end) = row.place;
                assert_eq!(
                    text[start as usize..end as usize].trim(),
                    row.values[0].as_deref().unwrap()
                );
            }
        }
    }
}

const SEMGREP: &str = r#"{"version":"1","results":[{"check_id":"a","start":{"line":3},"extra":{"message":"m\n"}},
    {"check_id":"b","start":{"line":4}}, {"check_id":yes}, 7],"errors":[{"x":[]}]}"#;

#[test]
fn elements_of_an_array_come_with_the_fields_asked_for() {
    let fields = ["/check_id", "/start/line", "/extra/message"];
    let rows = ["a|3|m\n", "b|4|-", "!", "-|-|-"];
    check(SEMGREP, &array("/results"), &fields, &rows, Ending::Whole);
    check(SEMGREP, &array("/errors/0/x"), &[], &[], Ending::Whole);
    check(SEMGREP, &array("/errors"), &[], &[r#"{"x":[]}"#], Ending::Whole);
    check("\u{feff}[1, [2]]", &array(""), &[], &["1", "[2]"], Ending::Whole);
}

#[test]
fn an_array_that_is_not_there_is_another_layout() {
    for (text, pointer) in [
        (SEMGREP, "/nothing"),
        (SEMGREP, "/version"),
        (SEMGREP, "/errors/1"),
        (SEMGREP, "/errors/x"),
        (SEMGREP, ""),
        ("<a/>", ""),
        ("[1] 2", "/0"),
    ] {
        check(text, &array(pointer), &[], &[], Ending::Malformed);
    }
    check("[1] 2", &array(""), &[], &["1"], Ending::Malformed);
    check("", &array(""), &[], &[], Ending::Truncated);
}

#[test]
fn lines_are_read_one_by_one_and_a_bad_one_costs_itself() {
    let text = "\u{feff}{\"a\":1}\r\n\n  \n{\"a\":\nnull\n {\"a\":\"x\"} ";
    check(
        text,
        &Layout::JsonLines,
        &["/a"],
        &["1", "!", "-", "x"],
        Ending::Whole,
    );
    check(
        "{\"a\":1}\n{\"a\":",
        &Layout::JsonLines,
        &["/a"],
        &["1"],
        Ending::Truncated,
    );
    check("1\n}", &Layout::JsonLines, &[], &["1", "!"], Ending::Whole);
    check("", &Layout::JsonLines, &[], &[], Ending::Whole);
    let (rows, ending) = read(b"\x1f\x8b\x08\n\n", 1, &Layout::JsonLines, &[]);
    assert_eq!((rows.len(), ending), (0, Ending::Malformed));
}

#[test]
fn elements_of_xml_come_at_any_depth_and_the_outermost_of_nested_ones() {
    let text = r#"<?xml version="1.0"?><r><file name="x"><error id="1"> a &amp; <b/>b<error id="in"/></error></file>
        <error id="2"><location line="5" file="f"/><location line="6"/><note>n</note></error><error/></r>"#;
    let fields = ["@id", ".", "location/@line", "note", "error/@id"];
    let rows = ["1|a & b|-|-|in", "2||5|n|-", "-||-|-|-"];
    check(text, &elements("error"), &fields, &rows, Ending::Whole);
    check(text, &elements("note"), &[], &["<note>n</note>"], Ending::Whole);
    check(text, &elements("none"), &[], &[], Ending::Whole);
    check(
        "<a><e>1</e><e>2",
        &elements("e"),
        &["."],
        &["1"],
        Ending::Truncated,
    );
    check(
        "<a><e>1</b></e><e>2</e></a>",
        &elements("e"),
        &["."],
        &["!", "2"],
        Ending::Whole,
    );
    check("{}", &elements("e"), &[], &[], Ending::Malformed);
}

#[test]
fn rows_of_a_table_come_by_name_or_number() {
    let text = "id,text,x\r\n1,\"a,\n\"\"b\"\"\",é\r\n\r\n2\n3,c,d,e\n";
    let fields = ["text", "id", "none"];
    check(
        text,
        &table(true),
        &fields,
        &["a,\n\"b\"|1|-", "-|2|-", "c|3|-"],
        Ending::Whole,
    );
    check(
        "a,b\n1,2",
        &table(false),
        &["1", "7"],
        &["b|-", "2|-"],
        Ending::Whole,
    );
    check("a,b\n1,\"2", &table(true), &["b"], &[], Ending::Truncated);
    check("a,b\n1,\"2\"\n", &table(true), &[], &["1,\"2\""], Ending::Whole);
    check("", &table(true), &["a"], &[], Ending::Whole);
}

#[test]
fn every_cut_of_a_document_gives_what_was_whole_before_it() {
    let xml = "<r><e id=\"1\">a</e><e id=\"2\">b</e></r>";
    let lines = "{\"a\":1}\n{\"a\":[2,3]}\n";
    for (text, layout, fields) in [
        (SEMGREP, array("/results"), &["/check_id"][..]),
        (lines, Layout::JsonLines, &["/a"]),
        (xml, elements("e"), &["@id", "."]),
        ("a,b\n1,2\n\"3\n\",4\n", table(true), &["a", "b"]),
    ] {
        let (whole, _) = read(text.as_bytes(), 1 << 20, &layout, fields);
        for cut in 0..text.len() {
            let (rows, ending) = read(&text.as_bytes()[..cut], 5, &layout, fields);
            let same = rows
                .iter()
                .zip(&whole)
                .take_while(|(row, whole)| row == whole)
                .count();
            // only the last row may be another one: a table's last field has no end of its own
            assert!(same + 1 >= rows.len(), "{layout:?} cut at {cut}");
            assert!(
                matches!(layout, Layout::Csv { .. }) || same == rows.len(),
                "{layout:?} cut at {cut}"
            );
            assert_ne!(ending, Ending::Malformed, "{layout:?} cut at {cut}");
        }
    }
}

#[test]
fn a_record_that_is_too_large_or_too_deep_costs_itself_alone() {
    let large = "x".repeat(RECORD_BYTES + 1);
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let chunk_bytes = 256 * 1024;
    let text = format!("[1,\"{large}\",{deep},2]");
    let (rows, ending) = read(text.as_bytes(), chunk_bytes, &array(""), &[]);
    assert_eq!(cut(&rows), ["1", "!", "!", "2"]);
    assert_eq!(ending, Ending::Whole);
    let text = format!("1\n\"{large}\"\n2\n");
    let (rows, _) = read(text.as_bytes(), chunk_bytes, &Layout::JsonLines, &[]);
    assert_eq!(cut(&rows), ["1", "!", "2"]);
    assert_eq!(rows[2].place, (text.len() as u64 - 2, text.len() as u64 - 1));
    let text = format!("<r><e>1</e><e>{large}</e><e>2</e></r>");
    let (rows, _) = read(text.as_bytes(), chunk_bytes, &elements("e"), &["."]);
    assert_eq!(cut(&rows), ["1", "!", "2"]);
    let text = format!("a\n1\n{large}\n2\n");
    let (rows, _) = read(text.as_bytes(), chunk_bytes, &table(true), &["a"]);
    assert_eq!(cut(&rows), ["1", "!", "2"]);
}

/// A large record between two small ones: alone it fits, asked for twice it does not, for any number of
/// fields, and what follows comes all the same.
#[track_caller]
fn check_bound(text: &str, layout: &Layout, once: &[&str], often: &[&str]) {
    let (rows, ending) = read(text.as_bytes(), 256 * 1024, layout, once);
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.problem.is_none()), "{layout:?}");
    assert!(rows[1].bytes() > RECORD_BYTES - 1000);
    assert_eq!(ending, Ending::Whole);
    let (whole, _) = read(text.as_bytes(), 256 * 1024, layout, often);
    assert_eq!(whole.len(), 3);
    let problem = format!("it has fields of more than {RECORD_BYTES} bytes together");
    assert_eq!(whole[1], Row::unreadable(rows[1].place, problem), "{layout:?}");
    for small in [0, 2] {
        assert_eq!(whole[small].problem, None);
        assert_eq!(whole[small].values.len(), often.len());
    }
}

#[test]
fn a_record_whose_fields_are_asked_for_too_often_costs_itself_alone() {
    let large = "x".repeat(RECORD_BYTES - 500);
    let object = format!("{{\"a\":{{\"a\":[\"{large}\"]}}}}");
    let array_text = format!("[{{\"a\":1}},{object},3]");
    let lines = format!("{{\"a\":1}}\n{object}\n3\n");
    let mut nested = vec!["", "/a", "/a/a", "/a/a/0"];
    for (text, layout) in [(&array_text, array("")), (&lines, Layout::JsonLines)] {
        for (once, often) in [
            ("/a", &["/a"; 100][..]),
            ("", &[""; 100]),
            ("/a/a/0", &["/a/a/0"; 2]),
            ("", &nested),
        ] {
            check_bound(text, &layout, &[once], often);
        }
        nested.reverse();
        check_bound(text, &layout, &[], &nested);
    }
    let xml = format!("<r><e i=\"1\">1</e><e i=\"2\"><b/>{large}</e><e i=\"3\">3</e></r>");
    check_bound(&xml, &elements("e"), &[".", "@i"], &["."; 100]);
    check_bound(&xml, &elements("e"), &[], &[".", "."]);
    let csv = format!("1,a\n\"{large}\"\"\",b\n3,c\n");
    check_bound(&csv, &table(false), &["0", "1"], &["0"; 100]);
    check_bound(&csv, &table(false), &[], &["0", "1", "0"]);
}

#[test]
fn a_key_that_comes_again_and_a_record_that_was_cut_off_are_what_they_were() {
    let half = "x".repeat(RECORD_BYTES / 3);
    let again = format!("{{\"a\":\"{half}\",\"a\":\"{half}\"}}\n");
    let (rows, _) = read(again.as_bytes(), 1 << 20, &Layout::JsonLines, &["/a", "/a"]);
    assert_eq!(rows[0].problem, None);
    let cut_off = format!("1\n{{\"a\":\"{half}\",\"b\":[");
    let (rows, ending) = read(cut_off.as_bytes(), 1 << 20, &Layout::JsonLines, &["/a"; 100]);
    assert_eq!((rows.len(), ending), (1, Ending::Truncated));
}

#[test]
fn characters_that_are_replaced_count_as_what_they_become() {
    let damaged = [&b"[\""[..], &vec![0xff; RECORD_BYTES / 2], b"\",1]"].concat();
    for fields in [&[][..], &[""]] {
        let (rows, ending) = read(&damaged, 1 << 20, &array(""), fields);
        assert_eq!(cut(&rows), ["!", "1"]);
        assert_eq!(ending, Ending::Whole);
    }
}

#[test]
fn an_open_never_ends_in_recursion_whatever_is_nested() {
    for (text, layout) in [
        ("[".repeat(1_000_000), array("/0/0/0")),
        ("{\"a\":".repeat(200_000), array("/a/a")),
        ("<a>".repeat(300_000), elements("b")),
        ("<a>".repeat(300_000), elements("a")),
        ("[".repeat(1_000_000), Layout::JsonLines),
    ] {
        let (rows, ending) = read(text.as_bytes(), 4096, &layout, &[]);
        assert!(rows.len() <= 1, "{layout:?}: {} rows, {ending:?}", rows.len());
    }
}

#[test]
fn a_page_ends_with_its_rows_or_its_bytes() {
    let text = format!("[{}1]", "\"xxxxxxxx\",".repeat(50));
    let mut records = open(text.as_bytes(), 1 << 20, &array(""), &[""]).unwrap();
    assert_eq!(records.next(10, 1000).unwrap().len(), 10);
    assert_eq!(records.next(100, 20).unwrap().len(), 3);
    assert_eq!(records.next(100, 1).unwrap().len(), 1);
    assert_eq!(records.ending(), None);
    assert_eq!(records.next(100, 1000).unwrap().len(), 37);
    assert_eq!(records.ending(), Some(Ending::Whole));
    assert!(records.next(100, 1000).unwrap().is_empty());
}

#[test]
fn what_cannot_be_asked_for_is_told_before_anything_is_read() {
    for (layout, fields) in [
        (array("results"), &[][..]),
        (array(""), &["check_id"]),
        (Layout::JsonLines, &["/~"]),
        (elements(""), &[]),
        (elements("a"), &["/b"]),
        (table(false), &["name"]),
        (table(false), &["1024"]),
        (
            Layout::Csv {
                delimiter: '"',
                header: true,
            },
            &[],
        ),
        (
            Layout::Csv {
                delimiter: 'é',
                header: true,
            },
            &[],
        ),
        (Layout::JsonLines, &["/a"; 101]),
    ] {
        assert!(open(b"", 0, &layout, fields).is_err(), "{layout:?} {fields:?}");
    }
}

#[test]
fn a_source_that_refuses_ends_the_call_with_its_own_error() {
    for layout in [array(""), Layout::JsonLines, elements("a"), table(true)] {
        let mut records = open(b"", 0, &layout, &[]).unwrap();
        assert_eq!(records.next(1, 1), Err(Refused), "{layout:?}");
        assert_eq!(records.into_source().position, 0);
    }
}
