//! One element and what is in it, in one piece of memory that is used again for the next.

use std::borrow::Cow;
use std::ops::Range;

use quick_xml::events::BytesStart;

use crate::limits::{XML_ATTRIBUTES, XML_NODES};

/// Elements of one record, in document order, and all their text.
#[derive(Debug, Default)]
pub(super) struct Tree {
    text: String,
    nodes: Vec<NodeData>,
    attributes: Vec<(Range<usize>, Range<usize>)>,
    pieces: Vec<Piece>,
    /// Whether a reference named an entity that XML does not have.
    pub(super) unknown_entity: bool,
}

#[derive(Debug)]
struct NodeData {
    name: Range<usize>,
    attributes: Range<usize>,
    first_piece: Option<usize>,
    last_piece: Option<usize>,
    last_child: Option<usize>,
    first_child: Option<usize>,
    next_sibling: Option<usize>,
}

/// Text of a node between two of its children.
#[derive(Debug)]
struct Piece {
    text: Range<usize>,
    next: Option<usize>,
}

/// Why an element cannot be kept.
pub(super) enum Unfit {
    TooManyAttributes,
    TooManyNodes,
    Malformed(String),
}

impl Tree {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.nodes.clear();
        self.attributes.clear();
        self.pieces.clear();
        self.unknown_entity = false;
    }

    /// Adds an element and answers its number.
    pub(super) fn add(&mut self, parent: Option<usize>, tag: &BytesStart<'_>) -> Result<usize, Unfit> {
        if self.nodes.len() >= XML_NODES {
            return Err(Unfit::TooManyNodes);
        }
        let name = self.keep(tag.name().as_ref());
        let first_attribute = self.attributes.len();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| Unfit::Malformed(error.to_string()))?;
            if self.attributes.len() - first_attribute >= XML_ATTRIBUTES {
                return Err(Unfit::TooManyAttributes);
            }
            let key = self.keep(attribute.key.as_ref());
            let start = self.text.len();
            self.unescape(&attribute.value);
            self.attributes.push((key, start..self.text.len()));
        }
        let number = self.nodes.len();
        self.nodes.push(NodeData {
            name,
            attributes: first_attribute..self.attributes.len(),
            first_piece: None,
            last_piece: None,
            last_child: None,
            first_child: None,
            next_sibling: None,
        });
        if let Some(parent) = parent {
            let before = self.nodes[parent].last_child.replace(number);
            match before {
                Some(before) => self.nodes[before].next_sibling = Some(number),
                None => self.nodes[parent].first_child = Some(number),
            }
        }
        Ok(number)
    }

    /// Adds text to an element.
    pub(super) fn add_text(&mut self, node: usize, text: &str) {
        let range = self.keep(text);
        if range.is_empty() {
            return;
        }
        let piece = self.pieces.len();
        match self.nodes[node].last_piece {
            Some(last) if self.pieces[last].text.end == range.start => self.pieces[last].text.end = range.end,
            last => {
                self.pieces.push(Piece {
                    text: range,
                    next: None,
                });
                match last {
                    Some(last) => self.pieces[last].next = Some(piece),
                    None => self.nodes[node].first_piece = Some(piece),
                }
                self.nodes[node].last_piece = Some(piece);
            }
        }
    }

    /// Adds what a reference (`amp`, `#10`) stands for.
    pub(super) fn add_reference(&mut self, node: usize, name: &str) {
        if let Some(character) = reference(name) {
            self.add_text(node, character.encode_utf8(&mut [0; 4]));
        } else {
            self.unknown_entity = true;
            self.add_text(node, &format!("&{name};"));
        }
    }

    pub(super) fn name(&self, node: usize) -> &str {
        &self.text[self.nodes[node].name.clone()]
    }

    pub(super) fn node(&self, number: usize) -> Node<'_> {
        Node { tree: self, number }
    }

    fn keep(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    fn unescape(&mut self, value: &str) {
        let mut rest = value;
        while let Some(start) = memchr::memchr(b'&', rest.as_bytes()) {
            self.text.push_str(&rest[..start]);
            rest = &rest[start + 1..];
            let named = rest
                .split_once(';')
                .map(|(name, after)| (name, after, reference(name)));
            if let Some((_, after, Some(character))) = named {
                self.text.push(character);
                rest = after;
            } else {
                self.unknown_entity = true;
                self.text.push('&');
            }
        }
        self.text.push_str(rest);
    }
}

/// What a reference stands for; nothing for one that XML does not define. A number that is no
/// character reads as U+FFFD.
fn reference(name: &str) -> Option<char> {
    let number = match name.strip_prefix('#') {
        None => {
            return match name {
                "amp" => Some('&'),
                "lt" => Some('<'),
                "gt" => Some('>'),
                "quot" => Some('"'),
                "apos" => Some('\''),
                _ => None,
            };
        }
        Some(digits) => match digits.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => digits.parse().ok()?,
        },
    };
    let character = char::from_u32(number).filter(|character| *character != '\0');
    Some(character.unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// An element.
#[derive(Clone, Copy)]
pub struct Node<'tree> {
    tree: &'tree Tree,
    number: usize,
}

impl<'tree> Node<'tree> {
    /// Its name as it stands there, with its prefix.
    pub fn name(&self) -> &'tree str {
        self.tree.name(self.number)
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&'tree str> {
        self.attributes()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// All attributes, in order.
    pub fn attributes(&self) -> impl Iterator<Item = (&'tree str, &'tree str)> + use<'tree> {
        let tree = self.tree;
        let range = tree.nodes[self.number].attributes.clone();
        tree.attributes[range]
            .iter()
            .map(|(key, value)| (&tree.text[key.clone()], &tree.text[value.clone()]))
    }

    /// The element's own text, its children's not, without white space around it.
    pub fn text(&self) -> Cow<'tree, str> {
        let data = &self.tree.nodes[self.number];
        let Some(first) = data.first_piece else {
            return Cow::Borrowed("");
        };
        let piece = |number: usize| &self.tree.text[self.tree.pieces[number].text.clone()];
        if self.tree.pieces[first].next.is_none() {
            return Cow::Borrowed(piece(first).trim());
        }
        let mut joined = String::new();
        let mut next = Some(first);
        while let Some(number) = next {
            joined.push_str(piece(number));
            next = self.tree.pieces[number].next;
        }
        Cow::Owned(joined.trim().to_owned())
    }

    /// The elements in it, in order.
    pub fn children(&self) -> impl Iterator<Item = Node<'tree>> + use<'tree> {
        let tree = self.tree;
        let first = tree.nodes[self.number].first_child;
        std::iter::successors(first, |&number| tree.nodes[number].next_sibling)
            .map(move |number| Node { tree, number })
    }

    /// The elements of one name in it, in order.
    pub fn all<'name>(&self, name: &'name str) -> impl Iterator<Item = Node<'tree>> + use<'tree, 'name> {
        self.children().filter(move |child| child.name() == name)
    }

    /// The first element at a path of names, such as `service` or `script/table`.
    pub fn child(&self, path: &str) -> Option<Node<'tree>> {
        path.split('/')
            .try_fold(*self, |node, name| node.all(name).next())
    }

    /// The text of the first element at a path; empty when there is none.
    pub fn child_text(&self, path: &str) -> Cow<'tree, str> {
        self.child(path).map_or(Cow::Borrowed(""), |child| child.text())
    }
}
