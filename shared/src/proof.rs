//! How a page and the runner show each other who they are before anything else is said, and how they get to
//! know each other.
//!
//! A page and the runner each have a pair of keys (ECDSA, P-256, SHA-256). Pairing makes each known to the
//! other, under a one-time code that neither sends. On every socket each signs a text with the other's fresh
//! nonce in it, the runner first. The texts are made here, for both sides; `docs/protocol.md` describes them
//! for other languages.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::output::Bytes;
use crate::{ClientId, Problem};
use serde::{Deserialize, Serialize};

/// Begins the subprotocol by which a page asks the runner to prove itself: `proof.<client>.<nonce>`. Never
/// echoed.
pub const OFFER_PREFIX: &str = "proof.";
/// How long a nonce is, in bytes.
pub const NONCE_BYTES: usize = 32;
/// How long a public key is, in bytes: a point of the curve, not compressed.
pub const KEY_BYTES: usize = 65;
/// How long a signature is, in bytes: `r` and `s`.
pub const SIGNATURE_BYTES: usize = 64;

/// What a page sends before its `hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientProof {
    /// The answer to the runner's.
    Prove {
        /// The page's, over [`Meeting::text`].
        signature: Bytes,
    },
}

/// What the runner sends to a page before its `welcome`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunnerProof {
    /// The first frame of a socket whose page asked for it.
    Prove {
        /// [`NONCE_BYTES`] for the page to sign.
        nonce: Bytes,
        /// The runner's, over [`Meeting::text`].
        signature: Bytes,
    },
    /// The page's signature was right: now it says `hello`.
    Admitted {
        /// For this page's own HTTP requests while this socket is open, as `Authorization: Bearer`.
        token: String,
    },
    /// It was not, or the client is no longer known.
    Problem {
        /// What.
        problem: Problem,
    },
}

/// The body of `POST /api/pair`: a program sends a code and gets a credential; a page sends its key and shows
/// that it knows a code.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairRequest {
    /// A program's code.
    #[serde(default)]
    pub code: Option<String>,
    /// A page's public key.
    #[serde(default)]
    pub key: Option<Bytes>,
    /// What shows that it knows a code: over [`Introduction::request`].
    #[serde(default)]
    pub proof: Option<Bytes>,
    /// What the list of clients shows.
    #[serde(default)]
    pub name: String,
}

/// The answer to a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PagePaired {
    /// The page's id from now on.
    pub client: ClientId,
    /// The runner's public key.
    pub key: Bytes,
    /// What shows that the runner knows the code: over [`Introduction::answer`].
    pub proof: Bytes,
}

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that runs commands.
    Runner,
    /// The page.
    Client,
}

impl Role {
    const fn word(self) -> &'static str {
        match self {
            Self::Runner => "runner",
            Self::Client => "client",
        }
    }
}

/// A socket on which both prove themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// To whom the page believes it speaks: the `Host` header.
    pub host: String,
    /// Where the page comes from: the `Origin` header.
    pub origin: String,
    /// Who the page says it is.
    pub client: ClientId,
    /// The page's nonce.
    pub nonce: [u8; NONCE_BYTES],
}

impl Meeting {
    /// The subprotocol that a page offers.
    #[must_use]
    pub fn offer(&self) -> String {
        format!("{OFFER_PREFIX}{}.{}", self.client, URL_SAFE_NO_PAD.encode(self.nonce))
    }

    /// What an offer says, and with it the headers beside it.
    #[must_use]
    pub fn read(offer: &str, host: &str, origin: &str) -> Option<Self> {
        let (client, nonce) = offer.strip_prefix(OFFER_PREFIX)?.split_once('.')?;
        let client = ClientId(client.parse().ok()?);
        let nonce = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        Some(Self { host: host.to_owned(), origin: origin.to_owned(), client, nonce })
    }

    /// What is signed, with the runner's nonce.
    #[must_use]
    pub fn text(&self, signer: Role, nonce: &[u8]) -> String {
        format!(
            "meanwhile.v1 connection\n{}\n{}\n{}\n{}\n{}\n{}\n",
            signer.word(),
            self.host,
            self.origin,
            self.client,
            hex(&self.nonce),
            hex(nonce),
        )
    }
}

/// A pairing by keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction<'a> {
    /// Where the page comes from: the `Origin` header.
    pub origin: &'a str,
    /// The page's public key.
    pub key: &'a [u8],
    /// What the page calls itself.
    pub name: &'a str,
}

impl Introduction<'_> {
    /// What the page shows that it knows the code for (HMAC with SHA-256, the code as text being the key).
    #[must_use]
    pub fn request(&self) -> String {
        format!("meanwhile.v1 pairing\nclient\n{}\n{}\n{}", self.origin, hex(self.key), self.name)
    }

    /// What the runner shows it for in its answer.
    #[must_use]
    pub fn answer(&self, client: ClientId, runner: &[u8]) -> String {
        format!("meanwhile.v1 pairing\nrunner\n{}\n{}\n{client}\n{}", self.origin, hex(self.key), hex(runner))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn meeting() -> Meeting {
        Meeting {
            host: "127.0.0.1:8757".to_owned(),
            origin: "http://127.0.0.1:8757".to_owned(),
            client: ClientId(Uuid::from_u128(7)),
            nonce: [0xab; NONCE_BYTES],
        }
    }

    #[test]
    fn an_offer_is_read_as_it_was_written() {
        let meeting = meeting();
        let offer = meeting.offer();
        assert!(offer.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{offer}");
        assert_eq!(Meeting::read(&offer, &meeting.host, &meeting.origin), Some(meeting));
        for wrong in [
            "",
            "proof.",
            "proof.x.y",
            "bearer.x",
            &offer[..offer.len() - 1],
            &format!("{offer}A"),
            &format!("{offer}.x"),
        ] {
            assert_eq!(Meeting::read(wrong, "", ""), None, "{wrong}");
        }
    }

    /// The texts are the protocol: another language makes the same.
    #[test]
    fn the_texts_are_the_documented_ones() {
        let client = "00000000-0000-0000-0000-000000000007";
        assert_eq!(
            meeting().text(Role::Runner, &[1, 2]),
            format!(
                "meanwhile.v1 connection\nrunner\n127.0.0.1:8757\nhttp://127.0.0.1:8757\n{client}\n{}\n0102\n",
                "ab".repeat(32)
            )
        );
        assert!(meeting().text(Role::Client, &[1]).starts_with("meanwhile.v1 connection\nclient\n"));
        let introduction = Introduction { origin: "http://a", key: &[4, 255], name: "Firefox" };
        assert_eq!(introduction.request(), "meanwhile.v1 pairing\nclient\nhttp://a\n04ff\nFirefox");
        assert_eq!(
            introduction.answer(ClientId(Uuid::from_u128(7)), &[4, 1]),
            format!("meanwhile.v1 pairing\nrunner\nhttp://a\n04ff\n{client}\n0401")
        );
    }
}
