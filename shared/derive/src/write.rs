//! The code that writes: `ToJson::write` fills the place it is given, one call a field.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{Content, Kind, Member, Model, Shape, Tagging, Variant};

pub(crate) fn code(model: &Model) -> TokenStream {
    let name = &model.name;
    let body = match &model.shape {
        Shape::Transparent(_) => quote!(::shared::json::ToJson::write(&self.0, into)),
        Shape::Struct(members) => {
            let fields = members.iter().map(|member| {
                let ident = &member.ident;
                put(member, &quote!(&self.#ident))
            });
            quote!(#(#fields)*)
        }
        Shape::Enum(Tagging::External, variants)
            if variants.iter().all(|variant| matches!(variant.content, Content::Unit)) =>
        {
            let arms = variants.iter().map(|Variant { ident, name, .. }| quote!(Self::#ident => #name));
            quote!(::shared::json::put_word(into, match self { #(#arms,)* }))
        }
        Shape::Enum(tagging, variants) => {
            let arms = variants.iter().map(|variant| arm(tagging, variant));
            quote!(match self { #(#arms)* })
        }
    };
    quote! {
        #[automatically_derived]
        impl ::shared::json::ToJson for #name {
            fn write(&self, into: &mut ::shared::json::Value) { #body }
        }
        #[automatically_derived]
        impl ::shared::json::serde::Serialize for #name {
            fn serialize<S: ::shared::json::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                ::shared::json::serde::Serialize::serialize(&::shared::json::to_value(self), serializer)
            }
        }
    }
}

fn arm(tagging: &Tagging, Variant { ident, name, content, .. }: &Variant) -> TokenStream {
    let pattern = match content {
        Content::Unit => quote!(Self::#ident),
        Content::Newtype => quote!(Self::#ident(content)),
        Content::Named(members) => {
            let names = members.iter().map(|member| &member.ident);
            quote!(Self::#ident { #(#names),* })
        }
    };
    // Where the content goes, after the name.
    let place = match (tagging, content) {
        (Tagging::External, Content::Unit) => quote!(::shared::json::put_word(into, #name);),
        (Tagging::External, Content::Newtype | Content::Named(_)) => {
            quote!(let into = ::shared::json::slot(into, #name);)
        }
        (Tagging::Internal(tag), _) | (Tagging::Adjacent(tag, _), Content::Unit) => {
            quote!(::shared::json::tag(into, #tag, #name);)
        }
        (Tagging::Adjacent(tag, key), Content::Newtype | Content::Named(_)) => quote! {
            ::shared::json::tag(into, #tag, #name);
            let into = ::shared::json::slot(into, #key);
        },
    };
    let content = match content {
        Content::Unit => quote!(),
        Content::Newtype => quote!(::shared::json::ToJson::write(content, into);),
        Content::Named(members) => members
            .iter()
            .map(|member| {
                let ident = &member.ident;
                put(member, &quote!(#ident))
            })
            .collect(),
    };
    quote!(#pattern => { #place #content })
}

fn put(member: &Member, value: &TokenStream) -> TokenStream {
    let name = member.name();
    match member.kind {
        Kind::Flatten => quote!(::shared::json::ToJson::write(#value, into);),
        Kind::Plain | Kind::Default | Kind::Call(_) => quote!(::shared::json::put(into, #name, #value);),
    }
}
