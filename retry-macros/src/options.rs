//! The options of the attribute, read and checked.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Expr, Ident, LitInt, LitStr, Path, Result, Token, parenthesized};

/// What the store allows in a name; said again here so that a mistake is a compile error.
const NAME: &str = "a name is 1–128 characters of A-Z a-z 0-9 . _ : / -";

/// Every option by name, for the message about an unknown one.
const KNOWN: &[&str] = &[
    "kind",
    "aliases",
    "version",
    "migrate",
    "name",
    "derive",
    "queue",
    "priority",
    "delay",
    "expires_after",
    "unique",
    "max_attempts",
    "give_up_after",
    "retry",
    "timeout",
    "crash_budget",
    "concurrency",
    "fallback",
    "fallback_after",
    "quick_retries",
    "alert",
    "crate",
];

/// A number, or the word that stands for no limit.
pub(crate) enum Limit {
    Number(LitInt),
    None,
}

/// Runs that follow a failed one inside its attempt: how many, the pause before the first, the time for all.
pub(crate) struct QuickRetries {
    pub(crate) times: LitInt,
    pub(crate) pause: Expr,
    pub(crate) within: Expr,
}

/// What the attribute says.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) kind: Option<LitStr>,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) version: Option<LitInt>,
    pub(crate) migrate: Option<Path>,
    pub(crate) name: Option<Ident>,
    pub(crate) derive: Vec<Path>,
    pub(crate) queue: Option<LitStr>,
    pub(crate) priority: Option<Ident>,
    pub(crate) delay: Option<Expr>,
    pub(crate) expires_after: Option<Expr>,
    pub(crate) unique: Option<LitStr>,
    pub(crate) max_attempts: Option<Limit>,
    pub(crate) give_up_after: Option<Expr>,
    pub(crate) retry: Option<Expr>,
    pub(crate) timeout: Option<Expr>,
    pub(crate) crash_budget: Option<Limit>,
    pub(crate) concurrency: Option<LitInt>,
    pub(crate) fallback: Option<Path>,
    pub(crate) fallback_after: Option<LitInt>,
    pub(crate) quick_retries: Option<QuickRetries>,
    pub(crate) alert: Option<LitStr>,
    pub(crate) krate: Option<Path>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        let mut seen: Vec<String> = Vec::new();
        while !input.is_empty() {
            let (name, span) = option_name(input)?;
            if seen.contains(&name) {
                return Err(syn::Error::new(span, format!("`{name}` is given twice")));
            }
            options.option(&name, span, input)?;
            seen.push(name);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if let (Some(migrate), None) = (&options.migrate, &options.version) {
            return Err(syn::Error::new_spanned(migrate, "`migrate` needs `version`"));
        }
        match (&options.fallback, &options.fallback_after) {
            (None, Some(after)) => Err(syn::Error::new_spanned(
                after,
                "`fallback_after` needs `fallback`",
            )),
            _ => Ok(options),
        }
    }
}

/// `crate` is no identifier.
fn option_name(input: ParseStream<'_>) -> Result<(String, Span)> {
    if let Some(word) = input.parse::<Option<Token![crate]>>()? {
        return Ok(("crate".to_owned(), word.span));
    }
    let name: Ident = input.parse()?;
    Ok((name.to_string(), name.span()))
}

impl Options {
    fn option(&mut self, name: &str, span: Span, input: ParseStream<'_>) -> Result<()> {
        if name == "derive" {
            let list;
            parenthesized!(list in input);
            let paths = Punctuated::<Path, Token![,]>::parse_terminated(&list)?;
            self.derive = paths.into_iter().collect();
            return Ok(());
        }
        if name == "aliases" {
            let list;
            parenthesized!(list in input);
            let names = Punctuated::<LitStr, Token![,]>::parse_terminated_with(&list, checked_name)?;
            self.aliases = names.into_iter().collect();
            return Ok(());
        }
        if name == "quick_retries" {
            self.quick_retries = Some(quick_retries(span, input)?);
            return Ok(());
        }
        if !KNOWN.contains(&name) {
            let known = KNOWN.join("`, `");
            let text = format!("there is no option `{name}`; the options are `{known}`");
            return Err(syn::Error::new(span, text));
        }
        input.parse::<Token![=]>()?;
        match name {
            "kind" => self.kind = Some(checked_name(input)?),
            "queue" => self.queue = Some(checked_name(input)?),
            "version" => self.version = Some(positive(input)?),
            "migrate" => self.migrate = Some(input.parse()?),
            "name" => self.name = Some(input.parse()?),
            "priority" => self.priority = Some(priority(input)?),
            "delay" => self.delay = Some(input.parse()?),
            "expires_after" => self.expires_after = Some(input.parse()?),
            "unique" => self.unique = Some(input.parse()?),
            "max_attempts" => self.max_attempts = Some(limit(input, "endless")?),
            "give_up_after" => self.give_up_after = Some(input.parse()?),
            "retry" => self.retry = Some(input.parse()?),
            "timeout" => self.timeout = Some(input.parse()?),
            "crash_budget" => self.crash_budget = Some(limit(input, "none")?),
            "concurrency" => self.concurrency = Some(positive(input)?),
            "fallback" => self.fallback = Some(input.parse()?),
            "fallback_after" => self.fallback_after = Some(input.parse()?),
            "alert" => self.alert = Some(input.parse()?),
            _ => self.krate = Some(Path::parse_mod_style(input)?),
        }
        Ok(())
    }
}

fn checked_name(input: ParseStream<'_>) -> Result<LitStr> {
    let text: LitStr = input.parse()?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._:/-".contains(c);
    let value = text.value();
    if value.is_empty() || value.len() > 128 || !value.chars().all(allowed) {
        return Err(syn::Error::new_spanned(text, NAME));
    }
    Ok(text)
}

fn quick_retries(span: Span, input: ParseStream<'_>) -> Result<QuickRetries> {
    let wrong = || {
        let text = "it takes how many runs may follow, the first pause and the time for all: \
            quick_retries(3, \"50ms\", \"2s\")";
        syn::Error::new(span, text)
    };
    if !input.peek(syn::token::Paren) {
        return Err(wrong());
    }
    let list;
    parenthesized!(list in input);
    if !list.peek(LitInt) {
        return Err(wrong());
    }
    let times = positive(&list)?;
    list.parse::<Token![,]>().map_err(|_| wrong())?;
    let spans = Punctuated::<Expr, Token![,]>::parse_terminated(&list)?;
    let mut spans = spans.into_iter();
    match (spans.next(), spans.next(), spans.next()) {
        (Some(pause), Some(within), None) => Ok(QuickRetries { times, pause, within }),
        _ => Err(wrong()),
    }
}

fn priority(input: ParseStream<'_>) -> Result<Ident> {
    let word: Ident = input.parse()?;
    let variant = match word.to_string().as_str() {
        "urgent" => "Urgent",
        "high" => "High",
        "normal" => "Normal",
        "low" => "Low",
        _ => {
            return Err(syn::Error::new_spanned(
                word,
                "a priority is `urgent`, `high`, `normal` or `low`",
            ));
        }
    };
    Ok(Ident::new(variant, word.span()))
}

fn positive(input: ParseStream<'_>) -> Result<LitInt> {
    let number: LitInt = input.parse()?;
    if number.base10_parse::<u32>()? == 0 {
        return Err(syn::Error::new_spanned(number, "it must be more than zero"));
    }
    Ok(number)
}

fn limit(input: ParseStream<'_>, unlimited: &str) -> Result<Limit> {
    if !input.peek(Ident) {
        return positive(input).map(Limit::Number);
    }
    let word: Ident = input.parse()?;
    if word == unlimited {
        return Ok(Limit::None);
    }
    Err(syn::Error::new_spanned(
        word,
        format!("it is a number, or `{unlimited}`"),
    ))
}
