//! Text out of the HTML that ZAP and Burp put into their reports.
//!
//! What is shown is text, so that markup must not be believed: tags go, blocks become lines, and the
//! common references become characters. Nothing is parsed as a browser would.

/// Elements that begin a line of their own.
const BLOCKS: [&str; 8] = ["p", "br", "li", "ul", "ol", "div", "tr", "pre"];

/// References that the tools write.
const REFERENCES: [(&str, &str); 7] = [
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", "\""),
    ("&#39;", "'"),
    ("&apos;", "'"),
    ("&nbsp;", " "),
    ("&amp;", "&"),
];

/// The text of some HTML. Text without any stays as it is.
pub(crate) fn plain(html: &str) -> String {
    if !html.contains(['<', '&']) {
        return html.trim().to_owned();
    }
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(place) = rest.find(['<', '&']) {
        let (before, after) = rest.split_at(place);
        text.push_str(before);
        rest = if after.starts_with('<') {
            tag(after, &mut text)
        } else {
            reference(after, &mut text)
        };
    }
    text.push_str(rest);
    joined(&text)
}

/// Passes over a tag; a `<` that begins none stays.
fn tag<'html>(html: &'html str, text: &mut String) -> &'html str {
    let inner = html.get(1..).unwrap_or_default();
    let name = inner.strip_prefix('/').unwrap_or(inner);
    let is_tag = name.starts_with(|first: char| first.is_ascii_alphabetic());
    match inner.split_once('>') {
        Some((inside, after)) if is_tag && !inside.contains('<') => {
            let length = name.bytes().take_while(u8::is_ascii_alphanumeric).count();
            let name = name.get(..length).unwrap_or_default();
            if BLOCKS.iter().any(|block| name.eq_ignore_ascii_case(block)) {
                text.push('\n');
            }
            after
        }
        _ => {
            text.push('<');
            inner
        }
    }
}

fn reference<'html>(html: &'html str, text: &mut String) -> &'html str {
    for (name, character) in REFERENCES {
        if let Some(after) = html.strip_prefix(name) {
            text.push_str(character);
            return after;
        }
    }
    text.push('&');
    html.get(1..).unwrap_or_default()
}

/// Lines without white space around them and without blank ones.
fn joined(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// The web addresses in a text or in HTML, in order.
pub(crate) fn addresses(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| {
        character.is_whitespace() || matches!(character, '<' | '>' | '"' | '\'' | ',' | ';')
    })
    .filter(|word| word.starts_with("http://") || word.starts_with("https://"))
}

#[cfg(test)]
mod tests {
    use super::{addresses, plain};

    #[test]
    fn tags_go_and_blocks_become_lines() {
        assert_eq!(
            plain("<p>One &amp; two</p><p>a &lt;b&gt;</p>"),
            "One & two\na <b>"
        );
        assert_eq!(plain("x<br/>y<ul><li>z</li></ul>"), "x\ny\nz");
        assert_eq!(plain("1 < 2 & 3 <"), "1 < 2 & 3 <");
        assert_eq!(plain("é<b>ü</b>&amp;lt;"), "éü&lt;");
        assert_eq!(plain(" plain "), "plain");
        assert_eq!(plain("<p"), "<p");
    }

    #[test]
    fn addresses_are_found_in_lists_of_every_kind() {
        let html = "<p>https://a.test/x</p><p>http://b.test</p> <a href=\"https://c.test\">c</a> ftp://d";
        let found: Vec<_> = addresses(html).collect();
        assert_eq!(found, ["https://a.test/x", "http://b.test", "https://c.test"]);
    }
}
