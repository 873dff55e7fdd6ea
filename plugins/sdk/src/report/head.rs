//! A cheap look at an input's beginning, taken once for all formats of a plugin.
//!
//! Formats are told apart by the keys of their outer objects and their first records. A [`Head`] holds
//! those of the first [`HEAD_BYTES`]; when no format is content with them, the driver reads on through
//! the whole document, if the input can be rewound.

use super::head_json::{self, Paths};
use super::peek::PeekedInput;
use crate::host::Input;
use crate::json::{JsonError, JsonReader, Kind};
use crate::limits::HEAD_BYTES;
use crate::model::IoError;
use crate::text::clean_line;
use crate::xml::{Step, XmlError, XmlReader};

/// Bytes of a first line that are kept.
const LINE_BYTES: usize = 8 * 1024;

/// Content that a message quotes, in bytes.
const QUOTE_BYTES: usize = 40;

/// Lines that may stand in front of JSON lines: a tool's log.
const LOG_LINES_MAX: usize = 64;

/// Elements of an XML document that are looked at.
const ELEMENTS_MAX: usize = 400;

/// Whether a beginning is no text. One odd byte in a later line is damage, which costs that line.
fn is_binary(start: &[u8]) -> bool {
    let mut lines = start.split(|&byte| byte == b'\n');
    let first = lines.find(|line| !line.trim_ascii().is_empty()).unwrap_or(start);
    first.contains(&0) || start.contains(&0) && str::from_utf8(first).is_err()
}

/// What an input is, from the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One JSON object, or several that are each laid out on many lines. A JSON-lines file of one line
    /// is one, too.
    Object,
    /// One JSON array.
    Array,
    /// Several lines that are a JSON object each, perhaps with lines of a log in front.
    Lines,
    /// XML, or HTML.
    Xml,
    /// Other text.
    Text,
    /// No text.
    Binary,
}

/// What is known of an input after a look at its beginning.
#[derive(Debug)]
pub struct Head {
    shape: Shape,
    paths: Paths,
    attributes: Vec<(String, String)>,
    doctype: Option<String>,
    first_line: String,
    start: Vec<u8>,
    /// Whether the first JSON document has no line ends in it, as far as it was looked at.
    one_line: bool,
    /// Whether the look saw all there is to see.
    complete: bool,
    /// Why the look ended before the document did, other than for its own limit.
    problem: Option<Problem>,
}

/// What is wrong with a document, as its head shows.
#[derive(Debug)]
pub(super) enum Problem {
    /// It ends inside.
    Ended(String),
    /// No plugin can read it.
    Refused(String),
    /// It is not what it began as.
    Wrong(String),
}

impl Head {
    /// Looks at an input, which is then still at its first byte.
    pub(super) fn read(input: &mut PeekedInput<'_>) -> Result<Self, JsonError> {
        let (start, whole) = input
            .look(HEAD_BYTES)
            .map_err(|source| JsonError::Io { offset: 0, source })?;
        let mut bytes = SliceInput::new(&start);
        let first = match JsonReader::open(&mut bytes) {
            Ok(mut reader) => reader.ahead(1)?.first().copied().unwrap_or_default(),
            Err(JsonError::Empty { .. }) if !whole => b' ',
            Err(error) => return Err(error),
        };
        let mut head = Self {
            shape: Shape::Text,
            paths: Paths::default(),
            attributes: Vec::new(),
            doctype: None,
            first_line: first_line(&start),
            start: Vec::new(),
            one_line: false,
            complete: whole,
            problem: None,
        };
        match first {
            b'{' | b'[' => head.look_at_json(&start, first, whole),
            b'<' => head.look_at_xml(&start, whole),
            _ if is_binary(&start) => head.shape = Shape::Binary,
            _ => {
                head.look_at_lines(&start);
            }
        }
        head.start = start;
        head.start.truncate(LINE_BYTES);
        Ok(head)
    }

    /// Looks through the whole of a large JSON document, from its first byte.
    pub(super) fn read_on(&mut self, input: &mut dyn Input) {
        if let Ok(mut reader) = JsonReader::open(input) {
            let mut paths = Paths::default();
            // What is wrong with it will be found again by whoever reads it.
            let _ = head_json::collect(&mut reader, &mut paths);
            self.paths = paths;
            self.complete = true;
        }
    }

    /// Whether a look at the whole could tell more.
    pub(super) fn may_go_on(&self) -> bool {
        !self.complete && self.problem.is_none() && matches!(self.shape, Shape::Object | Shape::Array)
    }

    pub(super) fn is_one_line(&self) -> bool {
        self.one_line
    }

    pub(super) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// What it is from the outside.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Whether the document has something at a path of keys: `results[].test_id` for JSON,
    /// `nmaprun.host` for XML. `[]` is any of an array's first elements, `*` any key of an object. For
    /// JSON lines the paths are those of the first line.
    pub fn has(&self, path: &str) -> bool {
        self.paths.find(path).is_some()
    }

    /// How many of some paths it has: for formats whose keys are each too common to tell them.
    pub fn count(&self, paths: &[&str]) -> usize {
        paths.iter().filter(|path| self.has(path)).count()
    }

    /// Whether it has all of some paths.
    pub fn has_all(&self, paths: &[&str]) -> bool {
        paths.iter().all(|path| self.has(path))
    }

    /// Whether it has one of some paths.
    pub fn has_any(&self, paths: &[&str]) -> bool {
        paths.iter().any(|path| self.has(path))
    }

    /// What stands at a path.
    pub fn kind(&self, path: &str) -> Option<Kind> {
        self.paths.find(path).map(|found| found.kind)
    }

    /// The short text at a path: a string, or a number or word as it is written.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.paths.find(path)?.text.as_deref()
    }

    /// Whether it is a JSON object or array with nothing in it.
    pub fn is_empty(&self) -> bool {
        matches!(self.shape, Shape::Object | Shape::Array)
            && self.complete
            && self.problem.is_none()
            && self.paths.is_empty()
    }

    /// The name of an XML document's root element; empty for other documents.
    pub fn root(&self) -> &str {
        if self.shape == Shape::Xml {
            self.paths.first_key()
        } else {
            ""
        }
    }

    /// An attribute of an XML document's root element.
    pub fn root_attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The name that an XML document's `DOCTYPE` has.
    pub fn doctype(&self) -> Option<&str> {
        self.doctype.as_deref()
    }

    /// The first line that is not blank, without its byte-order mark and line end.
    pub fn line(&self) -> &str {
        &self.first_line
    }

    /// The first lines, as far as they are looked at, without a byte-order mark.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let start = self.start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.start);
        let lines = start.split(|&byte| byte == b'\n');
        lines.map_while(|line| str::from_utf8(line).ok())
    }

    /// The separator of a table, by its first line.
    pub fn separator(&self) -> u8 {
        crate::csv::separator(&self.first_line)
    }

    /// Whether the first line names some columns.
    pub fn has_columns(&self, columns: &[&str]) -> bool {
        if self.shape != Shape::Text {
            return false;
        }
        let separator = char::from(self.separator());
        let names: Vec<_> = self
            .first_line
            .split(separator)
            .map(|name| name.trim().trim_matches('"'))
            .collect();
        columns.iter().all(|column| names.contains(column))
    }

    /// Whether the input begins with some bytes.
    pub fn starts_with(&self, bytes: &[u8]) -> bool {
        self.start.starts_with(bytes)
    }

    /// What it is, for a message: `it is an array of objects with the keys …`.
    pub fn describe(&self) -> String {
        let keys = self.paths.keys_shown();
        let quoted = clean_line(&self.first_line, QUOTE_BYTES).text;
        match self.shape {
            Shape::Object if keys.is_empty() => "it is an empty object".to_owned(),
            Shape::Object => format!("it is an object with {keys}"),
            Shape::Array if keys.is_empty() => "it is an array".to_owned(),
            Shape::Array => format!("it is an array of objects with {keys}"),
            Shape::Lines => format!("its lines are objects with {keys}"),
            Shape::Xml if self.root().is_empty() => format!("it is XML or HTML, starting with `{quoted}`"),
            Shape::Xml => format!("it is XML or HTML with the root `{}`", self.root()),
            Shape::Binary => "it is binary data".to_owned(),
            Shape::Text if quoted.is_empty() => "it is binary data".to_owned(),
            Shape::Text => format!("it is text, starting with `{quoted}`"),
        }
    }

    fn look_at_json(&mut self, start: &[u8], first: u8, whole: bool) {
        self.shape = if first == b'{' {
            Shape::Object
        } else {
            Shape::Array
        };
        let mut bytes = SliceInput::new(start);
        let Ok(mut reader) = JsonReader::open(&mut bytes) else {
            return;
        };
        let collected = head_json::collect(&mut reader, &mut self.paths);
        let end = usize::try_from(reader.offset()).unwrap_or(start.len());
        let document = start.get(..end).unwrap_or(start).trim_ascii_start();
        self.one_line = !document.contains(&b'\n');
        let ended = match collected {
            Ok(()) => {
                let more_lines = matches!(reader.ahead(QUOTE_BYTES), Ok(rest) if next_line_is_object(rest));
                if self.shape == Shape::Object && self.one_line && more_lines {
                    self.shape = Shape::Lines;
                } else {
                    self.complete = true;
                }
                return;
            }
            Err(JsonError::Ended { .. }) if !whole => return,
            Err(JsonError::Ended { offset }) => Problem::Ended(JsonError::Ended { offset }.to_string()),
            Err(error) => Problem::Wrong(error.to_string()),
        };
        // The first line may be the damaged one.
        if self.look_at_lines(start) {
            return;
        }
        // `[INFO] …` and `[Status=200] …` are lines of a text, which no object follows.
        if self.shape == Shape::Array
            && matches!(ended, Problem::Wrong(_))
            && self.paths.keys_shown().is_empty()
        {
            self.shape = Shape::Text;
            self.paths = Paths::default();
            return;
        }
        self.problem = Some(ended);
    }

    /// Whether one of the first lines is a whole JSON object.
    fn look_at_lines(&mut self, start: &[u8]) -> bool {
        let lines = start.split(|&byte| byte == b'\n').take(LOG_LINES_MAX);
        for line in lines.filter(|line| line.starts_with(b"{")) {
            let mut bytes = SliceInput::new(line);
            let mut paths = Paths::default();
            let read = JsonReader::open(&mut bytes).and_then(|mut reader| {
                head_json::collect(&mut reader, &mut paths)?;
                reader.finish()
            });
            if read.is_ok() {
                self.paths = paths;
                self.shape = Shape::Lines;
                return true;
            }
        }
        false
    }

    fn look_at_xml(&mut self, start: &[u8], whole: bool) {
        self.shape = Shape::Xml;
        let mut bytes = SliceInput::new(start);
        let problem = match XmlReader::open(&mut bytes) {
            Ok(mut reader) => {
                let problem = self.look_at_elements(&mut reader).err();
                self.doctype = reader.doctype().map(str::to_owned);
                problem
            }
            Err(error) => Some(error),
        };
        self.problem = match problem {
            Some(XmlError::Ended { .. }) if !whole => None,
            Some(error @ XmlError::Ended { .. }) => Some(Problem::Ended(error.to_string())),
            Some(error) if error.refuses_the_document() => Some(Problem::Refused(error.to_string())),
            Some(error) => Some(Problem::Wrong(error.to_string())),
            None => None,
        };
    }

    fn look_at_elements(&mut self, reader: &mut XmlReader<'_>) -> Result<(), XmlError> {
        let mut path: Vec<String> = Vec::new();
        for _ in 0..ELEMENTS_MAX {
            match reader.step(&[])? {
                Some(Step::Open(node)) => {
                    if path.is_empty() {
                        let pairs = node.attributes();
                        self.attributes = pairs
                            .map(|(key, value)| (key.to_owned(), value.to_owned()))
                            .collect();
                    }
                    path.push(node.name().to_owned());
                    self.paths.add(&path, Kind::Object, None);
                }
                Some(Step::Close(_)) => {
                    path.pop();
                }
                Some(_) => {}
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Whether what follows a document is the next line's.
fn next_line_is_object(rest: &[u8]) -> bool {
    let trimmed = rest.trim_ascii_start();
    trimmed.len() < rest.len() && trimmed.starts_with(b"{")
}

fn first_line(start: &[u8]) -> String {
    let text = start
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(start)
        .trim_ascii_start();
    let line = text
        .split(|&byte| matches!(byte, b'\n' | b'\r'))
        .next()
        .unwrap_or_default();
    let line = &line[..line.len().min(LINE_BYTES)];
    let text = match str::from_utf8(line) {
        Ok(text) => text,
        // The limit may lie inside a character.
        Err(error) => str::from_utf8(&line[..error.valid_up_to()]).unwrap_or_default(),
    };
    text.trim_end().to_owned()
}

/// Bytes as an input that can be read once.
struct SliceInput<'bytes>(&'bytes [u8]);

impl<'bytes> SliceInput<'bytes> {
    fn new(bytes: &'bytes [u8]) -> Self {
        Self(bytes)
    }
}

impl Input for SliceInput<'_> {
    fn name(&self) -> String {
        String::new()
    }

    fn media_type(&self) -> Option<String> {
        None
    }

    fn size(&self) -> Option<u32> {
        None
    }

    fn read(&mut self, max: u32) -> Result<Vec<u8>, IoError> {
        let (chunk, rest) = self.0.split_at(self.0.len().min(max as usize));
        self.0 = rest;
        Ok(chunk.to_vec())
    }

    fn rewind(&mut self) -> Result<(), IoError> {
        Err(IoError::Unavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::{Head, PeekedInput, Shape};
    use crate::memory::MemoryInput;

    fn head(text: &str) -> Head {
        let mut input = MemoryInput::new("report", text.as_bytes()).with_chunk_bytes(7);
        Head::read(&mut PeekedInput::new(&mut input)).expect("text")
    }

    #[track_caller]
    fn check(text: &str, shape: Shape, paths: &[&str]) {
        let head = head(text);
        assert_eq!(head.shape(), shape, "{text}");
        for path in paths {
            assert!(head.has(path), "{path} in {text}");
        }
    }

    #[test]
    fn every_shape_shows_its_keys() {
        check(
            r#"{"version":"2.1.0","runs":[{"tool":{"driver":{}}},{"results":[]}]}"#,
            Shape::Object,
            &[
                "version",
                "runs[].tool.driver",
                "runs[].results",
                "runs[].*",
                "runs[]",
            ],
        );
        check(r#"[{"a":1},{"b":[[2]]}]"#, Shape::Array, &["[].a", "[].b[][]"]);
        check("{\"a\":1}\n\r\n{\"b\":2}", Shape::Lines, &["a"]);
        check("{\"a\":1}\n", Shape::Object, &["a"]);
        check("starting\n{\"a\":{\"b\":1}}\n{\"c\":2}", Shape::Lines, &["a.b"]);
        check("{\"a\n{\"b\":1}\n{\"b\":2}", Shape::Lines, &["b"]);
        check("WARN: cold\n{\n \"a\": 1\n}", Shape::Text, &[]);
        check("[INFO] cold\n[Status=200] /a", Shape::Text, &[]);
        check("[10:00:00] [INFO] cold\n", Shape::Text, &[]);
        check("id,name\n1,2", Shape::Text, &[]);
        check("ab\0c", Shape::Binary, &[]);
        check(
            "<?xml version='1.0'?><!DOCTYPE n><n v='1'><host><a/></host></n>",
            Shape::Xml,
            &["n.host.a", "n"],
        );
    }

    #[test]
    fn short_texts_and_attributes_are_kept() {
        let json = head(r#"{"version":"2.1.0","number":-2.5,"deep":{"tool":"x"},"long":[]}"#);
        assert_eq!(json.text("version"), Some("2.1.0"));
        assert_eq!(json.text("number"), Some("-2.5"));
        assert_eq!(json.text("deep.tool"), Some("x"));
        assert_eq!((json.text("long"), json.has("long[]")), (None, false));
        let xml = head("<!DOCTYPE nmaprun><nmaprun scanner=\"nmap\"><host/></nmaprun>");
        assert_eq!((xml.root(), xml.doctype()), ("nmaprun", Some("nmaprun")));
        assert_eq!(xml.root_attribute("scanner"), Some("nmap"));
        assert!(head("\u{feff}\"id\";\"name\"\r\n").has_columns(&["id", "name"]));
        assert!(!head("id,name").has_columns(&["id", "none"]));
        assert!(head("[]").is_empty() && head(" [ ]\n").is_empty() && !head("[[]]").is_empty());
    }
}
