//! Tokens of workers that do not have the database: `tmw_` + 43 characters of secret + 6 of checksum.
//!
//! They are the operator's and name no tenant; what [`crate::token`] says about secret, hash and checksum
//! holds here, too.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::token::{HINT_CHARACTERS, TokenError, TokenHash, checked, made};

const PREFIX: &str = "tmw_";

/// A whole token, shown once. Its `Debug` hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct WorkerToken(String);

impl WorkerToken {
    /// A token from 256 random bits.
    pub fn from_random(bits: [u8; 32]) -> Self {
        Self(made(PREFIX, "", bits))
    }

    /// Checks shape and checksum; says nothing about whether the token is known.
    ///
    /// # Errors
    /// [`TokenError`] says which check failed.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        Ok(Self(checked(text, PREFIX, 0)?))
    }

    /// The text to show once or to send.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What may be stored.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }

    /// The first characters of the secret, to recognise a token in a list.
    pub fn hint(&self) -> &str {
        &self.0[PREFIX.len()..PREFIX.len() + HINT_CHARACTERS]
    }
}

impl fmt::Debug for WorkerToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WorkerToken({PREFIX}{}…)", self.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_token_parses_and_hides_its_secret() {
        let token = WorkerToken::from_random([0xAB; 32]);
        assert_eq!(WorkerToken::parse(token.reveal()), Ok(token.clone()));
        assert!(!format!("{token:?}").contains(&token.reveal()[12..]));
        assert_ne!(token.hash(), WorkerToken::from_random([0xAC; 32]).hash());
    }

    #[test]
    fn another_kind_of_token_and_a_typing_mistake_are_refused() {
        let mut typo = WorkerToken::from_random([7; 32]).reveal().to_owned();
        let last = if typo.ends_with('a') { 'b' } else { 'a' };
        typo.pop();
        typo.push(last);
        assert_eq!(WorkerToken::parse(&typo), Err(TokenError::Checksum));
        let of_tenant = crate::token::Token::from_random(crate::TenantId::fresh(), [7; 32]);
        assert_eq!(WorkerToken::parse(of_tenant.reveal()), Err(TokenError::Shape));
    }
}
