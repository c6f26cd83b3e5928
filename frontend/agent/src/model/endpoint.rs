//! Where a call goes: which codec an API has, and the address, the headers and the key of a way to it.

use std::collections::BTreeMap;

use shared::protocol::ModelCall as RelayCall;

use super::api::Api;
use super::chat::Chat;
use super::codec::Codec;
use super::messages::Messages;
use super::stream::Stream;
use crate::settings::Provider;

/// A way to a model, as the settings offer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// How calls go.
    pub provider: Provider,
    /// What is spoken.
    pub api: Api,
    /// What a person reads.
    pub name: &'static str,
    /// What it means, in a sentence or two.
    pub meaning: &'static str,
    /// The model that it is asked for first; empty if the person names it.
    pub model: &'static str,
}

/// The ways there are.
pub const WAYS: [Way; 5] = [
    Way {
        provider: Provider::Auto,
        api: Api::Messages,
        name: "Automatic",
        meaning: "The runner's key if it has one, otherwise the demo.",
        model: "",
    },
    Way {
        provider: Provider::Demo,
        api: Api::Messages,
        name: "Demo",
        meaning: "A scripted model inside the page: no key, no network, real commands.",
        model: "",
    },
    Way {
        provider: Provider::Relay,
        api: Api::Messages,
        name: "Anthropic, with the runner's key",
        meaning: "Calls go through the runner, which reads ANTHROPIC_API_KEY when it starts. The key never enters the page.",
        model: DEFAULT_MODEL,
    },
    Way {
        provider: Provider::Direct,
        api: Api::Messages,
        name: "Anthropic, with a key of your own",
        meaning: "Calls go from this page directly. The key is kept in this browser only.",
        model: DEFAULT_MODEL,
    },
    Way {
        provider: Provider::Direct,
        api: Api::Chat,
        name: "OpenAI, or a server that speaks its chat completions",
        meaning: "Calls go from this page directly: to OpenAI, OpenRouter, Ollama, llama.cpp, vLLM and others. Start the runner with --connect and the server's origin, such as http://127.0.0.1:11434. A server of your own may need no key.",
        model: "",
    },
];

/// The model that real calls go to unless another is chosen.
const DEFAULT_MODEL: &str = "claude-opus-5-5";

/// The model of calls this way for which none is named; empty if the person must name one.
#[must_use]
pub fn default_model(provider: Provider, api: Api) -> &'static str {
    let way = WAYS.iter().find(|way| (way.provider, way.api) == (provider, api));
    way.map_or("", |way| way.model)
}

impl Api {
    /// What speaks it.
    #[must_use]
    pub fn codec(self) -> &'static dyn Codec {
        match self {
            Self::Messages => &Messages,
            Self::Chat => &Chat,
        }
    }

    /// What reads an answer.
    #[must_use]
    pub fn stream(self) -> Stream {
        Stream::new(self.codec().reader())
    }

    /// Whether a runner that relays to these upstreams can be asked for it.
    #[must_use]
    pub fn is_relayed(self, upstreams: &[String]) -> bool {
        self.codec().wire().upstream.is_some_and(|name| upstreams.iter().any(|upstream| upstream == name))
    }
}

/// The address of a direct call. `base` is what the person gave, with or without the version, or the whole;
/// empty for the vendor's own.
#[must_use]
pub fn url(api: Api, base: &str) -> String {
    let wire = api.codec().wire();
    let base = base.trim().trim_end_matches('/');
    let base = if base.is_empty() { wire.base } else { base };
    let call = wire.path.strip_prefix("/v1").unwrap_or(wire.path);
    let has_path = base.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if base.ends_with(call) {
        base.to_owned()
    } else if base.ends_with("/v1") || (wire.base_has_version && has_path) {
        format!("{base}{call}")
    } else {
        format!("{base}{}", wire.path)
    }
}

/// The headers of a direct call from a page, without the key.
#[must_use]
pub fn headers(api: Api) -> BTreeMap<String, String> {
    let wire = api.codec().wire();
    let all = wire.headers.iter().chain(wire.page_headers);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A call through the runner's relay; `None` if it relays no such API. The relay sets the type of the content
/// itself.
#[must_use]
pub fn relayed(api: Api, call: String, body: String) -> Option<RelayCall> {
    let wire = api.codec().wire();
    let headers = wire.headers.iter().filter(|(name, _)| *name != "content-type");
    Some(RelayCall {
        call,
        upstream: wire.upstream?.to_owned(),
        path: wire.path.to_owned(),
        headers: headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_address_is_whole_however_much_of_it_was_given() {
        for (api, base, expected) in [
            (Api::Messages, "", "https://api.anthropic.com/v1/messages"),
            (Api::Messages, " http://127.0.0.1:1/ ", "http://127.0.0.1:1/v1/messages"),
            (Api::Messages, "http://h/anthropic", "http://h/anthropic/v1/messages"),
            (Api::Chat, "", "https://api.openai.com/v1/chat/completions"),
            (Api::Chat, "http://h:11434/v1/", "http://h:11434/v1/chat/completions"),
            (Api::Chat, "http://h:8080", "http://h:8080/v1/chat/completions"),
            (Api::Chat, "https://h/api/paas/v4", "https://h/api/paas/v4/chat/completions"),
            (Api::Chat, "https://h/v1beta/openai/", "https://h/v1beta/openai/chat/completions"),
            (Api::Chat, "https://h/v1/chat/completions", "https://h/v1/chat/completions"),
        ] {
            assert_eq!(url(api, base), expected);
        }
    }

    #[test]
    fn what_the_relay_is_asked() {
        let call = relayed(Api::Messages, "7".to_owned(), "{}".to_owned()).unwrap();
        assert_eq!((call.upstream.as_str(), call.path.as_str()), ("anthropic", "/v1/messages"));
        assert_eq!(call.headers.into_keys().collect::<Vec<_>>(), ["anthropic-version"]);
        assert!(relayed(Api::Chat, "7".to_owned(), "{}".to_owned()).is_none());
        assert!(Api::Messages.is_relayed(&["anthropic".to_owned()]));
        assert!(!Api::Chat.is_relayed(&["anthropic".to_owned()]));
    }
}
