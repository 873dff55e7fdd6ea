//! The elements of one name in an XML document.

use std::borrow::Cow;

use tamiz_sdk::xml::Node;
use tamiz_sdk::xml::stream::{Step as Found, XmlError, XmlReader};

use crate::ByteSource;
use crate::row::{Ending, Row, Step};
use crate::values::Values;

/// What is wanted of a document.
pub(crate) struct Wanted {
    name: String,
    fields: Vec<Field>,
}

/// A path of child elements, and what is taken there.
struct Field {
    path: Option<String>,
    attribute: Option<String>,
}

pub(crate) struct XmlElements<S: ByteSource> {
    reader: XmlReader<S>,
    wanted: Wanted,
    begun: bool,
}

/// # Errors
/// A word that is no name, or no path.
pub(crate) fn check(name: &str, fields: &[String]) -> Result<Wanted, String> {
    if !is_name(name) {
        return Err(format!("{name:?} is no name of an element"));
    }
    Ok(Wanted {
        name: name.to_owned(),
        fields: fields
            .iter()
            .map(|field| parse(field))
            .collect::<Result<_, _>>()?,
    })
}

fn parse(field: &str) -> Result<Field, String> {
    let (path, attribute) = match field.rsplit_once('@') {
        Some(("", attribute)) => (None, Some(attribute)),
        Some((path, attribute)) => (path.strip_suffix('/'), Some(attribute)),
        None if field == "." => (None, None),
        None => (Some(field), None),
    };
    let path_is_right = match path {
        Some(path) => path.split('/').all(is_name),
        None => field == "." || field.starts_with('@'),
    };
    if !path_is_right || !attribute.is_none_or(is_name) {
        return Err(format!(
            "{field:?} is neither `.`, nor a path of child elements, nor one that ends with an attribute"
        ));
    }
    Ok(Field {
        path: path.map(str::to_owned),
        attribute: attribute.map(str::to_owned),
    })
}

fn is_name(text: &str) -> bool {
    let odd = |character: char| character.is_whitespace() || "<>/&@'\"=".contains(character);
    !text.is_empty() && text != "." && !text.contains(odd)
}

impl Field {
    fn value<'tree>(&self, element: Node<'tree>) -> Option<Cow<'tree, str>> {
        let node = match &self.path {
            Some(path) => element.child(path)?,
            None => element,
        };
        match &self.attribute {
            Some(name) => node.attribute(name).map(Cow::Borrowed),
            None => Some(node.text()),
        }
    }
}

impl<S: ByteSource> XmlElements<S> {
    pub(crate) fn new(source: S, wanted: Wanted) -> Self {
        Self {
            reader: XmlReader::new(source),
            wanted,
            begun: false,
        }
    }

    pub(crate) fn into_source(self) -> S {
        self.reader.into_source()
    }

    pub(crate) fn next(&mut self) -> Result<Step, S::Error> {
        match self.step() {
            Ok(step) => Ok(step),
            Err(XmlError::Io { source, .. }) => Err(source),
            Err(XmlError::Empty { .. } | XmlError::Ended { .. }) => Ok(Step::End(Ending::Truncated)),
            Err(_) => Ok(Step::End(Ending::Malformed)),
        }
    }

    fn step(&mut self) -> Result<Step, XmlError<S::Error>> {
        if !self.begun {
            self.begun = true;
            self.reader.start()?;
        }
        let name = self.wanted.name.as_str();
        let (place, mut values) = loop {
            match self.reader.step(&[name])? {
                None => return Ok(Step::End(Ending::Whole)),
                Some(Found::Open(_) | Found::Close(_)) => {}
                Some(Found::Lost { span, problem, .. }) => {
                    return Ok(Step::Row(Row::unreadable(span, format!("it {problem}"))));
                }
                Some(Found::Tree { node, span, .. }) => {
                    break (span, picked(&self.wanted.fields, node));
                }
            }
        };
        if self.wanted.fields.is_empty() {
            values = Values::new(1);
            values.put(0, Some(Cow::Borrowed(self.reader.tree_text())));
        }
        Ok(Step::Row(Row::of(place, values.finish())))
    }
}

fn picked(fields: &[Field], element: Node<'_>) -> Values {
    let mut values = Values::new(fields.len());
    for (number, field) in fields.iter().enumerate() {
        if values.is_over() {
            break;
        }
        values.put(number, field.value(element));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::{check, parse};

    #[test]
    fn fields_are_paths_an_attribute_or_the_own_text() {
        for field in [
            ".",
            "@id",
            "name",
            "a/b/c",
            "location/@line",
            "ns:a/@xml:id",
            "a.b",
        ] {
            assert!(parse(field).is_ok(), "{field}");
        }
        for field in [
            "", "/", "a/", "/a", "a//b", "@", "a@b", "a/@", "@a/b", "a/./b", "..@x", "a b", "./@id",
        ] {
            assert!(parse(field).is_err(), "{field}");
        }
        for name in ["", "a b", "<a", "a/b", "@a", "."] {
            assert!(check(name, &[]).is_err(), "{name}");
        }
    }
}
