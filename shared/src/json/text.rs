//! JSON as text: the one parser is that of `serde_json`, the one writer is here, and writes what `serde_json` would, byte for byte.

use std::fmt::Write as _;

use serde_json::Number;

use super::{JsonError, Value};

/// Reads a text.
///
/// # Errors
/// What is wrong with it and where.
#[inline(never)]
pub fn parse(text: &str) -> Result<Value, JsonError> {
    serde_json::from_str(text).map_err(|error| JsonError(error.to_string()))
}

/// A value on one line, without blanks.
#[must_use]
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    append(value, &mut out);
    out
}

/// Writes a value to the end of a text, on one line, without blanks.
pub fn append(value: &Value, out: &mut String) {
    write(value, None, out);
}

/// Writes a list in the same way.
pub fn append_all(items: &[Value], out: &mut String) {
    list(items, None, out);
}

/// A value for people: a line a field, two blanks a level.
#[must_use]
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write(value, Some(0), &mut out);
    out
}

/// Writes a value, with the depth of its lines if it is to have any.
#[inline(never)]
fn write(value: &Value, depth: Option<usize>, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => quote(text, out),
        Value::Array(items) => list(items, depth, out),
        Value::Object(fields) => {
            out.push('{');
            for (place, (name, value)) in fields.iter().enumerate() {
                begin(place, depth, out);
                quote(name, out);
                out.push_str(if depth.is_some() { ": " } else { ":" });
                write(value, depth.map(|depth| depth + 1), out);
            }
            end(fields.is_empty(), depth, out);
            out.push('}');
        }
    }
}

/// The shortest number that reads as the same, by the standard library: the tables of another printer would be the page's largest data.
#[inline(never)]
fn write_number(number: &Number, out: &mut String) {
    let _ = match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(whole), ..) => write!(out, "{whole}"),
        (None, Some(whole), _) => write!(out, "{whole}"),
        (None, None, Some(real)) => {
            let size = real.abs();
            if size != 0.0 && !(1e-5..1e16).contains(&size) {
                let sign = if size < 1.0 { "e" } else { "e+" };
                out.push_str(&format!("{real:e}").replacen('e', sign, 1));
                Ok(())
            } else if real.fract() == 0.0 {
                write!(out, "{real}.0")
            } else {
                write!(out, "{real}")
            }
        }
        (None, None, None) => write!(out, "null"),
    };
}

fn list(items: &[Value], depth: Option<usize>, out: &mut String) {
    out.push('[');
    for (place, item) in items.iter().enumerate() {
        begin(place, depth, out);
        write(item, depth.map(|depth| depth + 1), out);
    }
    end(items.is_empty(), depth, out);
    out.push(']');
}

fn begin(place: usize, depth: Option<usize>, out: &mut String) {
    if place > 0 {
        out.push(',');
    }
    if let Some(depth) = depth {
        line(depth + 1, out);
    }
}

fn end(empty: bool, depth: Option<usize>, out: &mut String) {
    if let (false, Some(depth)) = (empty, depth) {
        line(depth, out);
    }
}

fn line(depth: usize, out: &mut String) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str("  ");
    }
}

#[inline(never)]
fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(place) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.push_str(&rest[..place]);
        let byte = rest.as_bytes()[place];
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            _ => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
        rest = &rest[place + 1..];
    }
    out.push_str(rest);
    out.push('"');
}
