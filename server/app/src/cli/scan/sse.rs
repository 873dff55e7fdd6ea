//! Server-sent events out of a stream of bytes (WHATWG HTML, "event stream interpretation").

/// One line of an event. Ours are a few hundred bytes; a server that sends more is not ours.
const LINE_BYTES_MAX: usize = 1 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: String,
}

/// A line that was too long.
#[derive(Debug, thiserror::Error)]
#[error("the event stream has a line of more than {LINE_BYTES_MAX} bytes")]
pub(super) struct LineTooLong;

/// Takes bytes as they come, gives events as they are complete.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    after_return: bool,
    current: Event,
    has_data: bool,
}

impl Events {
    /// Adds bytes and returns the events that they complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, LineTooLong> {
        let mut complete = Vec::new();
        for byte in bytes {
            // Lines end with CR, LF or both.
            let ends = matches!(byte, b'\n' | b'\r');
            let second_half = *byte == b'\n' && self.after_return;
            self.after_return = *byte == b'\r';
            if second_half {
                continue;
            }
            if ends {
                let line = std::mem::take(&mut self.line);
                complete.extend(self.end_line(&String::from_utf8_lossy(&line)));
            } else if self.line.len() == LINE_BYTES_MAX {
                return Err(LineTooLong);
            } else {
                self.line.push(*byte);
            }
        }
        Ok(complete)
    }

    fn end_line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.current);
            let has_data = std::mem::take(&mut self.has_data);
            // An event of ours without data (`complete`) counts; a lone comment does not.
            return (has_data || !event.name.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.current.name),
            "data" => {
                if self.has_data {
                    self.current.data.push('\n');
                }
                self.current.data.push_str(value);
                self.has_data = true;
            }
            // Comments (an empty field) keep the connection alive; `id` and `retry` are not used.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut_and_lines_are_ended() {
        let text =
            ":\n\nevent: next\ndata: {\"a\":\ndata: 1}\nid: 4\n\n: alive\n\nevent: complete\ndata:\n\n";
        let expected = [event("next", "{\"a\":\n1}"), event("complete", "")];
        for ending in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', ending);
            for size in [1, 2, 3, 7, 1000] {
                let mut events = Events::default();
                let found: Vec<Event> = text
                    .as_bytes()
                    .chunks(size)
                    .flat_map(|piece| events.feed(piece).unwrap())
                    .collect();
                assert_eq!(found, expected, "{ending:?} {size}");
            }
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut events = Events::default();
        assert!(events.feed(&vec![b'x'; LINE_BYTES_MAX]).is_ok());
        assert!(events.feed(b"x").is_err());
    }
}
