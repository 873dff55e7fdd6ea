//! A form of parts (RFC 7578) with one file in it, which is passed on while it comes.
//!
//! `multer` takes from its stream whatever is there before it looks at any of it. Here it gets one piece at a time and no
//! more than [`AROUND_BYTES_MAX`] beside the file, so a form without an end costs no memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::stream;
use multer::{Field, Multipart};
use tamiz_core::text::cut;

use super::fields::Fields;
use crate::api::pieces::Pieces;
use crate::api::refused::Refused;

/// The part that is the file.
pub(super) const FILE: &str = "file";
/// Bytes of a form that are none of its file: heads of parts and fields, the longest of which are options of 64 KiB.
pub(super) const AROUND_BYTES_MAX: u64 = 128 * 1024;

/// A form that is coming in.
pub(super) struct Form {
    parts: Multipart<'static>,
    around: Arc<Around>,
}

/// What came of a form, and what of it was the file's.
#[derive(Default)]
struct Around {
    came: AtomicU64,
    passed_on: AtomicU64,
}

/// The file of a form.
pub(super) struct File {
    /// As the client names it.
    pub(super) name: Option<String>,
    /// As the client declares it.
    pub(super) media_type: Option<String>,
    field: Field<'static>,
    around: Arc<Around>,
}

impl Form {
    /// Of a body whose type has this `boundary`.
    pub(super) fn of(body: Body, boundary: String, bytes_per_second_min: u64) -> Self {
        let around = Arc::new(Around::default());
        let state = (Pieces::of(body, bytes_per_second_min), Arc::clone(&around));
        let pieces = stream::try_unfold(state, |(mut pieces, around)| async move {
            // the parser has to look at the last piece before it gets another
            tokio::task::yield_now().await;
            around.check().map_err(Stopped)?;
            let piece = pieces.next().await.map_err(Stopped)?;
            Ok::<_, Stopped>(piece.map(|piece| {
                around.came.fetch_add(piece.len() as u64, Ordering::Relaxed);
                (piece, (pieces, around))
            }))
        });
        Self {
            parts: Multipart::new(pieces, boundary),
            around,
        }
    }

    /// Reads up to the file, or to the end; the fields on the way are put where they belong. What was begun must have
    /// been read to its end, or dropped.
    pub(super) async fn next(&mut self, fields: &mut Fields) -> Result<Option<File>, Refused> {
        while let Some(mut field) = self.parts.next_field().await.map_err(unreadable)? {
            let name = field.name().unwrap_or_default().to_owned();
            if name == FILE {
                return Ok(Some(File {
                    name: field.file_name().map(str::to_owned),
                    media_type: field.content_type().map(|given| given.essence_str().to_owned()),
                    field,
                    around: Arc::clone(&self.around),
                }));
            }
            let mut text = Vec::new();
            while let Some(piece) = field.chunk().await.map_err(unreadable)? {
                text.extend_from_slice(&piece);
            }
            let text = String::from_utf8(text)
                .map_err(|_| Refused::bad_request(format!("`{}` is not UTF-8", cut(&name, 100))))?;
            fields.put(&name, text)?;
        }
        Ok(None)
    }
}

impl File {
    /// The next bytes; `None` at the end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Refused> {
        let piece = self.field.chunk().await.map_err(unreadable)?;
        if let Some(piece) = &piece {
            let bytes = piece.len() as u64;
            self.around.passed_on.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(piece)
    }
}

impl Around {
    fn check(&self) -> Result<(), Refused> {
        let (came, passed_on) = (&self.came, &self.passed_on);
        let kept = came.load(Ordering::Relaxed) - passed_on.load(Ordering::Relaxed);
        if kept <= AROUND_BYTES_MAX {
            return Ok(());
        }
        let message = format!("the form has more than {AROUND_BYTES_MAX} bytes beside its part `{FILE}`");
        Err(Refused::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "FORM_TOO_LARGE",
            message,
        ))
    }
}

/// A refusal on its way through the parser.
#[derive(Debug, thiserror::Error)]
#[error("the body was refused")]
struct Stopped(Refused);

fn unreadable(error: multer::Error) -> Refused {
    match error {
        multer::Error::StreamReadFailed(stopped) => match stopped.downcast::<Stopped>() {
            Ok(stopped) => stopped.0,
            Err(_) => Refused::cut_short(),
        },
        error => Refused::bad_request(format!(
            "the form cannot be read: {}",
            cut(&error.to_string(), 200)
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const KNOWN: &[&str] = &["project", "profile"];

    fn form(pieces: Vec<Vec<u8>>) -> Form {
        let pieces = pieces.into_iter().map(Ok::<_, io::Error>);
        Form::of(Body::from_stream(stream::iter(pieces)), "x".to_owned(), 0)
    }

    async fn read(form: &mut Form) -> Result<(Fields, Vec<u8>), Refused> {
        let mut fields = Fields::of(KNOWN, None, &axum::http::HeaderMap::new())?;
        let mut bytes = Vec::new();
        while let Some(mut file) = form.next(&mut fields).await? {
            while let Some(piece) = file.piece().await? {
                bytes.extend_from_slice(&piece);
            }
        }
        Ok((fields, bytes))
    }

    fn part(name: &str, text: &str) -> String {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
    }

    #[tokio::test]
    async fn fields_may_stand_on_both_sides_of_the_file_and_pieces_anywhere() {
        let whole = [
            part("project", "shop"),
            part("file", "bytes\r\n--y"),
            part("profile", "deep"),
        ];
        let whole = whole.concat() + "--x--\r\n";
        for size in [1, 2, 7, 1000] {
            let pieces = whole.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
            let (fields, bytes) = read(&mut form(pieces)).await.unwrap();
            assert_eq!(fields.text("project"), Some("shop"), "{size}");
            assert_eq!(fields.text("profile"), Some("deep"), "{size}");
            assert_eq!(bytes, b"bytes\r\n--y", "{size}");
        }
    }

    #[tokio::test]
    async fn a_file_may_be_large_and_all_else_may_not() {
        let large = "a".repeat(3 * AROUND_BYTES_MAX as usize);
        let pieces = |text: String| text.as_bytes().chunks(10_000).map(<[u8]>::to_vec).collect();
        let (_, bytes) = read(&mut form(pieces(part("file", &large) + "--x--")))
            .await
            .unwrap();
        assert_eq!(bytes.len(), large.len());
        for endless in [
            part("project", &large),
            large.clone(),
            format!("--x\r\nContent-Disposition: {large}"),
        ] {
            let refused = read(&mut form(pieces(endless))).await.unwrap_err();
            assert_eq!(refused.code(), "FORM_TOO_LARGE");
        }
    }

    #[tokio::test]
    async fn a_form_that_is_none_is_refused_with_a_reason() {
        for broken in [
            "",
            "no form",
            "--x\r\n\r\n",
            &part("project", "shop"),
            &part("other", "x"),
        ] {
            let pieces = vec![broken.as_bytes().to_vec()];
            let refused = read(&mut form(pieces)).await.unwrap_err();
            assert_eq!(refused.code(), "BAD_REQUEST", "{broken:?}");
        }
    }

    #[tokio::test]
    async fn a_form_that_is_cut_may_be_sent_again() {
        let sent = [
            Ok(Bytes::from(part("file", "half"))),
            Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        ];
        let mut form = Form::of(Body::from_stream(stream::iter(sent)), "x".to_owned(), 0);
        let refused = read(&mut form).await.unwrap_err();
        assert_eq!(refused.code(), "BODY_CUT");
    }
}
