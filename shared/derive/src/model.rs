//! A type with its attributes as plain data. Whatever is not known here is refused, so that no attribute is passed over in silence.

use quote::ToTokens as _;
use syn::meta::ParseNestedMeta;
use syn::{
    Attribute, Data, DataEnum, DeriveInput, Error, Expr, ExprPath, Field, Fields, Ident, LitStr, Path,
    Result, Type,
};

/// A type.
pub(crate) struct Model {
    pub(crate) name: Ident,
    /// Whether what is missing comes from the type's own default.
    pub(crate) default: bool,
    pub(crate) shape: Shape,
}

/// What kind of type.
pub(crate) enum Shape {
    /// `struct X(T)`, written as its `T`.
    Transparent(Box<Type>),
    /// A struct with named fields.
    Struct(Vec<Member>),
    /// An enum.
    Enum(Tagging, Vec<Variant>),
}

/// How a variant is told from the others.
pub(crate) enum Tagging {
    /// Its name alone, or an object with its name as the one key.
    External,
    /// A field beside its own.
    Internal(String),
    /// A field, and another that holds its content.
    Adjacent(String, String),
}

/// A variant.
pub(crate) struct Variant {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    /// Whether it stands for every unknown name.
    pub(crate) other: bool,
    pub(crate) content: Content,
}

/// What a variant holds.
pub(crate) enum Content {
    Unit,
    /// One unnamed value.
    Newtype,
    Named(Vec<Member>),
}

/// A named field.
pub(crate) struct Member {
    pub(crate) ident: Ident,
    pub(crate) kind: Kind,
}

/// How a field is read.
pub(crate) enum Kind {
    /// It must be there, unless its type says otherwise.
    Plain,
    /// Missing, it is its type's default.
    Default,
    /// Missing, it is what a function gives.
    Call(ExprPath),
    /// Its own fields lie beside this one's.
    Flatten,
}

impl Member {
    /// Its key.
    pub(crate) fn name(&self) -> String {
        let name = self.ident.to_string();
        name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
    }
}

impl Model {
    pub(crate) fn of(input: &DeriveInput) -> Result<Self> {
        if !input.generics.params.is_empty() {
            return Err(Error::new_spanned(&input.generics, "this derive knows no generic types"));
        }
        let (mut default, mut transparent, mut snake) = (false, false, false);
        let (mut tag, mut content) = (None, None);
        each(&input.attrs, |meta| {
            match word(&meta.path).as_str() {
                "default" if !meta.input.peek(syn::Token![=]) => default = true,
                "transparent" => transparent = true,
                "tag" => tag = Some(text(&meta)?.value()),
                "content" => content = Some(text(&meta)?.value()),
                "rename_all" => {
                    let style = text(&meta)?;
                    if style.value() != "snake_case" {
                        return Err(Error::new_spanned(style, "this derive knows `snake_case` alone"));
                    }
                    snake = true;
                }
                _ => return Err(meta.error("this derive does not know this attribute of a type")),
            }
            Ok(())
        })?;
        let shape = match &input.data {
            Data::Struct(data) => {
                let own = [tag.as_ref(), content.as_ref()].iter().any(Option::is_some) || snake;
                match &data.fields {
                    Fields::Named(fields) if !own && !transparent && !fields.named.is_empty() => {
                        Shape::Struct(members(fields.named.iter())?)
                    }
                    Fields::Unnamed(fields) if !own && fields.unnamed.len() == 1 && !default => {
                        Shape::Transparent(Box::new(fields.unnamed[0].ty.clone()))
                    }
                    Fields::Named(_) | Fields::Unnamed(_) | Fields::Unit => {
                        return Err(Error::new_spanned(
                            input,
                            "this derive knows structs with named fields, and with one unnamed; of their attributes `default` and `transparent`",
                        ));
                    }
                }
            }
            Data::Enum(data) if !default && !transparent => {
                let tagging = match (tag, content) {
                    (None, None) => Tagging::External,
                    (Some(tag), None) => Tagging::Internal(tag),
                    (Some(tag), Some(content)) => Tagging::Adjacent(tag, content),
                    (None, Some(_)) => return Err(Error::new_spanned(input, "`content` needs a `tag`")),
                };
                Shape::Enum(tagging, variants(data, snake)?)
            }
            Data::Enum(_) | Data::Union(_) => {
                return Err(Error::new_spanned(
                    input,
                    "this derive knows enums by tag, content and rename_all alone",
                ));
            }
        };
        Ok(Self { name: input.ident.clone(), default, shape })
    }
}

fn variants(data: &DataEnum, snake: bool) -> Result<Vec<Variant>> {
    let mut found = Vec::new();
    for variant in &data.variants {
        let mut other = false;
        each(&variant.attrs, |meta| {
            other = word(&meta.path) == "other" && matches!(variant.fields, Fields::Unit);
            if other { Ok(()) } else { Err(meta.error("this derive knows `other` alone, on a unit variant")) }
        })?;
        let name = variant.ident.to_string();
        found.push(Variant {
            name: if snake { snake_case(&name) } else { name },
            other,
            content: match &variant.fields {
                Fields::Unit => Content::Unit,
                Fields::Unnamed(fields) if fields.unnamed.len() == 1 => Content::Newtype,
                Fields::Named(fields) if !fields.named.is_empty() => {
                    Content::Named(members(fields.named.iter())?)
                }
                Fields::Unnamed(_) | Fields::Named(_) => {
                    return Err(Error::new_spanned(
                        variant,
                        "this derive knows no tuples and no empty braces",
                    ));
                }
            },
            ident: variant.ident.clone(),
        });
    }
    if found.is_empty() {
        return Err(Error::new_spanned(&data.variants, "there is no variant to read"));
    }
    Ok(found)
}

fn members<'a>(fields: impl Iterator<Item = &'a Field>) -> Result<Vec<Member>> {
    fields
        .map(|field| {
            let mut kind = Kind::Plain;
            each(&field.attrs, |meta| {
                kind = match word(&meta.path).as_str() {
                    "flatten" => Kind::Flatten,
                    "default" if meta.input.peek(syn::Token![=]) => Kind::Call(text(&meta)?.parse()?),
                    "default" => Kind::Default,
                    _ => {
                        return Err(meta.error("this derive knows `default` and `flatten` alone for a field"));
                    }
                };
                Ok(())
            })?;
            let ident = field.ident.clone().ok_or_else(|| Error::new_spanned(field, "it needs a name"))?;
            Ok(Member { ident, kind })
        })
        .collect()
}

/// Reads each word of all `#[serde(…)]`.
fn each(attributes: &[Attribute], mut read: impl FnMut(ParseNestedMeta<'_>) -> Result<()>) -> Result<()> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("serde"))
        .try_for_each(|attribute| attribute.parse_nested_meta(&mut read))
}

fn word(path: &Path) -> String {
    path.to_token_stream().to_string()
}

fn text(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    let value: Expr = meta.value()?.parse()?;
    syn::parse2(value.into_token_stream())
}

/// serde's rule: an underscore before each capital but the first.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (place, letter) in name.char_indices() {
        if place > 0 && letter.is_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_refused() {
        for declared in [
            "struct A<'a> { a: &'a str }",
            "struct A;",
            "struct A {}",
            "struct A(u8, u8);",
            "#[serde(deny_unknown_fields)] struct A { a: u8 }",
            "#[serde(default = \"f\")] struct A { a: u8 }",
            "#[serde(transparent)] struct A { a: u8 }",
            "#[serde(tag = \"t\")] struct A { a: u8 }",
            "struct A { #[serde(rename = \"b\")] a: u8 }",
            "struct A { #[serde(skip_serializing_if = \"f\")] a: u8 }",
            "enum A {}",
            "#[serde(untagged)] enum A { B }",
            "#[serde(content = \"c\")] enum A { B }",
            "#[serde(rename_all = \"kebab-case\")] enum A { B }",
            "enum A { B(u8, u8) }",
            "enum A { B {} }",
            "enum A { #[serde(rename = \"c\")] B }",
            "enum A { #[serde(other)] B(u8) }",
            "enum A { B { #[serde(skip)] c: u8 } }",
            "union A { a: u8 }",
        ] {
            let input = syn::parse_str(declared).unwrap_or_else(|error| panic!("{declared}: {error}"));
            assert!(Model::of(&input).is_err(), "{declared}");
        }
    }

    #[test]
    fn names_are_those_of_serde() {
        for (name, snake) in [("User", "user"), ("ReadFile", "read_file"), ("HTTPGet", "h_t_t_p_get")] {
            assert_eq!(snake_case(name), snake);
        }
    }
}
