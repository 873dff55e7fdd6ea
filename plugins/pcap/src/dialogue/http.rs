//! HTTP requests: credentials in the `Authorization` header, in forms and in addresses.
//!
//! Only the client's side is read; what a server answers changes nothing about a password that was
//! on the wire. Heads are read by the `httparse` crate. A body is looked at when it is a form or a
//! small JSON text, and skipped otherwise.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use httparse::{Request, Status};

use super::{Fed, Scene, Side, argument, name};
use crate::findings::{Place, Sighting};
use crate::rules;

/// A request's head; servers refuse longer ones.
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 100;
/// A form; a login has a hundred bytes.
const FORM_BYTES: u64 = 8 * 1024;
const METHODS: [&[u8]; 9] = [
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"PROPFIND ",
    b"TRACE ",
];
/// Fields whose value is a password. Compared without case and without `_` and `-`.
const PASSWORD_FIELDS: [&str; 12] = [
    "password",
    "passwd",
    "pass",
    "pwd",
    "passphrase",
    "userpassword",
    "loginpassword",
    "passwort",
    "contrasena",
    "motdepasse",
    "pw",
    "userpass",
];
const USER_FIELDS: [&str; 12] = [
    "username",
    "user",
    "login",
    "email",
    "userid",
    "uid",
    "uname",
    "account",
    "loginname",
    "mail",
    "name",
    "usr",
];
/// A chunk's length, with its extensions.
const CHUNK_LINE_BYTES: usize = 1024;
const PROTOCOL: &str = "tcp/http";

/// Whether a client that begins so speaks HTTP.
pub(super) fn is_request(bytes: &[u8]) -> bool {
    METHODS.iter().any(|method| bytes.starts_with(method))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Encoded,
    Json,
}

/// A body that is worth reading, and where it goes.
struct Body {
    form: Form,
    bytes: usize,
    target: String,
}

/// Where in a body of chunks the next line stands.
#[derive(Default)]
struct Chunks {
    /// Behind the last chunk, which has no bytes.
    trailing: bool,
}

impl Chunks {
    /// The bytes to pass over before the next line; nothing when the body ends, or is none.
    fn line(&mut self, line: &[u8]) -> Option<u64> {
        if self.trailing {
            return (!line.is_empty()).then_some(0);
        }
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let bytes = u64::from_str_radix(str::from_utf8(digits.trim_ascii()).ok()?, 16).ok()?;
        self.trailing = bytes == 0;
        // With the line end behind it.
        Some(if bytes == 0 { 0 } else { bytes.saturating_add(2) })
    }
}

/// See the module's description.
#[derive(Default)]
pub(crate) struct Http {
    skip: u64,
    /// A body in chunks, which is passed over.
    chunks: Option<Chunks>,
    body: Option<Box<Body>>,
}

impl Http {
    pub(super) fn feed(&mut self, side: Side, bytes: &[u8], scene: &mut Scene<'_>) -> Fed {
        if side == Side::Server {
            return Fed::SideOver;
        }
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            if rest.is_empty() {
                return Fed::Took(taken);
            }
            if self.skip > 0 {
                let skipped = self.skip.min(rest.len() as u64);
                self.skip -= skipped;
                taken += skipped as usize;
                continue;
            }
            if let Some(chunks) = &mut self.chunks {
                let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                    return if rest.len() > CHUNK_LINE_BYTES {
                        Fed::SideOver
                    } else {
                        Fed::Took(taken)
                    };
                };
                taken += end + 1;
                match chunks.line(rest.get(..end).unwrap_or_default().trim_ascii()) {
                    Some(skip) => self.skip = skip,
                    None => self.chunks = None,
                }
                continue;
            }
            if let Some(body) = &self.body {
                let Some(content) = rest.get(..body.bytes) else {
                    return Fed::Took(taken);
                };
                taken += body.bytes;
                let place = Place {
                    protocol: PROTOCOL,
                    ..scene.place
                };
                read_body(body, content, place, scene);
                self.body = None;
                continue;
            }
            match self.head(rest, scene) {
                Some(0) if rest.len() < HEAD_BYTES => return Fed::Took(taken),
                Some(0) | None => return Fed::SideOver,
                Some(head) => taken += head,
            }
        }
    }

    /// The head's length; 0 when it is not whole, nothing when it is none.
    fn head(&mut self, bytes: &[u8], scene: &mut Scene<'_>) -> Option<usize> {
        let mut headers = [const { MaybeUninit::uninit() }; HEADERS];
        let mut request = Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(bytes, &mut headers) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return Some(0),
            Err(_) => return None,
        };
        let header = |wanted: &str| {
            let mut headers = request.headers.iter();
            headers
                .find(|header| header.name.eq_ignore_ascii_case(wanted))
                .map(|header| header.value.trim_ascii())
        };
        let path = request.path.unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let host = header("host").map(name).unwrap_or_default();
        let target = format!(
            "{} http://{host}{}",
            request.method.unwrap_or_default(),
            name(path.as_bytes())
        );
        let place = Place {
            protocol: PROTOCOL,
            ..scene.place
        };
        for field in ["authorization", "proxy-authorization"] {
            if let Some(value) = header(field) {
                authorization(value, &target, place, scene);
            }
        }
        if !query.is_empty() {
            let pairs = form_urlencoded::parse(query.as_bytes());
            if let Some(login) = credentials(pairs) {
                tell_form(&rules::HTTP_QUERY, &login, &target, place, scene);
            }
        }
        if header("transfer-encoding").is_some() {
            self.chunks = Some(Chunks::default());
            return Some(length);
        }
        let content_length =
            header("content-length").and_then(|value| str::from_utf8(value).ok()?.parse().ok());
        self.expect(
            content_length.unwrap_or(0),
            header("content-type").unwrap_or_default(),
            target,
        );
        Some(length)
    }

    fn expect(&mut self, bytes: u64, content_type: &[u8], target: String) {
        let begins = |word: &[u8]| {
            content_type
                .get(..word.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(word))
        };
        let form = if begins(b"application/x-www-form-urlencoded") {
            Some(Form::Encoded)
        } else if begins(b"application/json") {
            Some(Form::Json)
        } else {
            None
        };
        match form {
            Some(form) if bytes > 0 && bytes <= FORM_BYTES => {
                self.body = Some(Box::new(Body {
                    form,
                    bytes: bytes as usize,
                    target,
                }));
            }
            _ => self.skip = bytes,
        }
    }
}

fn authorization(value: &[u8], target: &str, place: Place, scene: &mut Scene<'_>) {
    if let Some(encoded) = argument(value, "Basic") {
        let decoded = STANDARD.decode(encoded).unwrap_or_default();
        let Some(colon) = decoded.iter().position(|byte| *byte == b':') else {
            return;
        };
        let user = name(decoded.get(..colon).unwrap_or_default());
        let identity = scene
            .host
            .secret_identity(decoded.get(colon + 1..).unwrap_or_default());
        let message = format!(
            "`{user}` authenticated with HTTP Basic without encryption, first at `{target}`; anybody on the way reads \
             the password [redacted]."
        );
        scene
            .findings
            .see(Sighting::new(&rules::HTTP_BASIC, place, &user, message).of_secret(identity));
    } else if let Some(token) = argument(value, "Bearer") {
        let identity = scene.host.secret_identity(token);
        let message = format!(
            "An access token [redacted] was sent without encryption, first at `{target}`; who reads it can act with it."
        );
        scene
            .findings
            .see(Sighting::new(&rules::HTTP_BEARER, place, "", message).of_secret(identity));
    }
}

fn read_body(body: &Body, content: &[u8], place: Place, scene: &mut Scene<'_>) {
    let members: serde_json::Map<String, serde_json::Value>;
    let found = match body.form {
        Form::Encoded => credentials(form_urlencoded::parse(content)),
        Form::Json => {
            members = serde_json::from_slice(content).unwrap_or_default();
            let texts = members.iter().filter_map(|(key, value)| {
                let text = value.as_str()?;
                Some((Cow::Borrowed(key.as_str()), Cow::Borrowed(text)))
            });
            credentials(texts)
        }
    };
    if let Some(login) = found {
        tell_form(&rules::HTTP_FORM, &login, &body.target, place, scene);
    }
}

/// What a form holds of a login.
struct Login<'text> {
    field: String,
    user: String,
    password: Cow<'text, str>,
}

/// The first password among fields, and the first user name.
fn credentials<'text>(
    pairs: impl Iterator<Item = (Cow<'text, str>, Cow<'text, str>)>,
) -> Option<Login<'text>> {
    let (mut found, mut user) = (None, None);
    for (key, value) in pairs {
        let plain: String = key
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|character| character.to_ascii_lowercase())
            .take(64)
            .collect();
        if PASSWORD_FIELDS.contains(&plain.as_str()) && !value.is_empty() {
            found = found.or_else(|| Some((name(key.as_bytes()), value)));
        } else if USER_FIELDS.contains(&plain.as_str()) {
            user = user.or_else(|| Some(name(value.as_bytes())));
        }
    }
    let (field, password) = found?;
    Some(Login {
        field,
        user: user.unwrap_or_default(),
        password,
    })
}

fn tell_form(
    rule: &'static rules::Rule,
    login: &Login<'_>,
    target: &str,
    place: Place,
    scene: &mut Scene<'_>,
) {
    let Login {
        field,
        user,
        password,
    } = login;
    let who = if user.is_empty() {
        "Somebody".to_owned()
    } else {
        format!("`{user}`")
    };
    let message = format!(
        "{who} sent a login to `{target}` without encryption; anybody on the way reads the field `{field}` \
         [redacted]."
    );
    let identity = scene.host.secret_identity(password.as_bytes());
    // By target: a tool that attacks a form sends a thousand names.
    let subject = target.split_once(' ').map_or(target, |(_, address)| address);
    let sighting = Sighting::new(rule, place, subject, message);
    scene.findings.see(sighting.of_secret(identity));
}
