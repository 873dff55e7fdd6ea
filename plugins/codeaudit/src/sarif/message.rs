//! The text of a result.

use std::borrow::Cow;

use super::rules::{Rule, Rules};
use super::shapes::{Message, ResultShape};

/// The result's own text, or its rule's text that it names, with the arguments filled in.
pub(super) fn message_text<'text>(
    result: &'text ResultShape<'_>,
    rule: Option<&'text Rule>,
    rules: &'text Rules,
) -> Cow<'text, str> {
    let message = result.message.object();
    let own = message.map_or("", Message::plain);
    if !own.is_empty() {
        return filled(own, message);
    }
    let id = message.map_or("", |message| message.id.text());
    let named = rule
        .and_then(|rule| rule.message(id))
        .or_else(|| rules.message(id));
    if let Some(text) = named {
        return filled(text, message);
    }
    let texts = rule.map_or([""; 3], |rule| {
        [rule.full.as_str(), rule.short.as_str(), rule.name.as_str()]
    });
    let said = texts.into_iter().find(|text| !text.is_empty());
    Cow::Borrowed(said.unwrap_or_default())
}

/// Replaces `{0}`, `{1}`… by the message's arguments; a number without one stays.
fn filled<'text>(text: &'text str, message: Option<&Message<'_>>) -> Cow<'text, str> {
    let arguments: Vec<&str> = message
        .map(|message| message.arguments.texts().collect())
        .unwrap_or_default();
    if arguments.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(brace) = rest.find(['{', '}']) {
        filled.push_str(&rest[..brace]);
        rest = &rest[brace..];
        // Doubled, they are the braces themselves.
        let doubled = ["{{", "}}"].iter().find(|doubled| rest.starts_with(**doubled));
        if doubled.is_some() || rest.starts_with('}') {
            filled.push_str(&rest[..1]);
            rest = &rest[doubled.map_or(1, |doubled| doubled.len())..];
            continue;
        }
        let argument = rest[1..]
            .split_once('}')
            .and_then(|(number, after)| Some((arguments.get(number.parse::<usize>().ok()?)?, after)));
        if let Some((argument, after)) = argument {
            filled.push_str(argument);
            rest = after;
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled.push_str(rest);
    Cow::Owned(filled)
}

#[cfg(test)]
mod tests {
    use super::filled;
    use crate::sarif::shapes::Message;

    #[test]
    fn arguments_fill_their_places() {
        let message: Message<'_> = serde_json::from_str(r#"{"arguments":["one","{0}"]}"#).expect("a message");
        assert_eq!(
            filled("{0} and {1} and {2} and {x", Some(&message)),
            "one and {0} and {2} and {x"
        );
        assert_eq!(filled("{{0}} {{{0}}} }", Some(&message)), "{0} {one} }");
        assert_eq!(filled("{0}", None), "{0}");
    }
}
