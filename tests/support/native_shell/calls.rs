//! Model calls that the page makes itself: over HTTP with its own key, or to the demo.

use std::collections::BTreeMap;
use std::time::Duration;

use agent::effect::{ModelCall, Target};
use agent::event::ModelInput;
use agent::{Event, Pump};
use futures_util::StreamExt as _;

use crate::fake_anthropic::{KEY, api};

pub(super) async fn make(call: ModelCall, pump: Pump) {
    let id = call.call;
    let tell = |input| pump.send(Event::Model { call: id, input });
    match call.target {
        Target::Http { url, mut headers, key, .. } => {
            headers.insert(key.name.to_owned(), format!("{}{KEY}", key.prefix));
            if let Err(error) = over_http(&url, &headers, call.body, tell).await {
                tell(ModelInput::Lost { reason: error.to_string() });
            }
        }
        Target::Demo(answer) => {
            let request = serde_json::from_str(&call.body).expect("the agent writes JSON");
            api::check(&request).and_then(|()| api::alternate(&request)).expect("a request obeys the rules");
            let kind = ("content-type".to_owned(), "text/event-stream".to_owned());
            tell(ModelInput::Head { status: 200, headers: BTreeMap::from([kind]) });
            for chunk in answer {
                tokio::time::sleep(Duration::from_millis(chunk.delay_ms.into())).await;
                tell(ModelInput::Data(chunk.bytes));
            }
            tell(ModelInput::End);
        }
    }
}

async fn over_http(
    url: &str,
    headers: &BTreeMap<String, String>,
    body: String,
    tell: impl Fn(ModelInput),
) -> Result<(), reqwest::Error> {
    let mut request = reqwest::Client::new().post(url).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.send().await?;
    let named = answer.headers().iter();
    let headers = named.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    tell(ModelInput::Head { status: answer.status().as_u16(), headers: headers.collect() });
    let mut body = answer.bytes_stream();
    while let Some(piece) = body.next().await {
        tell(ModelInput::Data(piece?.to_vec()));
    }
    tell(ModelInput::End);
    Ok(())
}
