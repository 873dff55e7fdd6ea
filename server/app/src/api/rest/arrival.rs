//! A request that brings a file: as the whole body, or as a part of a form.
//!
//! What the body's head tells is judged before a byte of it is read; of a form that is less, because its fields may stand
//! behind its file. The file goes to the blob store meanwhile and stays there only if the request is taken.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use tamiz_store::token::{Caller, Role};

use super::Rest;
use super::fields::Fields;
use super::form::{AROUND_BYTES_MAX, FILE, Form};
use super::order::Received;
use super::repeat::Key;
use crate::api::intake::{self, BYTES_PER_SECOND_MIN, Receiving};
use crate::api::pieces::Pieces;
use crate::api::refused::Refused;
use crate::api::uploads::UNKNOWN_TYPE;
use crate::flow::require;

/// What a file may come as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Envelope {
    /// A form.
    Form,
    /// A form, or the body as it is.
    Any,
}

/// A route that takes a file.
pub(super) struct FileRoute {
    /// Its address; an idempotency key is of one address.
    pub(super) path: &'static str,
    /// What may be said beside the file.
    pub(super) fields: &'static [&'static str],
    /// What the file may come as.
    pub(super) envelope: Envelope,
    /// The file is a report, and is converted; all else is scanned.
    pub(super) is_report: bool,
}

/// What the fields of a request ask for.
pub(super) trait FromFields: Sized {
    /// Reads and judges them.
    fn read(
        fields: &Fields,
        rest: &Rest,
        caller: &Caller,
    ) -> impl Future<Output = Result<Self, Refused>> + Send;
}

/// A request with all that came with it.
pub(super) struct Arrived<Order> {
    pub(super) key: Option<Key>,
    pub(super) order: Order,
    pub(super) received: Received,
}

impl FileRoute {
    /// Takes a request in. What it asks for is judged before its file, where all fields are known by then.
    pub(super) async fn receive<Order: FromFields>(
        &self,
        rest: &Rest,
        caller: &Caller,
        request: Request,
    ) -> Result<Arrived<Order>, Refused> {
        let (head, body) = request.into_parts();
        let key = Key::of(&head.headers, caller.scope.tenant_id(), self.path)?;
        let mut arrival = Arrival::open(self, rest, caller, &head, body).await?;
        let early = if arrival.has_all_fields() {
            Some(Order::read(&arrival.fields, rest, caller).await?)
        } else {
            None
        };
        let bytes = arrival.receive(rest, caller).await?;
        let order = match early {
            Some(order) => order,
            None => Order::read(&arrival.fields, rest, caller).await?,
        };
        let received = Received {
            bytes,
            file_name: arrival.file_name().to_owned(),
            media_type: arrival.media_type,
            is_report: self.is_report,
        };
        Ok(Arrived { key, order, received })
    }
}

/// A request on its way in.
struct Arrival {
    fields: Fields,
    coming: Option<Coming>,
    announced: Option<u64>,
    /// The file's type, a hint.
    media_type: String,
    /// As a form calls the file.
    file_name: Option<String>,
}

enum Coming {
    Raw(Pieces),
    Form(Form),
}

impl Arrival {
    /// Judges the head; nothing of the body is read.
    async fn open(
        route: &FileRoute,
        rest: &Rest,
        caller: &Caller,
        head: &Parts,
        body: Body,
    ) -> Result<Self, Refused> {
        // who may not write is told so before anything about the request
        require(caller, Role::Analyst).map_err(|refusal| intake::refused(refusal.into()))?;
        let headers = &head.headers;
        let fields = Fields::of(route.fields, head.uri.query(), headers)?;
        let media_type = essence(headers);
        let boundary = boundary(headers)?;
        let is_form = boundary.is_some();
        check_encoding(headers, is_form)?;
        if !is_form && route.envelope == Envelope::Form {
            return Err(unsupported(
                "send a form (multipart/form-data) with a part `file`",
            ));
        }
        let around = if is_form { AROUND_BYTES_MAX } else { 0 };
        let announced = rest.intake.announced(headers, caller, around).await?;
        let coming = match boundary {
            None => Coming::Raw(Pieces::of(body, BYTES_PER_SECOND_MIN)),
            Some(boundary) => Coming::Form(Form::of(body, boundary, BYTES_PER_SECOND_MIN)),
        };
        Ok(Self {
            fields,
            coming: Some(coming),
            // how much of a form is its file is not told
            announced: announced.filter(|_| !is_form),
            media_type,
            file_name: None,
        })
    }

    /// Whether all fields are known already.
    const fn has_all_fields(&self) -> bool {
        matches!(self.coming, None | Some(Coming::Raw(_)))
    }

    /// The file's name: as the field says, or as the form does.
    fn file_name(&self) -> &str {
        let said = self.fields.text("fileName").or(self.file_name.as_deref());
        said.unwrap_or_default()
    }

    /// Takes the file in, and with a form the fields.
    async fn receive(&mut self, rest: &Rest, caller: &Caller) -> Result<Receiving, Refused> {
        let mut receiving = rest.intake.open(caller, self.announced).await?;
        match self.coming.take() {
            Some(Coming::Raw(mut pieces)) => {
                while let Some(piece) = pieces.next().await? {
                    receiving.take(piece).await?;
                }
            }
            Some(Coming::Form(form)) => self.receive_form(form, &mut receiving).await?,
            None => {}
        }
        Ok(receiving)
    }

    async fn receive_form(&mut self, mut form: Form, receiving: &mut Receiving) -> Result<(), Refused> {
        let mut files = 0;
        while let Some(mut file) = form.next(&mut self.fields).await? {
            files += 1;
            if files > 1 {
                return Err(Refused::bad_request(format!("the form has two parts `{FILE}`")));
            }
            self.file_name = file.name.take();
            self.media_type = file.media_type.take().unwrap_or_else(|| UNKNOWN_TYPE.to_owned());
            while let Some(piece) = file.piece().await? {
                receiving.take(piece).await?;
            }
        }
        if files == 0 {
            return Err(Refused::bad_request(format!("the form has no part `{FILE}`")));
        }
        Ok(())
    }
}

fn essence(headers: &HeaderMap) -> String {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given
        .unwrap_or(UNKNOWN_TYPE)
        .split(';')
        .next()
        .unwrap_or_default();
    match essence.trim() {
        // what curl --data-binary says about everything
        "" | "application/x-www-form-urlencoded" => UNKNOWN_TYPE.to_owned(),
        essence => essence.to_owned(),
    }
}

/// The boundary of a form; `None` for a body that is none.
fn boundary(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let essence = essence(headers).to_ascii_lowercase();
    if !essence.starts_with("multipart/") {
        return Ok(None);
    }
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = multer::parse_boundary(given.unwrap_or_default());
    let boundary =
        boundary.map_err(|_| unsupported("the form must be multipart/form-data with a boundary"))?;
    Ok(Some(boundary))
}

/// Reports may come as gzip, which is what they are stored as: whoever reads them unpacks them.
fn check_encoding(headers: &HeaderMap, is_form: bool) -> Result<(), Refused> {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else {
        return Ok(());
    };
    let encoding = encoding.as_bytes().to_ascii_lowercase();
    match encoding.as_slice() {
        b"identity" => Ok(()),
        b"gzip" | b"x-gzip" if !is_form => Ok(()),
        _ => Err(unsupported("send the body as it is; a report may be gzip")),
    }
}

pub(super) fn unsupported(message: &str) -> Refused {
    Refused::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "UNSUPPORTED_MEDIA_TYPE",
        message,
    )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(given: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(given))])
    }

    #[test]
    fn a_form_is_told_from_a_body_by_its_type() {
        let of = |given| boundary(&headers(given)).map_err(|refused| refused.code().to_owned());
        assert_eq!(of("application/json"), Ok(None));
        assert_eq!(
            of("multipart/form-data; boundary=abc"),
            Ok(Some("abc".to_owned()))
        );
        for bad in ["multipart/form-data", "Multipart/Mixed; boundary=abc"] {
            assert_eq!(of(bad), Err("UNSUPPORTED_MEDIA_TYPE".to_owned()), "{bad}");
        }
        assert_eq!(
            essence(&headers("application/x-www-form-urlencoded")),
            UNKNOWN_TYPE
        );
        assert_eq!(essence(&HeaderMap::new()), UNKNOWN_TYPE);
    }

    #[test]
    fn a_report_may_be_packed_and_a_form_may_not() {
        let packed = |encoding| {
            let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(encoding))]);
            [false, true].map(|is_form| check_encoding(&headers, is_form).is_ok())
        };
        assert_eq!(packed("gzip"), [true, false]);
        assert_eq!(packed("identity"), [true, true]);
        assert_eq!(packed("br"), [false, false]);
    }
}
