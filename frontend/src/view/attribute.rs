//! What an attribute or a property can be.

use std::borrow::Cow;

/// An attribute as it stands: absent, or with its words.
pub(super) type Words = Option<Cow<'static, str>>;

/// What can stand after `name=`.
pub(crate) enum Value {
    /// Once and for all.
    Fixed(Words),
    /// As a closure says.
    Followed(Box<dyn FnMut() -> Words>),
}

/// What can be the words of an attribute.
pub(crate) trait Attribute {
    /// Its words now; `None` takes it away.
    fn words(self) -> Words;
}

/// The same, or a closure of it.
pub(crate) trait IntoValue {
    fn into_value(self) -> Value;
}

impl Attribute for &'static str {
    fn words(self) -> Words {
        Some(Cow::Borrowed(self))
    }
}

impl Attribute for String {
    fn words(self) -> Words {
        Some(Cow::Owned(self))
    }
}

impl Attribute for bool {
    fn words(self) -> Words {
        self.then_some(Cow::Borrowed(""))
    }
}

impl Attribute for u64 {
    fn words(self) -> Words {
        self.to_string().words()
    }
}

/// A length on the screen: a tenth of a pixel is finer than one sees.
impl Attribute for f64 {
    fn words(self) -> Words {
        crate::format::tenths(self).words()
    }
}

impl<T: Attribute> Attribute for Option<T> {
    fn words(self) -> Words {
        self.and_then(T::words)
    }
}

macro_rules! fixed {
    ($($kind:ty),*) => {
        $(impl IntoValue for $kind {
            fn into_value(self) -> Value {
                Value::Fixed(self.words())
            }
        })*
    };
}

fixed!(&'static str, String, bool, u64, f64, Option<&'static str>, Option<String>);

impl<F: FnMut() -> T + 'static, T: Attribute> IntoValue for F {
    fn into_value(mut self) -> Value {
        Value::Followed(Box::new(move || self().words()))
    }
}
