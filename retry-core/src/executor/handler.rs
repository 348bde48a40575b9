//! Typed async functions as executors.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Ctx, Executor, Final, FromCtx, HandlerError, Outcome, Requirement};
use crate::draft::TaskPayload;
use crate::payload::Payload;

/// An async function `async fn(P, …) -> Result<impl Into<Outcome>, impl Into<HandlerError>>` with up to six arguments
/// behind the payload, each a [`FromCtx`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task handler",
    note = "a handler is `async fn(P, …) -> Result<impl Into<Outcome>, impl Into<HandlerError>>` \
            where `P: TaskPayload` and the other arguments are `Ctx` or `State<S>`"
)]
pub trait Handler<P, Args>: Clone + Send + Sync + 'static {
    /// Calls it.
    fn call(self, payload: P, ctx: &Ctx) -> BoxFuture<'static, Result<Outcome, HandlerError>>;

    /// The shared states it needs.
    #[must_use]
    fn requires() -> Vec<Requirement>;
}

macro_rules! handler {
    ($($arg:ident),*) => {
        #[allow(non_snake_case, unused_variables, reason = "the macro names values after their types")]
        impl<P, F, Fut, R, E, $($arg,)*> Handler<P, ($($arg,)*)> for F
        where
            P: TaskPayload,
            F: Fn(P, $($arg),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Result<R, E>> + Send + 'static,
            R: Into<Outcome>,
            E: Into<HandlerError>,
            $($arg: FromCtx + 'static,)*
        {
            fn call(self, payload: P, ctx: &Ctx) -> BoxFuture<'static, Result<Outcome, HandlerError>> {
                $(let Some($arg) = $arg::from_ctx(ctx) else { return missing(); };)*
                let future = self(payload, $($arg),*);
                Box::pin(async move {
                    match future.await {
                        Ok(outcome) => Ok(outcome.into()),
                        Err(error) => Err(error.into()),
                    }
                })
            }

            fn requires() -> Vec<Requirement> {
                let needs: [Option<Requirement>; _] = [$($arg::requires()),*];
                needs.into_iter().flatten().collect()
            }
        }
    };
}

fn missing() -> BoxFuture<'static, Result<Outcome, HandlerError>> {
    Box::pin(std::future::ready(Err("a shared state is missing".into())))
}

handler!();
handler!(A);
handler!(A, B);
handler!(A, B, C);
handler!(A, B, C, D);
handler!(A, B, C, D, G);
handler!(A, B, C, D, G, H);

struct Typed<P, Args, H> {
    handler: H,
    marker: PhantomData<fn(P, Args)>,
}

impl<P, Args, H> Executor for Typed<P, Args, H>
where
    P: TaskPayload,
    Args: 'static,
    H: Handler<P, Args>,
{
    fn execute(&self, payload: Payload, ctx: Ctx) -> BoxFuture<'static, Result<Outcome, HandlerError>> {
        match payload.decode::<P>() {
            Ok(payload) => self.handler.clone().call(payload, &ctx),
            Err(error) => {
                let text = format!("the payload does not decode: {}", unquoted(&error));
                Box::pin(std::future::ready(Err(Final::new(text).into())))
            }
        }
    }

    fn requires(&self) -> Vec<Requirement> {
        H::requires()
    }
}

/// What is wrong with a payload without a word of the payload: serde's messages quote the value that they found before
/// they say what was expected.
fn unquoted(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let names_fields_only = text.starts_with("missing field") || text.starts_with("duplicate field");
    if !error.is_data() || names_fields_only {
        return text;
    }
    let found = text.split([':', '`', '"']).next().unwrap_or_default().trim_end();
    let told = found.starts_with("invalid ") || found.starts_with("unknown ");
    match text.rfind(", expected ").filter(|_| told) {
        Some(expected) => format!("{found}{}", &text[expected..]),
        None => format!(
            "an invalid value at line {} column {}",
            error.line(),
            error.column()
        ),
    }
}

/// The executor of a typed function.
pub fn typed<P, Args, H>(handler: H) -> Arc<dyn Executor>
where
    P: TaskPayload,
    Args: 'static,
    H: Handler<P, Args>,
{
    Arc::new(Typed {
        handler,
        marker: PhantomData,
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only decoded")]
    struct Order {
        n: u32,
        size: Size,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Size {
        Small,
    }

    #[derive(Debug)]
    struct Own;

    impl<'de> Deserialize<'de> for Own {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("secret, expected nothing"))
        }
    }

    fn told<T: serde::de::DeserializeOwned + std::fmt::Debug>(json: &str) -> String {
        unquoted(&serde_json::from_str::<T>(json).unwrap_err())
    }

    #[test]
    fn an_undecodable_payload_is_described_without_quoting_it() {
        let place = "at line 1 column";
        assert_eq!(
            told::<Order>(r#"{"n":"secret"}"#),
            format!("invalid type, expected u32 {place} 13")
        );
        assert_eq!(
            told::<Order>(r#"{"n":-7}"#),
            format!("invalid value, expected u32 {place} 7")
        );
        assert_eq!(
            told::<Order>(r#"{"n":1,"size":"secret, expected x"}"#),
            format!("unknown variant, expected `small` {place} 34")
        );
        assert_eq!(
            told::<Order>(r#"{"n":1}"#),
            format!("missing field `size` {place} 7")
        );
        assert_eq!(
            told::<Order>("{"),
            format!("EOF while parsing an object {place} 1")
        );
        let own = told::<Own>("1");
        assert!(own.starts_with("an invalid value at line"), "{own}");
    }
}
