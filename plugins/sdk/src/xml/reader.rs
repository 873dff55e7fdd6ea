//! The walk through a document's envelope.

use quick_xml::Reader;
use quick_xml::errors::{Error, SyntaxError};
use quick_xml::events::{BytesStart, Event};

use super::decode::{Text, declared_encoding};
use super::error::XmlError;
use super::tree::{Node, Tree, Unfit};
use crate::json::stream::{foreign_encoding, foreign_format};
use crate::limits::{RECORD_BYTES, XML_ATTRIBUTES, XML_DEPTH, XML_NODES};
use crate::reader::{ChunkReader, Source};

/// Where a declaration has to end: it has three short attributes.
const DECLARATION_BYTES: usize = 512;

/// At the start of a document it says that the text is UTF-8, elsewhere nothing at all.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A name in a message; honest ones are shorter.
const NAME_BYTES: usize = 100;

/// The longest keyword that follows `<!`; fewer bytes may still become one.
const KEYWORD_BYTES: usize = "<![CDATA[".len();

/// What the walk comes to next.
pub enum Step<'reader, P> {
    /// An element of the envelope begins: its name and attributes, without what is in it.
    Open(Node<'reader>),
    /// An element of the envelope ends.
    Close(&'reader str),
    /// An element that was asked for, whole.
    Tree {
        /// The element and everything in it.
        node: Node<'reader>,
        /// Where it stood.
        span: P,
        /// Whether bytes that are not UTF-8 were replaced by U+FFFD.
        repaired: bool,
        /// Whether it refers to an entity that is not one of XML's own; the reference stays as text.
        unknown_entity: bool,
    },
    /// An element that was asked for and cannot be read; the walk goes on behind it.
    Lost {
        /// The element's name.
        name: &'reader str,
        /// From its start to where the walk goes on.
        span: P,
        /// A stable word such as `record-unreadable`.
        code: &'static str,
        /// Why.
        problem: String,
    },
}

/// As [`Step`], with what it borrows still in the reader.
enum Found<P> {
    Open,
    Close,
    Tree {
        span: P,
        repaired: bool,
    },
    Lost {
        span: P,
        code: &'static str,
        problem: String,
    },
    End,
}

/// What a look at the window comes to.
enum Scan<P> {
    Found(Found<P>),
    /// Nothing yet; some of the window may be done with.
    More,
    /// The record at the reader's place cannot be kept.
    Bad {
        name: String,
        code: &'static str,
        problem: String,
    },
}

/// Reads one document from an input; see [`crate::xml`].
pub struct XmlReader<S: Source> {
    source: ChunkReader<S>,
    text: Text,
    position: usize,
    ended: bool,
    /// Names of the envelope's open elements.
    open: Vec<String>,
    /// The name of what was closed or lost last.
    last: String,
    /// The element that was opened last had no content: it closes next.
    closes: bool,
    root_seen: bool,
    doctype: Option<String>,
    tree: Tree,
    /// Where the element that came last as a tree starts in the window.
    tree_start: usize,
}

impl<S: Source> XmlReader<S> {
    /// Nothing is read yet; [`XmlReader::start`] has to come first.
    pub fn new(source: S) -> Self {
        Self {
            source: ChunkReader::new(source),
            text: Text::default(),
            position: 0,
            ended: false,
            open: Vec::new(),
            last: String::new(),
            closes: false,
            root_seen: false,
            doctype: None,
            tree: Tree::default(),
            tree_start: 0,
        }
    }

    /// Looks at the first bytes, as [`XmlReader::start`] does.
    ///
    /// # Errors
    /// As [`XmlReader::start`].
    pub fn open(source: S) -> Result<Self, XmlError<S::Error>> {
        let mut reader = Self::new(source);
        reader.start()?;
        Ok(reader)
    }

    /// Looks at the first bytes: byte-order mark and declared encoding.
    ///
    /// # Errors
    /// [`XmlError::Empty`], [`XmlError::Encoding`] or [`XmlError::Io`].
    pub fn start(&mut self) -> Result<(), XmlError<S::Error>> {
        let mut start = Vec::new();
        while !self.ended && start.len() < DECLARATION_BYTES {
            let count = self
                .source
                .append_chunk(&mut start)
                .map_err(|source| XmlError::Io { offset: 0, source })?;
            self.ended = count == 0;
        }
        if start.iter().all(u8::is_ascii_whitespace) && self.ended {
            let bytes = start.len() as u64;
            return Err(XmlError::Empty { bytes });
        }
        if let Some(encoding) = foreign_encoding(&start).or(foreign_format(&start)) {
            let encoding = encoding.to_owned();
            return Err(XmlError::Encoding { encoding });
        }
        let rest = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&start);
        let encoding = declared_encoding(&rest[..rest.len().min(DECLARATION_BYTES)]);
        let skipped = (start.len() - rest.len()) as u64;
        let Some(text) = Text::new(encoding.as_deref(), skipped) else {
            let encoding = crate::clean_line(&encoding.unwrap_or_default(), 40).text;
            return Err(XmlError::Encoding { encoding });
        };
        self.text = text;
        self.text.push(rest, self.ended);
        Ok(())
    }

    /// The offset of what comes next.
    pub fn offset(&mut self) -> u64 {
        self.text.offset(self.position)
    }

    /// The source, wherever its reading stands.
    pub fn into_source(self) -> S {
        self.source.into_source()
    }

    /// The element that came last as [`Step::Tree`], as it stands in the document.
    pub fn tree_text(&self) -> &str {
        self.text
            .window
            .get(self.tree_start..self.position)
            .unwrap_or_default()
    }

    /// The root's name as the `DOCTYPE` has it, if one was passed.
    pub fn doctype(&self) -> Option<&str> {
        self.doctype.as_deref()
    }

    /// How many elements of the envelope are open.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    /// The next step; elements whose name is in `trees` come whole. Nothing at the document's end.
    ///
    /// # Errors
    /// [`XmlError`] when the envelope cannot be read on.
    pub fn step(&mut self, trees: &[&str]) -> Result<Option<Step<'_, S::Place>>, XmlError<S::Error>> {
        let found = loop {
            if std::mem::take(&mut self.closes) {
                self.last = self.open.pop().unwrap_or_default();
                break Found::Close;
            }
            match self.scan(trees)? {
                Scan::Found(found) => break found,
                Scan::More => {
                    if !self.more()? {
                        let offset = self.text.offset(self.text.window.len());
                        return Err(XmlError::Ended { offset });
                    }
                }
                Scan::Bad { name, code, problem } => {
                    let start = self.offset();
                    self.resynchronise(&name)?;
                    self.last = name;
                    let span = S::place(start, self.offset());
                    break Found::Lost { span, code, problem };
                }
            }
        };
        Ok(match found {
            Found::End => None,
            Found::Open => Some(Step::Open(self.tree.node(0))),
            Found::Close => Some(Step::Close(&self.last)),
            Found::Tree { span, repaired } => Some(Step::Tree {
                node: self.tree.node(0),
                span,
                repaired,
                unknown_entity: self.tree.unknown_entity,
            }),
            Found::Lost { span, code, problem } => Some(Step::Lost {
                name: &self.last,
                span,
                code,
                problem,
            }),
        })
    }

    /// Looks at the window for the next step. What is passed over is done with.
    fn scan(&mut self, trees: &[&str]) -> Result<Scan<S::Place>, XmlError<S::Error>> {
        // A mark that stands where a tokenizer begins is taken for the document's own and not counted.
        let ahead = &self.text.window[self.position..];
        let marks = ahead.len() - ahead.trim_start_matches(BYTE_ORDER_MARK).len();
        let start = self.position + marks;
        let mut tokens = tokens(&self.text.window[start..]);
        loop {
            let before = start + tokens.buffer_position() as usize;
            self.position = before;
            let event = match tokens.read_event() {
                Ok(event) => event,
                Err(error) => return self.wrong_token(&error, trees),
            };
            let after = start + tokens.buffer_position() as usize;
            let (tag, is_empty) = match event {
                Event::Start(tag) => (tag, false),
                Event::Empty(tag) => (tag, true),
                Event::End(tag) => {
                    let name = tag.name().as_ref().to_owned();
                    return self.leave(name, after);
                }
                Event::Eof => {
                    let done = self.ended && self.root_seen && self.open.is_empty();
                    return Ok(if done { Scan::Found(Found::End) } else { Scan::More });
                }
                other => {
                    if let Some(name) = self.pass(&other, before, after)? {
                        self.doctype = Some(name);
                    }
                    continue;
                }
            };
            if self.root_seen && self.open.is_empty() {
                return Err(self.outside(before, "another root"));
            }
            self.root_seen = true;
            self.tree.clear();
            let name = tag.name().as_ref().to_owned();
            if !trees.contains(&name.as_str()) {
                let added = self.tree.add(None, &tag);
                return self.enter(added, name, is_empty, after);
            }
            let levels = XML_DEPTH.saturating_sub(self.open.len());
            let built = build(&mut tokens, &tag, is_empty, &mut self.tree, self.ended, levels);
            let end = start + tokens.buffer_position() as usize;
            return Ok(self.record(built, name, end));
        }
    }

    /// What is neither the start nor the end of an element; answers the name of a `DOCTYPE`.
    fn pass(
        &self,
        event: &Event<'_>,
        before: usize,
        after: usize,
    ) -> Result<Option<String>, XmlError<S::Error>> {
        let blank = matches!(event, Event::Text(text) if text.trim().is_empty());
        let is_text = matches!(event, Event::Text(_) | Event::CData(_) | Event::GeneralRef(_));
        if is_text && !blank && self.open.is_empty() {
            return Err(self.outside(before, "text"));
        }
        if matches!(event, Event::Decl(_)) && self.root_seen {
            return Err(self.outside(before, "another document"));
        }
        if self.text.is_damaged(before, after) {
            let offset = self.text.offset(before);
            return Err(XmlError::NotUnicode { offset });
        }
        let Event::DocType(content) = event else {
            return Ok(None);
        };
        let words: &str = content;
        if words.contains("<!ENTITY") {
            let offset = self.text.offset(before);
            return Err(XmlError::EntityDeclaration { offset });
        }
        let name = words
            .split([' ', '\t', '\r', '\n', '[', '>'])
            .find(|word| !word.is_empty());
        Ok(name.map(|name| crate::clean_line(name, NAME_BYTES).text))
    }

    /// An element of the envelope begins.
    fn enter(
        &mut self,
        added: Result<usize, Unfit>,
        name: String,
        is_empty: bool,
        after: usize,
    ) -> Result<Scan<S::Place>, XmlError<S::Error>> {
        let offset = self.text.offset(self.position);
        match added {
            Ok(_) => {}
            Err(Unfit::Malformed(problem)) => return Err(XmlError::Malformed { offset, problem }),
            Err(_) => return Err(XmlError::TooManyAttributes { offset }),
        }
        if self.open.len() >= XML_DEPTH {
            return Err(XmlError::TooDeep { offset });
        }
        if self.text.is_damaged(self.position, after) {
            return Err(XmlError::NotUnicode { offset });
        }
        self.open.push(name);
        self.closes = is_empty;
        self.position = after;
        Ok(Scan::Found(Found::Open))
    }

    /// An element of the envelope ends.
    fn leave(&mut self, name: String, after: usize) -> Result<Scan<S::Place>, XmlError<S::Error>> {
        if self.open.last() != Some(&name) {
            let offset = self.text.offset(self.position);
            let shown = crate::clean_line(&name, NAME_BYTES).text;
            let problem = match self.open.last() {
                Some(open) => format!("`</{shown}>` where `</{open}>` should be"),
                None => format!("`</{shown}>` closes nothing"),
            };
            return Err(XmlError::Malformed { offset, problem });
        }
        self.open.pop();
        self.last = name;
        self.position = after;
        Ok(Scan::Found(Found::Close))
    }

    /// A record that was asked for, as far as the window has it. The position is still its start.
    fn record(&mut self, built: Built, name: String, end: usize) -> Scan<S::Place> {
        if !matches!(built, Built::Whole) || end - self.position > RECORD_BYTES {
            return self.unreadable(built, name);
        }
        let repaired = self.text.is_damaged(self.position, end);
        let span = S::place(self.text.offset(self.position), self.text.offset(end));
        self.tree_start = std::mem::replace(&mut self.position, end);
        Scan::Found(Found::Tree { span, repaired })
    }

    /// A record that was asked for and is not whole, or too large.
    fn unreadable(&self, built: Built, name: String) -> Scan<S::Place> {
        let (code, problem) = match built {
            // Where another record begins, it is this one that is damaged, and not the input cut.
            Built::Unfinished if self.ended => {
                if self.next_tag(&name, self.position + 1).is_none() {
                    return Scan::More;
                }
                (
                    "record-unreadable",
                    "could not be read: it does not end".to_owned(),
                )
            }
            Built::Unfinished if self.pending() <= RECORD_BYTES => return Scan::More,
            Built::Whole | Built::Unfinished => (
                "record-too-large",
                format!("has more than {RECORD_BYTES} bytes, which is all that is read of one"),
            ),
            Built::TooDeep => (
                "record-too-deep",
                format!("is nested deeper than {XML_DEPTH} levels"),
            ),
            Built::Malformed(problem) => ("record-unreadable", format!("could not be read: {problem}")),
            Built::Unfit(Unfit::Malformed(problem)) => {
                ("record-unreadable", format!("could not be read: {problem}"))
            }
            Built::Unfit(Unfit::TooManyAttributes) => (
                "record-too-large",
                format!("has an element with more than {XML_ATTRIBUTES} attributes"),
            ),
            Built::Unfit(Unfit::TooManyNodes) => {
                ("record-too-large", format!("has more than {XML_NODES} elements"))
            }
        };
        Scan::Bad { name, code, problem }
    }

    /// Bytes that are no token: there may be more to come, or they are none.
    fn wrong_token(&self, error: &Error, trees: &[&str]) -> Result<Scan<S::Place>, XmlError<S::Error>> {
        let is_here = |name: &&str| self.next_tag(name, self.position) == Some(self.position);
        if let Some(name) = trees.iter().copied().find(is_here) {
            let built = if is_unfinished(error, self.pending()) {
                Built::Unfinished
            } else {
                Built::Malformed(error.to_string())
            };
            return Ok(self.unreadable(built, name.to_owned()));
        }
        let offset = self.text.offset(self.position);
        if !is_unfinished(error, self.pending()) {
            let problem = error.to_string();
            return Err(XmlError::Malformed { offset, problem });
        }
        if !self.ended && self.pending() > RECORD_BYTES {
            return Err(XmlError::TooLong { offset });
        }
        Ok(Scan::More)
    }

    /// Goes from a record that cannot be read to the next of its name, or to the end of the element
    /// around it, or to the input's end.
    fn resynchronise(&mut self, name: &str) -> Result<(), XmlError<S::Error>> {
        // A tag may be cut by the window's end; names are short.
        let longest = name.len().max(self.open.last().map_or(0, String::len)) + "</>".len();
        self.position += 1;
        loop {
            if let Some(place) = self.next_tag(name, self.position) {
                self.position = place;
                return Ok(());
            }
            let kept = if self.ended { 0 } else { longest };
            let done = self.position.max(self.text.window.len().saturating_sub(kept));
            self.position = (self.position..=done)
                .rev()
                .find(|&place| self.text.window.is_char_boundary(place))
                .unwrap_or(self.position);
            if !self.more()? {
                return Ok(());
            }
        }
    }

    /// The next start tag of a name, or end tag of the innermost open element, in the window.
    fn next_tag(&self, name: &str, from: usize) -> Option<usize> {
        let parent = self.open.last();
        let rest = self.text.window.as_bytes().get(from..)?;
        let is_tag = |tag: &[u8], name: &str| {
            tag.strip_prefix(name.as_bytes())
                .and_then(<[u8]>::first)
                .is_some_and(|next| matches!(next, b' ' | b'\t' | b'\r' | b'\n' | b'>' | b'/'))
        };
        let mut tags = memchr::memchr_iter(b'<', rest);
        let found = tags.find(|&place| {
            let tag = &rest[place + 1..];
            is_tag(tag, name)
                || parent.is_some_and(|parent| tag.first() == Some(&b'/') && is_tag(&tag[1..], parent))
        });
        found.map(|place| from + place)
    }

    /// Bytes of the window that are not done with.
    fn pending(&self) -> usize {
        self.text.window.len() - self.position
    }

    /// Reads until twice as much lies ahead as before, so that looking again costs nothing much;
    /// whether there was any.
    fn more(&mut self) -> Result<bool, XmlError<S::Error>> {
        if self.ended {
            return Ok(false);
        }
        self.text.drop_before(self.position);
        self.position = 0;
        let wanted = (self.text.window.len() * 2).min(RECORD_BYTES);
        let mut chunk = Vec::new();
        while !self.ended && self.text.window.len() <= wanted {
            chunk.clear();
            let count = self
                .source
                .append_chunk(&mut chunk)
                .map_err(|source| self.io_error(source))?;
            self.ended = count == 0;
            self.text.push(&chunk, self.ended);
        }
        if self.text.hopeless {
            let offset = self.text.offset(0);
            return Err(XmlError::NotUnicode { offset });
        }
        Ok(true)
    }

    fn outside(&self, place: usize, what: &'static str) -> XmlError<S::Error> {
        let offset = self.text.offset(place);
        if self.root_seen {
            XmlError::Trailing { offset, what }
        } else {
            let problem = format!("{what} in front of the root element");
            XmlError::Malformed { offset, problem }
        }
    }

    fn io_error(&self, source: S::Error) -> XmlError<S::Error> {
        let offset = self.text.offset(self.text.window.len());
        XmlError::Io { offset, source }
    }
}

/// How far the building of a record came.
enum Built {
    Whole,
    /// The window ends before the record does.
    Unfinished,
    TooDeep,
    Malformed(String),
    Unfit(Unfit),
}

/// Tokens of a part of a document, each as it stands: what they mean is checked here.
fn tokens(text: &str) -> Reader<&[u8]> {
    let mut tokens = Reader::from_str(text);
    let config = tokens.config_mut();
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    // A lone `&` is text: tools forget to escape it.
    config.allow_dangling_amp = true;
    tokens
}

/// Builds the record whose start tag was read last, up to its end tag.
fn build(
    tokens: &mut Reader<&[u8]>,
    tag: &BytesStart<'_>,
    is_empty: bool,
    tree: &mut Tree,
    ended: bool,
    levels: usize,
) -> Built {
    let window = tokens.get_ref().len() + tokens.buffer_position() as usize;
    let root = match tree.add(None, tag) {
        Ok(root) => root,
        Err(unfit) => return Built::Unfit(unfit),
    };
    let mut open = if is_empty { Vec::new() } else { vec![root] };
    while let Some(&parent) = open.last() {
        if open.len() > levels {
            return Built::TooDeep;
        }
        let before = tokens.buffer_position() as usize;
        let event = match tokens.read_event() {
            Ok(event) => event,
            Err(error) if is_unfinished(&error, window - before) => return Built::Unfinished,
            Err(error) => return Built::Malformed(error.to_string()),
        };
        let at_edge = tokens.buffer_position() as usize == window && !ended;
        match event {
            Event::Start(tag) => match tree.add(Some(parent), &tag) {
                Ok(child) => open.push(child),
                Err(unfit) => return Built::Unfit(unfit),
            },
            Event::Empty(tag) => {
                if let Err(unfit) = tree.add(Some(parent), &tag) {
                    return Built::Unfit(unfit);
                }
            }
            Event::End(tag) => {
                let (name, expected) = (tag.name(), tree.name(parent));
                if name.as_ref() != expected {
                    let shown = crate::clean_line(name.as_ref(), NAME_BYTES).text;
                    return Built::Malformed(format!("`</{shown}>` where `</{expected}>` should be"));
                }
                open.pop();
            }
            // Text may go on in the next chunk.
            Event::Text(_) if at_edge => return Built::Unfinished,
            Event::Text(text) => tree.add_text(parent, &text),
            Event::CData(text) => tree.add_text(parent, &text),
            Event::GeneralRef(name) => tree.add_reference(parent, &name),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Decl(_) | Event::DocType(_) => {
                return Built::Malformed("a declaration in the middle".to_owned());
            }
            Event::Eof => return Built::Unfinished,
        }
    }
    Built::Whole
}

/// Whether a token is only wrong because the window ends in it.
fn is_unfinished(error: &Error, remaining: usize) -> bool {
    match error {
        Error::Syntax(SyntaxError::InvalidBangMarkup) => remaining < KEYWORD_BYTES,
        Error::Syntax(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
