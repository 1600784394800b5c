//! The protocol's declarations as one flat file that cbindgen can read.
//!
//! cbindgen expands no macros and has one namespace, as C has. So the items inside `payloads!` and
//! `ioctls!` are taken out of their macros, a module's name becomes a part of its constants' names, and
//! what only a compiler can compute (control codes, `size_of`) is put in from the golden file.

use super::golden::Golden;
use anyhow::{Context, Result, anyhow};
use quote::{ToTokens, format_ident, quote};
use std::{collections::BTreeSet, fs, path::Path};
use syn::{
    Attribute, Expr, ExprCall, File, Ident, Item, ItemConst, LitInt, Token,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    visit_mut::{self, VisitMut},
};

/// The flat file, and what cbindgen has no way for.
pub struct Flat {
    /// Rust that declares everything.
    pub source: String,
    /// The device's path as a string of C.
    pub device_path: String,
}

impl Flat {
    /// Reads the protocol's sources.
    pub fn read(folder: &Path, golden: &Golden) -> Result<Self> {
        let parse = |name: &str| -> Result<File> {
            let text = fs::read_to_string(folder.join(name))?;
            syn::parse_file(&text).with_context(|| format!("parsing {name}"))
        };
        let root = parse("lib.rs")?.items;
        let mut items = Vec::new();
        constants(&root, "", &[], golden, &mut items);
        let limits = parse("limits.rs")?.items;
        constants(&limits, "", &[], golden, &mut items);
        for item in parse("values.rs")?.items {
            if let Item::Mod(module) = item {
                let (_, inside) = module.content.context("a module without contents")?;
                let prefix = format!("{}_", module.ident.to_string().to_uppercase());
                constants(&inside, &prefix, &module.attrs, golden, &mut items);
            }
        }
        let codes = invocation(parse("ioctl.rs")?, "ioctls")?;
        for code in codes.parse_body_with(Punctuated::<Code, Token![;]>::parse_terminated)? {
            let mut constant = code.constant(golden)?;
            Names::within("", &[], golden).visit_item_const_mut(&mut constant);
            items.push(constant.to_token_stream().to_string());
        }
        let payloads: File = invocation(parse("payload.rs")?, "payloads")?.parse_body()?;
        for mut payload in payloads.items {
            Names::within("", &numbers(&limits), golden).visit_item_mut(&mut payload);
            items.push(quote!(#[repr(C)] #payload).to_string());
        }
        Ok(Self {
            source: items.join("\n"),
            device_path: device_path(&root)?,
        })
    }
}

/// A payload's name in C.
pub fn structure(name: &str) -> String {
    format!("tlsgate_{}", words(name))
}

/// `AcceptRequest` as `accept_request`.
pub fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// The numbers among these items, as C names them; `about` is said in front of the first one.
fn constants(
    items: &[Item],
    prefix: &str,
    about: &[Attribute],
    golden: &Golden,
    flat: &mut Vec<String>,
) {
    let constants = numbers(items);
    let mut names = Names::within(prefix, &constants, golden);
    for (index, constant) in constants.into_iter().enumerate() {
        let mut constant = constant.clone();
        if index == 0 && !about.is_empty() {
            let blank: Attribute = syn::parse_quote!(#[doc = ""]);
            let own = std::mem::take(&mut constant.attrs);
            constant.attrs = [about, &[blank], &own].concat();
        }
        names.visit_item_const_mut(&mut constant);
        flat.push(constant.to_token_stream().to_string());
    }
}

fn numbers(items: &[Item]) -> Vec<&ItemConst> {
    let is_number = |constant: &ItemConst| {
        ["u8", "u32", "usize"].contains(&constant.ty.to_token_stream().to_string().as_str())
    };
    items
        .iter()
        .filter_map(|item| match item {
            Item::Const(constant) if is_number(constant) => Some(constant),
            _ => None,
        })
        .collect()
}

/// The use of a macro, which its file also declares.
fn invocation(file: File, name: &str) -> Result<syn::Macro> {
    file.items
        .into_iter()
        .find_map(|item| match item {
            Item::Macro(item) if item.ident.is_none() && item.mac.path.is_ident(name) => {
                Some(item.mac)
            }
            _ => None,
        })
        .ok_or_else(|| anyhow!("{name}! is not used"))
}

fn device_path(root: &[Item]) -> Result<String> {
    let path = root.iter().find_map(|item| match item {
        Item::Const(constant) if constant.ident == "DEVICE_PATH" => match &*constant.expr {
            Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(path),
                ..
            }) => Some(path.value()),
            _ => None,
        },
        _ => None,
    });
    // Rust's escapes of a backslash are those of C.
    Ok(format!("{:?}", path.context("no DEVICE_PATH")?))
}

/// A line of `ioctls!`: `Accept = 0x803, ReadWrite`.
struct Code {
    attributes: Vec<Attribute>,
    name: Ident,
}

impl Parse for Code {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let name = input.parse()?;
        input.parse::<Token![=]>()?;
        input.parse::<LitInt>()?;
        input.parse::<Token![,]>()?;
        input.parse::<Ident>()?;
        Ok(Self { attributes, name })
    }
}

impl Code {
    fn constant(&self, golden: &Golden) -> Result<ItemConst> {
        let Self { attributes, name } = self;
        let is_it = |(it, _): &&(String, u32)| name == it;
        let (_, code) = golden
            .ioctls
            .iter()
            .find(is_it)
            .context("an unknown code")?;
        let name = format_ident!("TLSGATE_IOCTL_{}", words(&name.to_string()).to_uppercase());
        Ok(syn::parse_quote!(#(#attributes)* pub const #name: u32 = #code;))
    }
}

/// Renames what is declared here, and what refers to it.
struct Names<'a> {
    prefix: String,
    constants: BTreeSet<String>,
    golden: &'a Golden,
}

impl<'a> Names<'a> {
    fn within(prefix: &str, constants: &[&ItemConst], golden: &'a Golden) -> Self {
        Self {
            prefix: format!("TLSGATE_{prefix}"),
            constants: constants.iter().map(|it| it.ident.to_string()).collect(),
            golden,
        }
    }

    /// Another name for something of the protocol; `None` for everything else.
    fn renamed(&self, name: &str) -> Option<String> {
        if self.golden.size_of(name).is_some() {
            Some(structure(name))
        } else if self.constants.contains(name) {
            Some(format!("{}{name}", self.prefix))
        } else {
            None
        }
    }

    /// A link of rustdoc, without its brackets, as what C calls it.
    fn link(&self, link: &str) -> String {
        let mut parts: Vec<&str> = link.split("::").collect();
        parts.retain(|part| !["crate", "payload", "limits"].contains(part));
        match parts[..] {
            [payload, field] if self.golden.size_of(payload).is_some() => {
                format!("{}.{field}", structure(payload))
            }
            [payload] if self.golden.size_of(payload).is_some() => structure(payload),
            [name] if self.constants.contains(name) => format!("{}{name}", self.prefix),
            [name] if name.chars().all(|it| it.is_uppercase() || it == '_') => {
                format!("TLSGATE_{name}")
            }
            [module] => format!("TLSGATE_{}_*", module.to_uppercase()),
            _ => format!("TLSGATE_{}", parts.join("_").to_uppercase()),
        }
    }

    fn documentation(&self, text: &str) -> String {
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, link)) = rest.split_once("[`") {
            let Some((link, after)) = link.split_once("`]") else {
                break;
            };
            plain.push_str(before);
            plain.push_str(&self.link(link));
            rest = match after.strip_prefix('(') {
                Some(target) => target.split_once(')').map_or(after, |(_, after)| after),
                None => after,
            };
        }
        plain.push_str(rest);
        plain.replace('`', "")
    }
}

impl VisitMut for Names<'_> {
    fn visit_ident_mut(&mut self, ident: &mut Ident) {
        if let Some(name) = self.renamed(&ident.to_string()) {
            *ident = Ident::new(&name, ident.span());
        }
    }

    fn visit_attribute_mut(&mut self, attribute: &mut Attribute) {
        if let syn::Meta::NameValue(value) = &mut attribute.meta
            && value.path.is_ident("doc")
            && let Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(text),
                ..
            }) = &mut value.value
        {
            *text = syn::LitStr::new(&self.documentation(&text.value()), text.span());
        }
    }

    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        if let Expr::Call(ExprCall { func, .. }) = expression
            && let Expr::Path(function) = &**func
            && let Some(size) = self.size(&function.path)
        {
            *expression = syn::parse_quote!(#size);
            return;
        }
        visit_mut::visit_expr_mut(self, expression);
    }
}

impl Names<'_> {
    /// The value of `size_of::<T>()` for a payload.
    fn size(&self, function: &syn::Path) -> Option<LitInt> {
        let segment = function.segments.last()?;
        if segment.ident != "size_of" {
            return None;
        }
        let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments else {
            return None;
        };
        let Some(syn::GenericArgument::Type(syn::Type::Path(payload))) = arguments.args.first()
        else {
            return None;
        };
        let name = payload.path.segments.last()?.ident.to_string();
        let size = self.golden.size_of(&name)?;
        Some(LitInt::new(&size.to_string(), segment.ident.span()))
    }
}
