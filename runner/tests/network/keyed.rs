//! A page without a browser: it has a key, and knows the runner's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use serde_json::{Value, json};
use shared::ClientId;
use shared::proof::{Introduction, Meeting, NONCE_BYTES, Role};

use crate::support::{Answer, Runner, Socket};

/// A pair of keys.
pub(crate) struct Key(EcdsaKeyPair);

impl Key {
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random).unwrap())
    }

    pub(crate) fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    pub(crate) fn sign(&self, text: &str) -> Vec<u8> {
        self.0.sign(&SystemRandom::new(), text.as_bytes()).unwrap().as_ref().to_vec()
    }
}

/// A page that is paired.
pub(crate) struct Page {
    pub(crate) key: Key,
    pub(crate) client: ClientId,
    /// The runner's key, as it was told at the pairing.
    pub(crate) runner: Vec<u8>,
}

/// A socket on which the runner has proved itself, and the page not yet.
pub(crate) struct Met {
    pub(crate) socket: Socket,
    pub(crate) meeting: Meeting,
    /// The runner's nonce.
    pub(crate) nonce: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

pub(crate) fn mac(code: &str, text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, code.as_bytes()), text.as_bytes()).as_ref().to_vec()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_else(|| panic!("{value} is no text"))).unwrap()
}

/// What a page sends for its pairing.
pub(crate) fn introduce(code: &str, introduction: &Introduction<'_>) -> Value {
    let proof = mac(code, &introduction.request());
    json!({"key": text(introduction.key), "name": introduction.name, "proof": text(&proof)})
}

impl Page {
    /// Pairs a fresh page by a code.
    pub(crate) async fn pair(runner: &Runner, code: &str) -> Self {
        let key = Key::new();
        let origin = runner.origin();
        let introduction = Introduction { origin: &origin, key: key.public(), name: "a page" };
        let answer = runner.post("/api/pair", &[], &introduce(code, &introduction)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer = answer.json();
        let client = ClientId(answer["client"].as_str().unwrap().parse().unwrap());
        let runners = bytes(&answer["key"]);
        assert_eq!(bytes(&answer["proof"]), mac(code, &introduction.answer(client, &runners)));
        Self { client, runner: runners, key }
    }

    /// What this page would say to this runner.
    pub(crate) fn meeting(&self, runner: &Runner) -> Meeting {
        let mut nonce = [0; NONCE_BYTES];
        ring::rand::SecureRandom::fill(&SystemRandom::new(), &mut nonce).unwrap();
        let host = format!("127.0.0.1:{}", runner.port);
        Meeting { host, origin: runner.origin(), client: self.client, nonce }
    }

    /// Opens a socket and hears the runner's proof, which must be right.
    pub(crate) async fn meet(&self, runner: &Runner) -> Met {
        let met = self.try_meet(runner).await;
        assert!(self.trusts(&met), "the runner's signature is wrong");
        met
    }

    /// The same, whatever the proof.
    pub(crate) async fn try_meet(&self, runner: &Runner) -> Met {
        let meeting = self.meeting(runner);
        let protocols = format!("meanwhile.v1, {}", meeting.offer());
        let mut socket = runner
            .try_connect(&[("Sec-WebSocket-Protocol", &protocols)])
            .await
            .expect("the handshake was refused");
        let proof = socket.next().await.unwrap();
        assert_eq!(proof["type"], "prove", "{proof}");
        Met { socket, meeting, nonce: bytes(&proof["nonce"]), signature: bytes(&proof["signature"]) }
    }

    /// Whether the runner's signature is that of the one that this page was paired with.
    pub(crate) fn trusts(&self, met: &Met) -> bool {
        let text = met.meeting.text(Role::Runner, &met.nonce);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.runner)
            .verify(text.as_bytes(), &met.signature)
            .is_ok()
    }

    /// This page's answer to the runner's proof.
    pub(crate) fn proof(&self, met: &Met) -> Value {
        let signature = self.key.sign(&met.meeting.text(Role::Client, &met.nonce));
        json!({"type": "prove", "signature": text(&signature)})
    }

    /// Opens a socket, both proved; and the token.
    pub(crate) async fn connect(&self, runner: &Runner) -> (Socket, String) {
        let mut met = self.meet(runner).await;
        met.socket.send(self.proof(&met)).await;
        let admitted = met.socket.next().await.unwrap();
        assert_eq!(admitted["type"], "admitted", "{admitted}");
        (met.socket, admitted["token"].as_str().unwrap().to_owned())
    }
}

/// Asks whether a credential or token is good.
pub(crate) async fn health(runner: &Runner, shown: &str) -> Answer {
    runner.ask("GET /api/health", &[("Authorization", &format!("Bearer {shown}"))], "").await
}
