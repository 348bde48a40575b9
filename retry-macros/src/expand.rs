//! What the attribute writes: the function, the payload's struct, and how both meet.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Expr, Ident, LitStr, Path, Result, parse_quote};

use crate::function::Function;
use crate::options::{Limit, Options};
use crate::{duration, retry};

pub(crate) fn task(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options: Options = syn::parse2(options)?;
    let function = Function::new(item)?;
    Expansion::new(&options, &function).tokens()
}

struct Expansion<'a> {
    options: &'a Options,
    function: &'a Function,
    krate: Path,
    name: Ident,
}

impl<'a> Expansion<'a> {
    fn new(options: &'a Options, function: &'a Function) -> Self {
        let of_function = &function.item.sig.ident;
        let name = options.name.clone();
        Self {
            options,
            function,
            krate: options
                .krate
                .clone()
                .unwrap_or_else(|| parse_quote!(::task_retry)),
            name: name
                .unwrap_or_else(|| Ident::new(&camel_case(&of_function.to_string()), of_function.span())),
        }
    }

    fn tokens(&self) -> Result<TokenStream> {
        let item = &self.function.item;
        let payload = self.payload();
        let task_payload = self.task_payload()?;
        let enqueue = self.enqueue();
        let handled = self.handled()?;
        Ok(quote! {
            #item
            #payload
            #task_payload
            #enqueue
            #handled
        })
    }

    fn payload(&self) -> TokenStream {
        let Self {
            krate,
            name,
            function,
            options,
        } = self;
        let (visibility, docs, derive) = (function.visibility(), function.docs(), &options.derive);
        let serde = format!("{}::__private::serde", path_text(krate));
        let fields = function.fields.iter().map(|field| {
            let (name, ty, attributes) = (&field.name, &field.ty, &field.attributes);
            quote!(#(#attributes)* #visibility #name: #ty)
        });
        quote! {
            #(#docs)*
            #[derive(#krate::__private::serde::Serialize, #krate::__private::serde::Deserialize, #(#derive),*)]
            #[serde(crate = #serde)]
            #[allow(missing_docs, missing_debug_implementations, unreachable_pub, reason = "written by an attribute")]
            #visibility struct #name {
                #(#fields),*
            }
        }
    }

    fn task_payload(&self) -> Result<TokenStream> {
        let Self {
            krate,
            name,
            options,
            function,
        } = self;
        let own_name = || LitStr::new(&function.item.sig.ident.to_string(), Span::call_site());
        let kind = options.kind.clone().unwrap_or_else(own_name);
        let aliases = &options.aliases;
        let version = options
            .version
            .as_ref()
            .map(|version| quote!(const VERSION: u32 = #version;));
        let migrate = options.migrate.as_ref().map(|path| {
            let json = quote!(#krate::__private::serde_json::Value);
            quote! {
                fn migrate(
                    from: u32,
                    payload: #json,
                ) -> ::core::result::Result<#json, ::std::boxed::Box<dyn ::std::error::Error + ::core::marker::Send + ::core::marker::Sync>> {
                    #path(from, payload)
                }
            }
        });
        let setters = self.setters()?;
        let for_this = options.unique.as_ref().map(|unique| {
            let fields = function.fields.iter().map(|field| &field.name);
            quote! {
                fn options_for(&self, options: #krate::TaskOptions) -> #krate::TaskOptions {
                    #[allow(unused_variables, reason = "the key may not need every field")]
                    let Self { #(#fields),* } = self;
                    options.unique(::std::format!(#unique))
                }
            }
        });
        Ok(quote! {
            impl #krate::TaskPayload for #name {
                const KIND: &'static str = #kind;
                const ALIASES: &'static [&'static str] = &[#(#aliases),*];
                #version

                fn options() -> #krate::TaskOptions {
                    #krate::TaskOptions::new() #setters
                }

                #for_this

                #migrate
            }
        })
    }

    fn setters(&self) -> Result<TokenStream> {
        let Self { krate, options, .. } = self;
        let queue = options.queue.iter().map(|queue| quote!(.queue(#queue)));
        let priority = options
            .priority
            .iter()
            .map(|level| quote!(.priority(#krate::Priority::#level)));
        let delay = method("delay", options.delay.as_ref())?;
        let expires = method("expires_after", options.expires_after.as_ref())?;
        let budget = options.crash_budget.iter().map(|budget| match budget {
            Limit::Number(number) => quote!(.crash_budget(#number)),
            Limit::None => quote!(.crash_budget(::core::option::Option::None)),
        });
        let retry = self.retry()?;
        Ok(quote!(#(#queue)* #(#priority)* #delay #expires #(#budget)* #retry))
    }

    fn retry(&self) -> Result<TokenStream> {
        let Self { krate, options, .. } = self;
        if options.retry.is_none() && options.max_attempts.is_none() && options.give_up_after.is_none() {
            return Ok(TokenStream::new());
        }
        let policy = match &options.retry {
            Some(value) => retry::tokens(value, krate)?,
            None => quote!(<#krate::RetryPolicy as ::core::default::Default>::default()),
        };
        let attempts = options.max_attempts.iter().map(|attempts| match attempts {
            Limit::Number(number) => quote!(.max_attempts(#number)),
            Limit::None => quote!(.endless()),
        });
        let give_up = method("give_up_after", options.give_up_after.as_ref())?;
        Ok(quote! {
            .retry({
                let policy: #krate::RetryPolicy = #policy;
                policy.to_builder() #(#attempts)* #give_up .build()
                    .expect("a task's `max_attempts` and `give_up_after` are more than zero")
            })
        })
    }

    fn enqueue(&self) -> TokenStream {
        let Self {
            krate,
            name,
            function,
            ..
        } = self;
        let visibility = function.visibility();
        quote! {
            #[allow(dead_code, unreachable_pub, reason = "written by an attribute")]
            impl #name {
                /// Enqueues the task when awaited; options can be changed first.
                #visibility fn enqueue<S: #krate::store::TaskStore + ?::core::marker::Sized>(
                    self,
                    client: &#krate::Client<S>,
                ) -> #krate::Enqueue<'_, S> {
                    client.enqueue(self)
                }
            }
        }
    }

    fn handled(&self) -> Result<TokenStream> {
        let Self {
            krate,
            name,
            options,
            function,
        } = self;
        let payload = format_ident!("payload");
        let given: Vec<Ident> = (0..function.given.len())
            .map(|index| format_ident!("given_{index}"))
            .collect();
        let types = &function.given;
        let call = function.call(&payload, &given);
        let unused = function.fields.is_empty().then(|| quote!(let _ = #payload;));
        let timeout = method("timeout", options.timeout.as_ref())?;
        let concurrency = options
            .concurrency
            .iter()
            .map(|limit| quote!(.concurrency(#limit)));
        let fallback = options.fallback.iter().map(|path| {
            let after = options.fallback_after.iter();
            let after = after
                .map(|after| quote!(#after))
                .next()
                .unwrap_or_else(|| quote!(0));
            quote!(.fallback::<#name, _, _>(#after, #path))
        });
        let quick = self.quick_retries()?;
        let alert = options.alert.iter().map(|rule| quote!(.alert(#rule)));
        Ok(quote! {
            impl #krate::HandledTask for #name {
                fn register(builder: #krate::WorkerBuilder) -> #krate::WorkerBuilder {
                    builder.handler_with(
                        |#payload: #name #(, #given: #types)*| {
                            #unused
                            #call
                        },
                        |options| options #timeout #(#concurrency)* #quick #(#fallback)* #(#alert)*,
                    )
                }
            }
        })
    }

    fn quick_retries(&self) -> Result<TokenStream> {
        let Some(quick) = &self.options.quick_retries else {
            return Ok(TokenStream::new());
        };
        let (times, pause) = (&quick.times, duration::tokens(&quick.pause)?);
        let within = duration::tokens(&quick.within)?;
        Ok(quote!(.quick_retries(#times, #pause, #within)))
    }
}

/// A setter that takes a duration.
fn method(name: &str, value: Option<&Expr>) -> Result<TokenStream> {
    let Some(value) = value else {
        return Ok(TokenStream::new());
    };
    let (name, value) = (format_ident!("{name}"), duration::tokens(value)?);
    Ok(quote!(.#name(#value)))
}

/// `send_mail` → `SendMail`.
fn camel_case(name: &str) -> String {
    name.trim_start_matches("r#")
        .split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        })
        .collect()
}

/// A path as serde's attribute wants it.
fn path_text(path: &Path) -> String {
    let words: Vec<String> = path
        .segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect();
    let start = if path.leading_colon.is_some() { "::" } else { "" };
    format!("{start}{}", words.join("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_camel_case() {
        assert_eq!(camel_case("send_mail"), "SendMail");
        assert_eq!(camel_case("welcome"), "Welcome");
        assert_eq!(camel_case("r#move"), "Move");
    }
}
