//! From markup to calls. Attributes keep their order, then come the children, then what must see them: properties, since a list's
//! choice can be set only when its options are there.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use rstml::node::{
    KeyedAttribute, KeyedAttributeValue, Node, NodeAttribute, NodeBlock, NodeElement, NodeName,
};
use syn::spanned::Spanned as _;
use syn::{Error, Result};

/// Elements that belong to SVG's namespace.
const DRAWN: [&str; 6] = ["svg", "path", "g", "rect", "circle", "text"];

type Element = NodeElement<rstml::Infallible>;

/// One view of all nodes of a level.
pub(crate) fn views(nodes: &[Node]) -> Result<TokenStream> {
    match nodes {
        [Node::Element(element)] => self::element(element),
        [Node::Block(block)] => {
            let value = value(block)?;
            Ok(quote! { crate::view::Piece::view(#value) })
        }
        _ => {
            let children = children(nodes)?;
            Ok(quote! { crate::view::group() #children .done() })
        }
    }
}

fn children(nodes: &[Node]) -> Result<TokenStream> {
    let mut calls = TokenStream::new();
    for node in nodes {
        calls.extend(match node {
            Node::Text(text) => {
                let value = &text.value;
                quote! { .text(#value) }
            }
            Node::RawText(raw) => {
                let value = raw.to_string_best();
                quote! { .text(#value) }
            }
            Node::Block(block) => {
                let value = value(block)?;
                quote! { .child(#value) }
            }
            Node::Element(inner) => {
                let view = element(inner)?;
                quote! { .child(#view) }
            }
            Node::Fragment(fragment) => children(&fragment.children)?,
            Node::Comment(_) => TokenStream::new(),
            Node::Doctype(_) | Node::Custom(_) => {
                return Err(Error::new(node.span(), "not part of a page's body"));
            }
        });
    }
    Ok(calls)
}

/// What stands in braces, without them where one expression is all.
fn value(block: &NodeBlock) -> Result<TokenStream> {
    match block {
        NodeBlock::ValidBlock(block) => {
            if let [syn::Stmt::Expr(value, None)] = block.stmts.as_slice() {
                Ok(quote!(#value))
            } else {
                Ok(quote!(#block))
            }
        }
        NodeBlock::Invalid(block) => Err(Error::new(block.span(), "not an expression")),
    }
}

fn element(element: &Element) -> Result<TokenStream> {
    let name = element.name().to_string();
    match name.as_str() {
        "Show" => show(element),
        "For" => each(element),
        _ if name.starts_with(char::is_uppercase) => component(element),
        _ => plain(&name, element),
    }
}

fn plain(name: &str, element: &Element) -> Result<TokenStream> {
    let mut fixed = Vec::new();
    let mut calls = TokenStream::new();
    let mut last = TokenStream::new();
    for attribute in attributes(element)? {
        let key = attribute.key.to_string();
        let text = attribute.value_literal_string().filter(|_| {
            matches!(attribute.value(), Some(syn::Expr::Lit(literal)) if !matches!(literal.lit, syn::Lit::Bool(_)))
        });
        let value = attribute.value();
        let span = attribute.span();
        match (key.split_once(':'), key.as_str(), value) {
            (Some(("on", event)), _, Some(handler)) => {
                let event = syn::Ident::new(event, attribute.key.span());
                calls.extend(quote_spanned! {span=> .on(&::leptos::ev::#event, #handler) });
            }
            (Some(("prop", property)), _, Some(value)) => {
                last.extend(quote_spanned! {span=> .property(#property, #value) });
            }
            (Some(("style", property)), _, Some(value)) => {
                calls.extend(quote_spanned! {span=> .style(#property, #value) });
            }
            (Some(("bind", "value")), _, Some(signal)) => {
                last.extend(quote_spanned! {span=> .bind(#signal) });
            }
            (Some(_), _, _) => {
                return Err(Error::new(span, "only on:, prop:, style: and bind:value are known"));
            }
            (None, "node_ref", Some(reference)) => {
                calls.extend(quote_spanned! {span=> .refer(#reference) });
            }
            (None, _, None) => fixed.push((key, String::new())),
            (None, _, Some(value)) => match text {
                Some(text) => fixed.push((key, text)),
                None => calls.extend(quote_spanned! {span=> .attribute(#key, #value) }),
            },
        }
    }
    let (keys, values): (Vec<_>, Vec<_>) = fixed.into_iter().unzip();
    let make = if DRAWN.contains(&name) { quote!(drawn) } else { quote!(element) };
    let children = children(&element.children)?;
    Ok(quote! { crate::view::#make(#name, &[#((#keys, #values)),*]) #calls #children #last .done() })
}

fn attributes(element: &Element) -> Result<Vec<&KeyedAttribute>> {
    let mut keyed = Vec::new();
    for attribute in element.attributes() {
        match attribute {
            NodeAttribute::Attribute(attribute) => keyed.push(attribute),
            NodeAttribute::Block(block) => return Err(Error::new(block.span(), "an attribute has a name")),
        }
    }
    Ok(keyed)
}

/// The value of one property of `Show` and `For`.
fn property<'a>(element: &'a Element, name: &str) -> Result<Option<&'a syn::Expr>> {
    Ok(attributes(element)?
        .into_iter()
        .find(|attribute| attribute.key.to_string() == name)
        .and_then(|it| it.value()))
}

fn needed<'a>(element: &'a Element, name: &str) -> Result<&'a syn::Expr> {
    property(element, name)?.ok_or_else(|| Error::new(element.span(), format!("`{name}` is missing")))
}

fn show(element: &Element) -> Result<TokenStream> {
    let when = needed(element, "when")?;
    let then = views(&element.children)?;
    Ok(match property(element, "fallback")? {
        None => quote! { crate::view::show(#when, move || #then) },
        Some(fallback) => quote! { crate::view::show_or(#when, move || #then, #fallback) },
    })
}

fn each(element: &Element) -> Result<TokenStream> {
    let items = needed(element, "each")?;
    let key = needed(element, "key")?;
    let mut bound = quote!(_);
    for attribute in attributes(element)? {
        if let KeyedAttributeValue::Binding(binding) = &attribute.possible_value {
            let inputs = &binding.inputs;
            bound = quote!(#inputs);
        }
    }
    let each = views(&element.children)?;
    Ok(quote! { crate::view::each(#items, #key, move |#bound| #each) })
}

fn component(element: &Element) -> Result<TokenStream> {
    let name: &NodeName = element.name();
    let mut properties = TokenStream::new();
    for attribute in attributes(element)? {
        let key = &attribute.key;
        let value = attribute.value().map_or_else(|| quote!(#key), |value| quote!(#value));
        properties.extend(quote! { .#key(#value) });
    }
    if !element.children.is_empty() {
        let children = views(&element.children)?;
        properties.extend(quote! { .children(::std::boxed::Box::new(move || #children)) });
    }
    Ok(quote! {
        ::leptos::component::component_view(
            #name,
            ::leptos::component::component_props_builder(&#name) #properties .build(),
        )
    })
}
