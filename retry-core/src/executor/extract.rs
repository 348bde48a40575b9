//! What a handler may ask for beside its payload.

use std::any::TypeId;

use super::Ctx;

/// A shared value that must be given to the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// Its type.
    pub id: TypeId,
    /// Its type's name, for the error.
    pub name: &'static str,
}

/// Something that a handler takes as an argument behind its payload.
#[diagnostic::on_unimplemented(
    message = "a handler cannot take an argument of type `{Self}`",
    note = "behind the payload a handler takes `Ctx` and `State<S>`"
)]
pub trait FromCtx: Sized + Send {
    /// Takes it from the context; none when a required state is missing, which `build()` has ruled out.
    fn from_ctx(ctx: &Ctx) -> Option<Self>;

    /// The shared state it needs.
    #[must_use]
    fn requires() -> Option<Requirement> {
        None
    }
}

impl FromCtx for Ctx {
    fn from_ctx(ctx: &Ctx) -> Option<Self> {
        Some(ctx.clone())
    }
}

/// A value given to the worker with `.state(…)`, cloned for each attempt.
#[derive(Debug, Clone, Copy)]
pub struct State<S>(pub S);

impl<S: Clone + Send + Sync + 'static> FromCtx for State<S> {
    fn from_ctx(ctx: &Ctx) -> Option<Self> {
        ctx.states().get().map(Self)
    }

    fn requires() -> Option<Requirement> {
        Some(Requirement {
            id: TypeId::of::<S>(),
            name: std::any::type_name::<S>(),
        })
    }
}
