//! API tokens: `tmz_` + 22 characters of tenant id + 43 of secret + 6 of checksum, all base 62.
//!
//! The tenant id is a hint where to look, so that even the look-up runs inside one tenant's
//! row-level security; it proves nothing. The secret is 256 random bits, so a plain SHA-256 of the token is enough to store: there is
//! nothing to guess (a password would need argon2id). The checksum (the first 32 bits of a SHA-256
//! over what stands before it) lets secret scanners and typos be told from real tokens without a look-up.
//!
//! An operator's token is `tmo_` + secret + checksum: it names no tenant and opens nothing of one.

use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::id::TenantId;

const PREFIX: &str = "tmz_";
const OPERATOR_PREFIX: &str = "tmo_";
const TENANT_CHARACTERS: usize = 22;
const SECRET_CHARACTERS: usize = 43;
const CHECKSUM_CHARACTERS: usize = 6;
/// Of the secret, to recognise a token in a list.
pub(crate) const HINT_CHARACTERS: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A whole token, shown once. Its `Debug` hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// What is stored of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

/// Why a text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Wrong prefix, length or alphabet.
    #[error("a token looks like tmz_ and 71 letters and digits, an operator's like tmo_ and 49")]
    Shape,
    /// The last six characters do not fit the rest.
    #[error("the token is mistyped: its checksum does not fit")]
    Checksum,
}

impl Token {
    /// A token of `tenant` from 256 random bits.
    pub fn from_random(tenant: TenantId, bits: [u8; 32]) -> Self {
        let tenant = base62::<TENANT_CHARACTERS>(tenant.uuid().as_bytes());
        Self(made(PREFIX, &tenant, bits))
    }

    /// An operator's token from 256 random bits.
    pub fn of_operator(bits: [u8; 32]) -> Self {
        Self(made(OPERATOR_PREFIX, "", bits))
    }

    /// Checks shape and checksum; says nothing about whether the token is known.
    ///
    /// # Errors
    /// [`TokenError`] says which check failed.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.starts_with(OPERATOR_PREFIX) {
            return Ok(Self(checked(text, OPERATOR_PREFIX, 0)?));
        }
        let token = Self(checked(text, PREFIX, TENANT_CHARACTERS)?);
        token.tenant_digits().ok_or(TokenError::Checksum)?;
        Ok(token)
    }

    /// The tenant that the token claims to be of: where to look it up, not a proof. An operator's is of none.
    pub fn claimed_tenant(&self) -> Option<TenantId> {
        if self.is_operators() {
            return None;
        }
        Some(TenantId::from(Uuid::from_u128(self.tenant_digits()?)))
    }

    fn is_operators(&self) -> bool {
        self.0.starts_with(OPERATOR_PREFIX)
    }

    fn tenant_digits(&self) -> Option<u128> {
        self.0
            .bytes()
            .skip(PREFIX.len())
            .take(TENANT_CHARACTERS)
            .try_fold(0_u128, |number, byte| {
                let digit = ALPHABET.iter().position(|letter| *letter == byte)?;
                number.checked_mul(62)?.checked_add(digit as u128)
            })
    }

    /// The text to show once or to send.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What may be stored.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }

    /// The first six characters of the secret, to recognise a token in a list.
    pub fn hint(&self) -> &str {
        let tenant_characters = if self.is_operators() { 0 } else { TENANT_CHARACTERS };
        let start = PREFIX.len() + tenant_characters;
        &self.0[start..start + HINT_CHARACTERS]
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token({}…{}…)", &self.0[..PREFIX.len()], self.hint())
    }
}

/// A token's text: its prefix, what it names, its secret of 256 random bits, its checksum.
pub(crate) fn made(prefix: &str, named: &str, bits: [u8; 32]) -> String {
    let secret = base62::<SECRET_CHARACTERS>(&bits);
    let body = format!("{named}{secret}");
    let checksum = checksum(&body);
    format!("{prefix}{body}{checksum}")
}

/// `text` if it could be one that [`made`] made with `prefix` and a name of so many characters.
pub(crate) fn checked(text: &str, prefix: &str, named_characters: usize) -> Result<String, TokenError> {
    let body = text.strip_prefix(prefix).ok_or(TokenError::Shape)?;
    let fits = body.len() == named_characters + SECRET_CHARACTERS + CHECKSUM_CHARACTERS
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !fits {
        return Err(TokenError::Shape);
    }
    let (body, sum) = body.split_at(named_characters + SECRET_CHARACTERS);
    if checksum(body) == sum {
        Ok(text.to_owned())
    } else {
        Err(TokenError::Checksum)
    }
}

fn checksum(body: &str) -> String {
    base62::<CHECKSUM_CHARACTERS>(&Sha256::digest(body.as_bytes())[..4])
}

/// `bytes` as a number in base 62, most significant digit first, exactly `WIDTH` digits.
fn base62<const WIDTH: usize>(bytes: &[u8]) -> String {
    let mut number = bytes.to_vec();
    let mut digits = vec![b'0'; WIDTH];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = rest * 256 + u32::from(*byte);
            *byte = (value / 62) as u8;
            rest = value % 62;
        }
        *digit = ALPHABET[rest as usize];
    }
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(bits: [u8; 32]) -> Token {
        Token::from_random(TenantId::fresh(), bits)
    }

    #[test]
    fn a_fresh_token_parses_names_its_tenant_and_hides_its_secret() {
        for tenant in [TenantId::fresh(), Uuid::max().into(), Uuid::nil().into()] {
            let token = Token::from_random(tenant, [0xAB; 32]);
            assert_eq!(Token::parse(token.reveal()), Ok(token.clone()));
            assert_eq!(token.claimed_tenant(), Some(tenant));
            assert_eq!(token.reveal().len(), 4 + 22 + 43 + 6);
            assert!(!format!("{token:?}").contains(&token.reveal()[34..]));
        }
    }

    #[test]
    fn an_operators_token_parses_names_no_tenant_and_hides_its_secret() {
        let token = Token::of_operator([0xAB; 32]);
        assert_eq!(Token::parse(token.reveal()), Ok(token.clone()));
        assert_eq!(token.claimed_tenant(), None);
        assert_eq!(token.reveal().len(), 4 + 43 + 6);
        assert!(!format!("{token:?}").contains(&token.reveal()[10..]));
        let tenants = Token::from_random(TenantId::fresh(), [0xAB; 32]);
        let renamed = tenants.reveal().replace("tmz_", "tmo_");
        assert_eq!(Token::parse(&renamed), Err(TokenError::Shape));
    }

    #[test]
    fn the_largest_secret_fits_its_digits() {
        assert_ne!(token([0xFF; 32]).hash(), token([0xFE; 32]).hash());
    }

    #[test]
    fn a_typing_mistake_is_told_from_a_wrong_shape() {
        let token = token([7; 32]);
        let mut typo = token.reveal().to_owned();
        let last = if typo.ends_with('a') { 'b' } else { 'a' };
        typo.pop();
        typo.push(last);
        assert_eq!(Token::parse(&typo), Err(TokenError::Checksum));
        assert_eq!(Token::parse("ghp_x"), Err(TokenError::Shape));
        assert_eq!(Token::parse(""), Err(TokenError::Shape));
    }
}
