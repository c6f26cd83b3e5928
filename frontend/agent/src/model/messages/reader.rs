//! Reads the stream of Anthropic's Messages. Blocks may interleave, and of those that are not known here
//! nothing is lost.

use serde_json::{Value, json};

use super::block::{Block, TOOL_USE};
use super::item::{block_type, fields_of, keep};
use crate::model::answer::ModelEvent;
use crate::model::codec::{self, Step};
use crate::model::surrogates::{Halves, parse, parse_piece};
use crate::model::{Stop, Usage};

/// An answer as it comes.
#[derive(Debug, Default)]
pub(super) struct Reader {
    blocks: Vec<Block>,
    usage: Usage,
    stop: Option<Stop>,
    /// The reason said that tools are wanted.
    wants_tools: bool,
}

impl codec::Reader for Reader {
    fn event(&mut self, name: &str, data: &str, out: &mut Vec<ModelEvent>) -> Step {
        // Some say good-bye in another protocol's word.
        if data.trim() == "[DONE]" {
            return Step::More;
        }
        let Some((data, halves)) = Self::read(data) else {
            // What it is called says that nothing is to be read in it.
            if !matches!(name, "" | "message" | "error") && !OF_ANSWERS.contains(&name) {
                return Step::More;
            }
            let shown: String = data.chars().take(80).collect();
            return Step::Unreadable(format!("an event is no JSON: {shown:?}"));
        };
        match data["type"].as_str().unwrap_or(name) {
            "" if data["error"].is_object() => return Step::Error(data),
            "message_start" => self.count(&data["message"]["usage"], out),
            "content_block_start" => return self.block_start(&data, out),
            "content_block_delta" => return self.block_delta(&data, halves, out),
            "content_block_stop" => self.block_stop(&data, out),
            "message_delta" => {
                self.stopped(&data["delta"]["stop_reason"]);
                self.count(&data["usage"], out);
            }
            "message_stop" => return Step::End,
            "error" => return Step::Error(data),
            _ => {}
        }
        Step::More
    }

    /// One message instead of a stream: the same as its events.
    fn whole(&mut self, message: &Value, out: &mut Vec<ModelEvent>) -> Option<Step> {
        if message["type"] != "message" {
            return None;
        }
        for (index, block) in message["content"].as_array()?.iter().enumerate() {
            let begin = json!({"index": index, "content_block": block});
            let step = self.block_start(&begin, out);
            if step != Step::More {
                return Some(step);
            }
            self.block_stop(&begin, out);
        }
        self.stopped(&message["stop_reason"]);
        self.count(&message["usage"], out);
        Some(Step::End)
    }

    fn is_answered(&self) -> bool {
        self.stop.is_some()
    }

    fn items(&self, cut: bool) -> Vec<Value> {
        let cut = cut || self.stop == Some(Stop::MaxTokens);
        keep(self.blocks.iter().filter(|block| block.may_stay(cut)).map(Block::value))
    }

    fn stop(&self, items: &[Value]) -> Stop {
        let has_tools = items.iter().any(|block| block_type(block) == TOOL_USE);
        if self.wants_tools && !has_tools {
            return Stop::no_tool();
        }
        self.stop.clone().unwrap_or(Stop::End)
    }

    fn usage(&self) -> Usage {
        self.usage
    }
}

impl Reader {
    /// Only what grows can make halves whole.
    fn read(text: &str) -> Option<(Value, Halves)> {
        let (data, halves) = parse_piece(text)?;
        let grows = matches!(
            data["delta"]["type"].as_str(),
            Some("text_delta" | "thinking_delta" | "input_json_delta")
        );
        if grows || halves == Halves::default() {
            Some((data, halves))
        } else {
            Some((parse(text)?, Halves::default()))
        }
    }

    fn stopped(&mut self, reason: &Value) {
        if let Some(word) = reason.as_str() {
            self.wants_tools = word == TOOL_USE;
            self.stop = Some(stop(word));
        }
    }

    fn block_stop(&mut self, data: &Value, out: &mut Vec<ModelEvent>) {
        if let Some((block, open)) = self.find(data) {
            open.done = true;
            let content = open.value();
            out.push(ModelEvent::BlockDone { block, content });
        }
    }

    fn block_start(&mut self, data: &Value, out: &mut Vec<ModelEvent>) -> Step {
        let Value::Object(fields) = &data["content_block"] else { return Step::More };
        let block = self.blocks.len();
        let begun = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = begun("type");
        let text = match kind.as_str() {
            "text" => begun("text"),
            "thinking" => begun("thinking"),
            _ => String::new(),
        };
        if kind == "tool_use" {
            let (id, name) = (begun("id"), begun("name"));
            if id.is_empty() || name.is_empty() {
                return Step::Unreadable("a tool use has no id or no name".to_owned());
            }
            out.push(ModelEvent::ToolStart { block, id, name });
        }
        let index = data["index"].as_u64().unwrap_or_default();
        self.blocks.push(Block {
            index,
            fields: fields.clone(),
            text: String::new(),
            json: String::new(),
            half: None,
            done: false,
        });
        self.push_text(block, kind == "thinking", &text, out);
        Step::More
    }

    fn block_delta(&mut self, data: &Value, halves: Halves, out: &mut Vec<ModelEvent>) -> Step {
        let delta = &data["delta"];
        let piece = |name: &str| delta[name].as_str().unwrap_or_default();
        let kind = delta["type"].as_str().unwrap_or_default();
        // Text that belongs to no block, or to one that cannot hold any, make a block of its own: it was
        // said.
        let own = match kind {
            "text_delta" => Some("text"),
            "thinking_delta" => Some("thinking"),
            _ => None,
        };
        if let Some(own) = own
            && self.find(data).is_none_or(|(_, open)| open.kind() != own)
        {
            let begin = json!({"index": data["index"], "content_block": {"type": own}});
            self.block_start(&begin, out);
        }
        let Some((block, open)) = self.find(data) else { return Step::More };
        match kind {
            "text_delta" => {
                let text = open.joined(piece("text"), halves);
                self.push_text(block, false, &text, out);
            }
            "thinking_delta" => {
                let text = open.joined(piece("thinking"), halves);
                self.push_text(block, true, &text, out);
            }
            "input_json_delta" => {
                let text = open.joined(piece("partial_json"), halves);
                open.json.push_str(&text);
                if !text.is_empty() && open.kind() == "tool_use" {
                    out.push(ModelEvent::ToolArgsDelta { block, text });
                }
            }
            "signature_delta" if open.kind() == "thinking" => {
                open.fields.insert("signature".to_owned(), piece("signature").into());
            }
            "citations_delta" if open.kind() == "text" => {
                let citations = open.fields.entry("citations").or_insert(Value::Null);
                if let Value::Array(list) = citations {
                    list.push(delta["citation"].clone());
                } else {
                    *citations = Value::Array(vec![delta["citation"].clone()]);
                }
            }
            _ if fields_of(open.kind()).is_none() => open.take_unknown(delta),
            _ => {}
        }
        Step::More
    }

    fn push_text(&mut self, block: usize, thinking: bool, text: &str, out: &mut Vec<ModelEvent>) {
        if text.is_empty() {
            return;
        }
        self.blocks[block].text.push_str(text);
        let text = text.to_owned();
        out.push(if thinking {
            ModelEvent::ThinkingDelta { block, text }
        } else {
            ModelEvent::TextDelta { block, text }
        });
    }

    fn find(&mut self, data: &Value) -> Option<(usize, &mut Block)> {
        let index = data["index"].as_u64().unwrap_or_default();
        self.blocks.iter_mut().enumerate().rfind(|(_, block)| block.index == index && !block.done)
    }

    /// Counts are cumulative: what is present replaces what was there.
    fn count(&mut self, usage: &Value, out: &mut Vec<ModelEvent>) {
        let before = self.usage;
        for (name, count) in [
            ("input_tokens", &mut self.usage.input),
            ("cache_read_input_tokens", &mut self.usage.cache_read),
            ("cache_creation_input_tokens", &mut self.usage.cache_write),
            ("output_tokens", &mut self.usage.output),
        ] {
            if let Some(tokens) = usage[name].as_u64() {
                *count = tokens;
            }
        }
        if self.usage != before {
            out.push(ModelEvent::Usage(self.usage));
        }
    }
}

/// The events that an answer is made of.
const OF_ANSWERS: [&str; 6] = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
];

fn stop(word: &str) -> Stop {
    match word {
        "end_turn" | "tool_use" | "stop_sequence" => Stop::End,
        "max_tokens" => Stop::MaxTokens,
        "pause_turn" => Stop::Pause,
        "refusal" => Stop::Refusal,
        "model_context_window_exceeded" => Stop::ContextFull,
        word => Stop::Other { word: word.to_owned() },
    }
}

#[cfg(test)]
mod tests;
