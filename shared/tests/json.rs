//! Our derives against serde's own: the same types are declared for both, and read and write the same.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking, as a test does")]

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::json;

/// Declares types once for our derives and once for serde's.
macro_rules! twice {
    ($($item:item)+) => {
        mod ours {
            use super::{Value, seven};
            type Names = shared::sorted::Map<String, usize>;
            use shared::json::{Deserialize, Serialize};
            $(#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)] $item)+
        }
        mod theirs {
            use super::{Value, seven};
            type Names = std::collections::BTreeMap<String, usize>;
            use serde::{Deserialize, Serialize};
            $(#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)] $item)+
        }
    };
}

const fn seven() -> u32 {
    7
}

twice! {
    pub(super) struct Plain {
        pub(super) id: uuid::Uuid,
        pub(super) text: String,
        pub(super) small: u16,
        pub(super) signed: i32,
        pub(super) part: Option<f64>,
        pub(super) flags: Vec<bool>,
        pub(super) boxed: Box<Number>,
        pub(super) raw: Value,
        pub(super) r#type: u64,
    }

    pub(super) struct Defaults {
        pub(super) must: u64,
        #[serde(default)]
        pub(super) may: Vec<Word>,
        #[serde(default = "seven")]
        pub(super) seven: u32,
        #[serde(default)]
        pub(super) names: Names,
    }

    #[serde(default)]
    pub(super) struct Whole {
        pub(super) a: String,
        pub(super) b: Option<u32>,
        pub(super) c: u32,
    }

    #[serde(transparent)]
    pub(super) struct Number(pub(super) u64);

    #[serde(transparent)]
    pub(super) struct Perhaps(pub(super) Option<u64>);

    #[derive(Copy)]
    #[serde(rename_all = "snake_case")]
    pub(super) enum Word {
        One,
        TwoWords,
        #[serde(other)]
        Else,
    }

    pub(super) enum AsItIs {
        One,
        TwoWords,
    }

    #[serde(tag = "kind", rename_all = "snake_case")]
    pub(super) enum Tagged {
        Fields {
            number: Number,
            perhaps: Perhaps,
            #[serde(default)]
            word: Option<Word>,
        },
        Holds(Defaults),
        Boxed(Box<Whole>),
        Beside {
            n: u64,
            #[serde(flatten)]
            how: How,
        },
        Nothing,
        #[serde(other)]
        Unknown,
    }

    #[serde(tag = "patch", content = "of", rename_all = "snake_case")]
    pub(super) enum Apart {
        Row(Box<Line>),
        Many(Vec<Line>),
        Grow { row: u64, text: String },
        Reset,
    }

    #[serde(rename_all = "snake_case")]
    pub(super) enum How {
        Ok(Strict),
        Err { reason: String },
    }

    pub(super) struct Line {
        pub(super) n: u64,
        #[serde(flatten)]
        pub(super) what: Strict,
        pub(super) at: Number,
        #[serde(flatten)]
        pub(super) more: Defaults,
    }

    #[serde(tag = "is", rename_all = "snake_case")]
    pub(super) enum Strict {
        Word { word: Word, exact: AsItIs },
        None,
    }
}

impl Default for ours::Whole {
    fn default() -> Self {
        Self { a: "a".to_owned(), b: Some(1), c: 2 }
    }
}

impl Default for theirs::Whole {
    fn default() -> Self {
        Self { a: "a".to_owned(), b: Some(1), c: 2 }
    }
}

/// Which pair of types.
#[derive(Clone, Copy, Debug)]
enum Pair {
    Plain,
    Defaults,
    Whole,
    Tagged,
    Apart,
    Line,
}

/// What came of reading a value as both types and writing it again: as text, so that the order counts too.
type Read = (Result<String, String>, Result<String, String>);

fn again<T: Serialize + DeserializeOwned>(value: &Value) -> Result<String, String> {
    let read: T = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    serde_json::to_string(&read).map_err(|error| error.to_string())
}

fn read(pair: Pair, value: &Value) -> Read {
    match pair {
        Pair::Plain => (again::<ours::Plain>(value), again::<theirs::Plain>(value)),
        Pair::Defaults => (again::<ours::Defaults>(value), again::<theirs::Defaults>(value)),
        Pair::Whole => (again::<ours::Whole>(value), again::<theirs::Whole>(value)),
        Pair::Tagged => (again::<ours::Tagged>(value), again::<theirs::Tagged>(value)),
        Pair::Apart => (again::<ours::Apart>(value), again::<theirs::Apart>(value)),
        Pair::Line => (again::<ours::Line>(value), again::<theirs::Line>(value)),
    }
}

/// Values that both read, one of each shape.
fn examples() -> Vec<(Pair, Value)> {
    let id = "0d4b6f2a-3f51-4c55-8d6a-6f0c8a2b1e90";
    let line = json!({"n": 1, "is": "word", "word": "two_words", "exact": "TwoWords", "at": 2, "must": 3, "may": ["one"], "seven": 8, "names": {"z": 1, "a": 2}});
    vec![
        (
            Pair::Plain,
            json!({"id": id, "text": "t\n", "small": 65535, "signed": -5, "part": 1.5, "flags": [true, false], "boxed": 9_007_199_254_740_991_u64, "raw": {"b": 1, "a": [null, {"x": 0.1}]}, "type": 1}),
        ),
        (
            Pair::Plain,
            json!({"id": id, "text": "", "small": 0, "signed": 5, "part": null, "flags": [], "boxed": 0, "raw": null, "type": u64::MAX}),
        ),
        (Pair::Defaults, json!({"must": 1})),
        (Pair::Defaults, json!({"must": 1, "may": ["one", "three"], "seven": 0, "names": {"b": 1, "a": 2}})),
        (Pair::Whole, json!({})),
        (Pair::Whole, json!({"a": "x", "b": null, "c": 3})),
        (Pair::Tagged, json!({"kind": "fields", "number": 1, "perhaps": null, "word": "one"})),
        (Pair::Tagged, json!({"kind": "fields", "number": 1, "perhaps": 2})),
        (Pair::Tagged, json!({"kind": "holds", "must": 1, "may": ["else"]})),
        (Pair::Tagged, json!({"kind": "boxed", "a": "x"})),
        (
            Pair::Tagged,
            json!({"kind": "beside", "n": 1, "ok": {"is": "word", "word": "one", "exact": "One"}}),
        ),
        (Pair::Tagged, json!({"kind": "beside", "n": 1, "err": {"reason": "r"}})),
        (Pair::Tagged, json!({"kind": "of_a_later_version", "number": 1})),
        (Pair::Apart, json!({"patch": "row", "of": line})),
        (Pair::Apart, json!({"of": [line, line], "patch": "many"})),
        (Pair::Apart, json!({"patch": "grow", "of": {"row": 1, "text": "x"}})),
        (Pair::Apart, json!({"patch": "reset"})),
        (Pair::Line, line),
        (Pair::Line, json!({"n": 1, "is": "none", "at": 2, "must": 3})),
    ]
}

#[test]
fn every_shape_reads_and_writes_as_with_serde() {
    for (pair, value) in examples() {
        let (ours, theirs) = read(pair, &value);
        assert_eq!(ours, theirs, "{value}");
        ours.unwrap_or_else(|error| panic!("{value}: {error}"));
    }
}

/// The paths of all values within a value.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| paths(field, &format!("{path}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().zip(0..).for_each(|(item, n)| paths(item, &format!("{path}/{n}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Puts something else in one place of a value, or takes the place away, or adds one.
fn disturb(value: &mut Value, place: Index, with: Option<Value>, add: bool) {
    let mut found = Vec::new();
    paths(value, "", &mut found);
    let path = place.get(&found);
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    match (with, path.rfind('/')) {
        (Some(with), _) => {
            let there = value.pointer_mut(path).unwrap();
            match there.as_object_mut().filter(|_| add) {
                Some(fields) => drop(fields.insert("junk".to_owned(), with)),
                None => *there = with,
            }
        }
        (None, Some(end)) => match value.pointer_mut(&path[..end]).unwrap() {
            Value::Object(fields) => drop(fields.remove(&name)),
            Value::Array(items) => drop(items.remove(name.parse().unwrap())),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        },
        (None, None) => {}
    }
}

fn replacements() -> Vec<Option<Value>> {
    let mut values: Vec<_> = [
        json!(null),
        json!(true),
        json!(5),
        json!(-5),
        json!(70_000),
        json!(5_000_000_000_u64),
        json!(1.5),
        json!("words"),
        json!("one"),
        json!("none"),
        json!("nothing"),
        json!("TwoWords"),
        // Lists are left out: serde reads the fields of a struct from them, one after the other, and we do not.
        json!({}),
        json!({"junk": 1}),
    ]
    .map(Some)
    .into();
    values.extend([None, None, None]);
    values
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_disturbed_is_refused_or_read_as_with_serde(
        (pair, mut value) in select(examples()),
        changes in prop::collection::vec((any::<Index>(), select(replacements()), any::<bool>()), 1..4),
    ) {
        for (place, with, add) in changes {
            disturb(&mut value, place, with, add);
        }
        match read(pair, &value) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
            (Err(_), Err(_)) => {}
            // serde reads a variant without content from `{"name": null}` too; we only from `"name"`.
            (Err(ours), Ok(_)) if ours.contains("an object, expected a string") => {}
            (ours, theirs) => prop_assert!(false, "{value}\n{ours:?}\n{theirs:?}"),
        }
    }

    #[test]
    fn texts_are_written_as_by_serde_json(value in any_value()) {
        prop_assert!(is_written_alike(&value, &json::text(&value), &serde_json::to_string(&value).unwrap()));
        prop_assert!(is_written_alike(&value, &json::pretty(&value), &serde_json::to_string_pretty(&value).unwrap()));
    }
}

/// Of the shortest texts of a fraction there may be two that are as near to it: then which one is written is the library's choice.
fn is_written_alike(value: &Value, ours: &str, theirs: &str) -> bool {
    ours == theirs || (ours.len() == theirs.len() && json::parse(ours).is_ok_and(|read| read == *value))
}

#[test]
fn a_number_between_two_shortest_texts_is_read_as_it_was_written() {
    let value = Value::from(-1_214_062_530_817_646.2);
    assert_eq!(json::parse(&json::text(&value)).unwrap(), value);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn numbers_do_not_drift(bits in any::<u64>().prop_filter("JSON has finite numbers only", |bits| f64::from_bits(*bits).is_finite())) {
        let value = Value::from(f64::from_bits(bits));
        prop_assert_eq!(json::parse(&json::text(&value)).unwrap(), value);
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-20..20_i32, -99..99_i32).prop_map(|(power, n)| Value::from(f64::from(n) * 10_f64.powi(power))),
        any::<String>().prop_map(Value::from),
        "[\\x00-\\x7f]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

#[test]
fn numbers_are_written_as_by_serde_json() {
    for number in
        [0.0, -0.0, 1.0, 0.1, 1e-5, 9.9e-6, 1e-6, 123e-7, 1e15, 1e16, 12e15, 1e17, 1.5e300, f64::MIN_POSITIVE]
    {
        let value = Value::from(number);
        assert_eq!(json::text(&value), serde_json::to_string(&value).unwrap());
    }
}

#[test]
fn what_does_not_fit_is_said() {
    #[track_caller]
    fn check<T: json::FromJson + std::fmt::Debug>(value: Value, words: &str) {
        assert_eq!(json::read::<T>(value).unwrap_err().to_string(), words);
    }
    check::<ours::Defaults>(json!({}), "missing field `must`");
    check::<ours::Defaults>(json!(null), "invalid type: null, expected an object in field `must`");
    check::<ours::Defaults>(
        json!({"must": -1, "seven": "x"}),
        "invalid type: number `-1`, expected a whole number (u64) in field `must`",
    );
    check::<ours::Defaults>(
        json!({"must": 1, "seven": "x"}),
        "invalid type: string \"x\", expected a whole number (u32) in field `seven`",
    );
    check::<ours::Defaults>(json!([1]), "invalid type: a list, expected an object in field `must`");
    check::<ours::Defaults>(
        json!({"must": 1, "names": {"a": []}}),
        "invalid type: a list, expected a whole number (usize) in field `names`",
    );
    check::<ours::Strict>(json!({"word": 1}), "missing field `is`");
    check::<ours::Strict>(json!({"is": "x"}), "unknown variant `x`, expected one of `word`, `none`");
    check::<ours::How>(json!({"x": 1}), "invalid type: an object, expected one of `ok`, `err`");
    check::<Vec<ours::AsItIs>>(json!(["One", "x"]), "unknown variant `x`, expected one of `One`, `TwoWords`");
    assert!(json::from_text::<ours::Whole>("{").unwrap_err().to_string().contains("line 1 column 1"));
}
