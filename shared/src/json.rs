//! The one way of our types to JSON and back, made to be small in the page.
//!
//! A text becomes a [`Value`] and a `Value` becomes a type, or the other way round: there is one parser, one writer, and no code a type and
//! format. The derives [`Serialize`] and [`Deserialize`] read serde's attributes and write one call a field into the functions below, most of
//! which are not generic. serde's own traits come with them, so that other formats and the runner's own types still hold ours.
//!
//! Reading takes what it wants out of the `Value` and never stops half-way: the first thing that does not fit is noted in [`Trouble`], and
//! what is given in its place is thrown away by [`read`]. Unknown fields are ignored. Of a field that comes twice the last counts.

mod leaves;
mod text;

pub use serde_json::{Map, Value};
pub use shared_derive::{Deserialize, Serialize};
pub use text::{append, append_all, parse, pretty, text};

#[doc(hidden)]
pub use serde;

/// Why a text or a value is not what was asked for, in a sentence's part for people and models.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(pub(crate) String);

/// Something that can be written as JSON.
pub trait ToJson {
    /// Writes it into its place: null, or an object to which its fields are added.
    fn write(&self, into: &mut Value);
}

/// Something that can be read from JSON.
pub trait FromJson: Sized {
    /// Whether it may be missing.
    const OPTIONAL: bool = false;

    /// Takes it out of a value. `None` is a field that is missing: then, as for whatever does not fit, anything may be given, and unless
    /// the field may be missing `trouble` has been told.
    fn from_json(value: Option<&mut Value>, trouble: &mut Trouble) -> Self;
}

/// The first thing that did not fit.
#[derive(Debug, Default)]
pub struct Trouble {
    /// The field that was looked at last.
    field: &'static str,
    first: Option<JsonError>,
}

/// A value as JSON.
pub fn to_value<T: ToJson + ?Sized>(of: &T) -> Value {
    let mut value = Value::Null;
    of.write(&mut value);
    value
}

/// A value as JSON text.
pub fn to_text<T: ToJson + ?Sized>(of: &T) -> String {
    text(&to_value(of))
}

/// Reads a value.
///
/// # Errors
/// What does not fit.
pub fn read<T: FromJson>(mut value: Value) -> Result<T, JsonError> {
    let mut trouble = Trouble::default();
    let read = T::from_json(Some(&mut value), &mut trouble);
    match trouble.first {
        None => Ok(read),
        Some(error) => Err(error),
    }
}

/// Reads a text.
///
/// # Errors
/// What is not JSON or does not fit.
pub fn from_text<T: FromJson>(text: &str) -> Result<T, JsonError> {
    read(parse(text)?)
}

/// Takes a field. It must be there unless its type says otherwise.
pub fn take<T: FromJson>(of: Option<&mut Value>, name: &'static str, trouble: &mut Trouble) -> T {
    T::from_json(field(of, name, !T::OPTIONAL, trouble), trouble)
}

/// Takes a field that is its type's default if it is missing.
pub fn take_default<T: FromJson + Default>(
    of: Option<&mut Value>,
    name: &'static str,
    trouble: &mut Trouble,
) -> T {
    match field(of, name, false, trouble) {
        None => T::default(),
        there => T::from_json(there, trouble),
    }
}

/// Takes a field that is `default` if it is missing.
pub fn take_or<T: FromJson>(
    of: Option<&mut Value>,
    name: &'static str,
    default: T,
    trouble: &mut Trouble,
) -> T {
    match field(of, name, false, trouble) {
        None => default,
        there => T::from_json(there, trouble),
    }
}

/// A field of an object.
#[inline(never)]
pub fn field<'a>(
    of: Option<&'a mut Value>,
    name: &'static str,
    required: bool,
    trouble: &mut Trouble,
) -> Option<&'a mut Value> {
    trouble.field = name;
    // What is nowhere was complained of where it ought to have been.
    let of = of?;
    if !of.is_object() {
        trouble.unfit(of, "an object");
        return None;
    }
    let found = of.get_mut(name);
    if required && found.is_none() {
        trouble.note(format!("missing field `{name}`"));
    }
    found
}

/// Which of the names a value is; `other` for an unknown one, and the first if there is trouble.
#[inline(never)]
pub fn word(value: Option<&mut Value>, names: &[&str], other: Option<usize>, trouble: &mut Trouble) -> usize {
    let Some(value) = value else { return 0 };
    let Some(word) = value.as_str() else {
        trouble.unfit(value, "a string");
        return 0;
    };
    let known = names.iter().position(|name| *name == word).or(other);
    if known.is_none() {
        trouble.unknown(word, names);
    }
    known.unwrap_or_default()
}

/// Which variant an object is, by its tag.
#[inline(never)]
pub fn variant(
    of: Option<&mut Value>,
    tag: &'static str,
    names: &[&str],
    other: Option<usize>,
    trouble: &mut Trouble,
) -> usize {
    let word_of = field(of, tag, true, trouble);
    word(word_of, names, other, trouble)
}

/// Which variant a value is by being its name, or by holding it as a field, and what that field holds.
#[inline(never)]
pub fn named<'a>(
    value: Option<&'a mut Value>,
    names: &[&str],
    other: Option<usize>,
    trouble: &mut Trouble,
) -> (usize, Option<&'a mut Value>) {
    let Some(value) = value else { return (0, None) };
    if value.is_string() {
        return (word(Some(value), names, other, trouble), None);
    }
    let place = names.iter().position(|name| value.get(name).is_some());
    let Some(place) = place else {
        trouble.unfit(value, &format!("one of {}", list(names)));
        return (0, None);
    };
    (place, value.get_mut(names[place]))
}

/// An object of these fields.
#[inline(never)]
pub fn object(fields: &[(&str, &dyn ToJson)]) -> Value {
    let mut object = Value::Object(Map::new());
    for (name, value) in fields {
        value.write(slot(&mut object, name));
    }
    object
}

/// Writes a field.
pub fn put<T: ToJson + ?Sized>(into: &mut Value, name: &str, value: &T) {
    value.write(slot(into, name));
}

/// The place of a field that is to be written.
#[inline(never)]
pub fn slot<'a>(into: &'a mut Value, name: &str) -> &'a mut Value {
    &mut into[name]
}

/// Writes a field that is a word.
#[inline(never)]
pub fn tag(into: &mut Value, name: &str, word: &str) {
    put_word(slot(into, name), word);
}

/// Writes a word.
#[inline(never)]
pub fn put_word(into: &mut Value, word: &str) {
    set(into, Value::String(word.to_owned()));
}

#[inline(never)]
fn set(into: &mut Value, value: Value) {
    *into = value;
}

impl Trouble {
    #[cold]
    #[inline(never)]
    fn note(&mut self, words: String) {
        self.first.get_or_insert(JsonError(words));
    }

    /// A value is of another kind than wanted.
    #[cold]
    #[inline(never)]
    pub fn unfit(&mut self, value: &Value, expected: &str) {
        let found = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => format!("boolean `{}`", text(value)),
            Value::Number(_) => format!("number `{}`", text(value)),
            Value::String(long) if long.len() > 100 => "a long string".to_owned(),
            Value::String(_) => format!("string {}", text(value)),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        let place = match self.field {
            "" => String::new(),
            field => format!(" in field `{field}`"),
        };
        self.note(format!("invalid type: {found}, expected {expected}{place}"));
    }

    #[cold]
    #[inline(never)]
    fn unknown(&mut self, word: &str, names: &[&str]) {
        self.note(format!("unknown variant `{word}`, expected one of {}", list(names)));
    }
}

fn list(names: &[&str]) -> String {
    let mut list = String::new();
    for name in names {
        list.push_str(if list.is_empty() { "`" } else { ", `" });
        list.push_str(name);
        list.push('`');
    }
    list
}
