//! The code that reads: `FromJson::from_json` builds the value from calls, one a field, none of which can return early. What does not fit
//! is noted in `trouble`, and some value is given in its place that nobody will see.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{Content, Kind, Member, Model, Shape, Tagging, Variant};

pub(crate) fn code(model: &Model) -> TokenStream {
    let name = &model.name;
    let mut optional = quote!();
    // Whether the code takes more than one thing out of the value.
    let takes = match &model.shape {
        Shape::Transparent(_) | Shape::Enum(Tagging::External, _) => quote!(),
        Shape::Struct(_) | Shape::Enum(Tagging::Internal(_) | Tagging::Adjacent(..), _) => quote!(mut),
    };
    let body = match &model.shape {
        Shape::Transparent(inner) => {
            optional = quote!(const OPTIONAL: bool = <#inner as ::shared::json::FromJson>::OPTIONAL;);
            quote!(Self(::shared::json::FromJson::from_json(value, trouble)))
        }
        Shape::Struct(members) if model.default => {
            let fields = fields(members, |member| {
                let ident = &member.ident;
                Some(quote!(default.#ident))
            });
            quote! {
                let default = <Self as ::core::default::Default>::default();
                Self { #fields }
            }
        }
        Shape::Struct(members) => {
            let fields = fields(members, |_| None);
            quote!(Self { #fields })
        }
        Shape::Enum(tagging, variants) => choice(tagging, variants),
    };
    quote! {
        #[automatically_derived]
        impl ::shared::json::FromJson for #name {
            #optional
            fn from_json(
                #takes value: ::core::option::Option<&mut ::shared::json::Value>,
                trouble: &mut ::shared::json::Trouble,
            ) -> Self { #body }
        }
        #[automatically_derived]
        impl<'de> ::shared::json::serde::Deserialize<'de> for #name {
            fn deserialize<D: ::shared::json::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                let value = <::shared::json::Value as ::shared::json::serde::Deserialize>::deserialize(deserializer)?;
                ::shared::json::read(value).map_err(<D::Error as ::shared::json::serde::de::Error>::custom)
            }
        }
    }
}

/// An enum: which variant is said by its place among the names; an error gives the first.
fn choice(tagging: &Tagging, variants: &[Variant]) -> TokenStream {
    let names = variants.iter().map(|variant| &variant.name);
    let other = variants.iter().position(|variant| variant.other).map_or_else(
        || quote!(::core::option::Option::None),
        |place| quote!(::core::option::Option::Some(#place)),
    );
    let units = variants.iter().all(|variant| matches!(variant.content, Content::Unit));
    let some_named = variants.iter().any(|variant| matches!(variant.content, Content::Named(_)));
    let takes = if some_named { quote!(mut) } else { quote!() };
    let choose = match tagging {
        Tagging::External if units => {
            quote!(let place = ::shared::json::word(value, &NAMES, #other, trouble);)
        }
        Tagging::External => {
            quote!(let (place, #takes value) = ::shared::json::named(value, &NAMES, #other, trouble);)
        }
        Tagging::Internal(tag) | Tagging::Adjacent(tag, _) => {
            quote!(let place = ::shared::json::variant(value.as_deref_mut(), #tag, &NAMES, #other, trouble);)
        }
    };
    let mut arms = variants.iter().enumerate().map(|(place, variant)| {
        let ident = &variant.ident;
        let place = if place == 0 { quote!(_) } else { quote!(#place) };
        let content = match tagging {
            Tagging::Adjacent(_, key) => quote!(::shared::json::field(value, #key, true, trouble)),
            Tagging::External | Tagging::Internal(_) => quote!(value),
        };
        match &variant.content {
            Content::Unit => quote!(#place => Self::#ident),
            Content::Newtype => {
                quote!(#place => Self::#ident(::shared::json::FromJson::from_json(#content, trouble)))
            }
            Content::Named(members) => {
                let fields = fields(members, |_| None);
                let content = match tagging {
                    Tagging::Adjacent(..) => quote!(let mut value = #content;),
                    Tagging::External | Tagging::Internal(_) => quote!(),
                };
                quote!(#place => { #content Self::#ident { #fields } })
            }
        }
    });
    // The first is also what stands for an error, so it comes last.
    let first = arms.next();
    let count = variants.len();
    quote! {
        const NAMES: [&str; #count] = [#(#names),*];
        #choose
        match place { #(#arms,)* #first }
    }
}

/// The fields of a struct or a variant; those that lie beside others come last.
fn fields(members: &[Member], default: impl Fn(&Member) -> Option<TokenStream>) -> TokenStream {
    let is_flat = |member: &&Member| matches!(member.kind, Kind::Flatten);
    let plain = members.iter().filter(|member| !is_flat(member)).map(|member| {
        let (ident, name) = (&member.ident, member.name());
        let read = match (&member.kind, default(member)) {
            (Kind::Call(function), _) => {
                quote!(::shared::json::take_or(value.as_deref_mut(), #name, #function(), trouble))
            }
            (Kind::Default, _) => quote!(::shared::json::take_default(value.as_deref_mut(), #name, trouble)),
            (_, Some(default)) => {
                quote!(::shared::json::take_or(value.as_deref_mut(), #name, #default, trouble))
            }
            (_, None) => quote!(::shared::json::take(value.as_deref_mut(), #name, trouble)),
        };
        quote!(#ident: #read,)
    });
    let flat = members.iter().filter(is_flat).map(|member| {
        let ident = &member.ident;
        quote!(#ident: ::shared::json::FromJson::from_json(value.as_deref_mut(), trouble),)
    });
    quote!(#(#plain)* #(#flat)*)
}
