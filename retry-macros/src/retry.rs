//! The option `retry`: a preset by its name, or any expression of type `RetryPolicy`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Expr, ExprCall, ExprPath, Path, Result};

use crate::duration;

/// An expression of type `RetryPolicy`.
pub(crate) fn tokens(value: &Expr, krate: &Path) -> Result<TokenStream> {
    match value {
        Expr::Path(path) => Ok(plain(path, krate).unwrap_or_else(|| quote!(#value))),
        Expr::Call(call) => preset(call, krate).unwrap_or_else(|| Ok(quote!(#value))),
        _ => Ok(quote!(#value)),
    }
}

fn plain(path: &ExprPath, krate: &Path) -> Option<TokenStream> {
    let name = path.path.get_ident()?;
    (name == "once" || name == "tenfold").then(|| quote!(#krate::RetryPolicy::#name()))
}

fn preset(call: &ExprCall, krate: &Path) -> Option<Result<TokenStream>> {
    let Expr::Path(path) = &*call.func else {
        return None;
    };
    let name = path.path.get_ident()?.clone();
    let arguments: Vec<&Expr> = call.args.iter().collect();
    match (name.to_string().as_str(), arguments.as_slice()) {
        ("linear" | "linear_from_double", [interval]) => {
            Some(duration::tokens(interval).map(|interval| quote!(#krate::RetryPolicy::#name(#interval))))
        }
        ("fixed", [delay]) => Some(
            duration::tokens(delay).map(|delay| with_backoff(krate, &quote!(#krate::Backoff::fixed(#delay)))),
        ),
        ("exponential", [first, cap]) => Some(exponential(first, cap, krate)),
        ("linear" | "linear_from_double" | "fixed", _) => Some(Err(syn::Error::new_spanned(
            call,
            format!("`{name}` takes one duration: {name}(\"20s\")"),
        ))),
        ("exponential", _) => Some(Err(syn::Error::new_spanned(
            call,
            "`exponential` takes the first delay and the longest one: exponential(\"1s\", \"1h\")",
        ))),
        _ => None,
    }
}

fn exponential(first: &Expr, cap: &Expr, krate: &Path) -> Result<TokenStream> {
    let (first, cap) = (duration::tokens(first)?, duration::tokens(cap)?);
    Ok(with_backoff(
        krate,
        &quote!(#krate::Backoff::doubling(#first).cap(#cap)),
    ))
}

/// The default policy with other delays.
fn with_backoff(krate: &Path, backoff: &TokenStream) -> TokenStream {
    quote! {
        #krate::RetryPolicy::builder()
            .backoff(#backoff)
            .build()
            .expect("nothing in it contradicts a backoff")
    }
}
