//! Durations as people write them: `"1h30m"`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Expr, ExprLit, Lit, LitStr, Result};

/// The units, in milliseconds.
const UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// An expression of type `Duration`: a literal is read now, anything else is left to the compiler.
pub(crate) fn tokens(value: &Expr) -> Result<TokenStream> {
    let Expr::Lit(ExprLit { lit, .. }) = value else {
        return Ok(quote!(#value));
    };
    let Lit::Str(text) = lit else {
        return Err(syn::Error::new_spanned(
            lit,
            "a duration is text with units: \"250ms\", \"30s\", \"5m\", \"1h30m\", \"2d\"",
        ));
    };
    let millis = literal(text)?;
    Ok(quote!(::core::time::Duration::from_millis(#millis)))
}

fn literal(text: &LitStr) -> Result<u64> {
    parse(&text.value()).map_err(|why| syn::Error::new_spanned(text, why))
}

fn parse(text: &str) -> std::result::Result<u64, String> {
    let wrong = |what: &str| {
        format!(
            "{what} in the duration {text:?}; it is written as \"250ms\", \"30s\", \"5m\", \"1h30m\", \"2d\""
        )
    };
    let mut rest = text;
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let letters = behind
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let number: u64 = number
            .parse()
            .map_err(|_| wrong("a number is missing or too large"))?;
        let unit = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, millis) = unit.ok_or_else(|| wrong("a unit (ms, s, m, h, d) is missing"))?;
        let part = number.checked_mul(*millis);
        sum = part
            .and_then(|part| sum.checked_add(part))
            .ok_or_else(|| wrong("a number is too large"))?;
        rest = behind;
    }
    if text.is_empty() {
        return Err(wrong("nothing is"));
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        assert_eq!(parse("250ms"), Ok(250));
        assert_eq!(parse("1h30m"), Ok(5_400_000));
        assert_eq!(parse("2d"), Ok(172_800_000));
        assert_eq!(parse("0s"), Ok(0));
        for wrong in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "5y",
            "1.5h",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
