//! Reading and writing of what holds no fields of ours: numbers, texts, lists, maps, and what is one thing or nothing.

use uuid::Uuid;

use super::{FromJson, ToJson, Trouble, Value, put_word, set, slot};
use crate::sorted::Map;

#[inline(never)]
fn whole(value: Option<&mut Value>, most: u64, expected: &str, trouble: &mut Trouble) -> u64 {
    let Some(value) = value else { return 0 };
    match value.as_u64() {
        Some(number) if number <= most => number,
        Some(_) | None => {
            trouble.unfit(value, expected);
            0
        }
    }
}

macro_rules! whole_numbers {
    ($($type:ident)+) => { $(
        impl ToJson for $type {
            fn write(&self, into: &mut Value) {
                set(into, Value::from(*self));
            }
        }

        impl FromJson for $type {
            fn from_json(value: Option<&mut Value>, trouble: &mut Trouble) -> Self {
                let most = u64::try_from(Self::MAX).unwrap_or(u64::MAX);
                let number = whole(value, most, concat!("a whole number (", stringify!($type), ")"), trouble);
                Self::try_from(number).unwrap_or_default()
            }
        }
    )+ };
}

whole_numbers! { u16 u32 u64 usize }

impl ToJson for i32 {
    fn write(&self, into: &mut Value) {
        set(into, Value::from(*self));
    }
}

impl FromJson for i32 {
    fn from_json(value: Option<&mut Value>, trouble: &mut Trouble) -> Self {
        let Some(value) = value else { return 0 };
        let number = value.as_i64().and_then(|number| Self::try_from(number).ok());
        number.unwrap_or_else(|| {
            trouble.unfit(value, "a whole number (i32)");
            0
        })
    }
}

impl ToJson for f64 {
    fn write(&self, into: &mut Value) {
        set(into, Value::from(*self));
    }
}

impl FromJson for f64 {
    fn from_json(value: Option<&mut Value>, trouble: &mut Trouble) -> Self {
        let Some(value) = value else { return 0.0 };
        value.as_f64().unwrap_or_else(|| {
            trouble.unfit(value, "a number");
            0.0
        })
    }
}

impl ToJson for bool {
    fn write(&self, into: &mut Value) {
        set(into, Value::Bool(*self));
    }
}

impl FromJson for bool {
    #[inline(never)]
    fn from_json(value: Option<&mut Value>, trouble: &mut Trouble) -> Self {
        let Some(value) = value else { return false };
        value.as_bool().unwrap_or_else(|| {
            trouble.unfit(value, "true or false");
            false
        })
    }
}

impl ToJson for str {
    fn write(&self, into: &mut Value) {
        put_word(into, self);
    }
}

impl ToJson for String {
    fn write(&self, into: &mut Value) {
        put_word(into, self);
    }
}

impl FromJson for String {
    #[inline(never)]
    fn from_json(value: Option<&mut Value>, trouble: &mut Trouble) -> Self {
        match value {
            Some(Value::String(text)) => std::mem::take(text),
            Some(value) => {
                trouble.unfit(value, "a string");
                Self::new()
            }
            None => Self::new(),
        }
    }
}

impl ToJson for Uuid {
    fn write(&self, into: &mut Value) {
        set(into, Value::String(self.to_string()));
    }
}

impl FromJson for Uuid {
    #[inline(never)]
    fn from_json(value: Option<&mut Value>, trouble: &mut Trouble) -> Self {
        let Some(value) = value else { return Self::nil() };
        let uuid = value.as_str().and_then(|text| Self::try_parse(text).ok());
        uuid.unwrap_or_else(|| {
            trouble.unfit(value, "a UUID");
            Self::nil()
        })
    }
}

impl ToJson for Value {
    fn write(&self, into: &mut Value) {
        self.clone_into(into);
    }
}

impl FromJson for Value {
    fn from_json(value: Option<&mut Value>, _: &mut Trouble) -> Self {
        value.map(Self::take).unwrap_or_default()
    }
}

impl<T: ToJson + ?Sized> ToJson for &T {
    fn write(&self, into: &mut Value) {
        (**self).write(into);
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn write(&self, into: &mut Value) {
        if let Some(value) = self {
            value.write(into);
        }
    }
}

impl<T: FromJson> FromJson for Option<T> {
    const OPTIONAL: bool = true;

    fn from_json(value: Option<&mut Value>, trouble: &mut Trouble) -> Self {
        value.filter(|value| !value.is_null()).map(|value| T::from_json(Some(value), trouble))
    }
}

impl<T: ToJson + ?Sized> ToJson for Box<T> {
    fn write(&self, into: &mut Value) {
        (**self).write(into);
    }
}

impl<T: FromJson> FromJson for Box<T> {
    const OPTIONAL: bool = T::OPTIONAL;

    fn from_json(value: Option<&mut Value>, trouble: &mut Trouble) -> Self {
        Self::new(T::from_json(value, trouble))
    }
}

impl<T: ToJson> ToJson for [T] {
    fn write(&self, into: &mut Value) {
        let mut items = vec![Value::Null; self.len()];
        for (item, place) in self.iter().zip(&mut items) {
            item.write(place);
        }
        set(into, Value::Array(items));
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn write(&self, into: &mut Value) {
        self.as_slice().write(into);
    }
}

#[inline(never)]
fn items<'a>(value: Option<&'a mut Value>, trouble: &mut Trouble) -> &'a mut [Value] {
    match value {
        Some(Value::Array(items)) => items,
        Some(value) => {
            trouble.unfit(value, "a list");
            &mut []
        }
        None => &mut [],
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(value: Option<&mut Value>, trouble: &mut Trouble) -> Self {
        items(value, trouble).iter_mut().map(|item| T::from_json(Some(item), trouble)).collect()
    }
}

impl<T: ToJson> ToJson for Map<String, T> {
    fn write(&self, into: &mut Value) {
        set(into, Value::Object(super::Map::new()));
        for (name, value) in self {
            value.write(slot(into, name));
        }
    }
}

impl<T: FromJson> FromJson for Map<String, T> {
    fn from_json(value: Option<&mut Value>, trouble: &mut Trouble) -> Self {
        match value {
            Some(Value::Object(fields)) => std::mem::take(fields)
                .into_iter()
                .map(|(name, mut value)| (name, T::from_json(Some(&mut value), trouble)))
                .collect(),
            Some(value) => {
                trouble.unfit(value, "an object");
                Self::new()
            }
            None => Self::new(),
        }
    }
}
