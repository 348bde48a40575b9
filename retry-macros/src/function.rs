//! The function under the attribute: which arguments are the payload, and which the worker gives.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, FnArg, Ident, ItemFn, Pat, PatType, Result, ReturnType, Type, Visibility};

/// Types that are no payload, by their last path segment.
const GIVEN: &[&str] = &["Ctx", "State"];

/// Marks an argument of another type that the worker gives.
const EXTRACT: &str = "extract";

/// How many arguments a handler may take behind its payload.
const MOST_GIVEN: usize = 6;

/// A field of the payload.
pub(crate) struct Field {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    pub(crate) attributes: Vec<Attribute>,
}

/// An argument in the order of the function.
enum Argument {
    Field(usize),
    Given(usize),
}

/// What is known of the function.
pub(crate) struct Function {
    pub(crate) item: ItemFn,
    pub(crate) fields: Vec<Field>,
    /// The types that the worker gives.
    pub(crate) given: Vec<Type>,
    order: Vec<Argument>,
}

impl Function {
    pub(crate) fn new(item: TokenStream) -> Result<Self> {
        let item: ItemFn = syn::parse2(item.clone())
            .map_err(|_| syn::Error::new_spanned(item, "#[task] stands before an `async fn`"))?;
        let mut function = Self {
            item,
            fields: Vec::new(),
            given: Vec::new(),
            order: Vec::new(),
        };
        function.check_signature()?;
        function.take_arguments()?;
        Ok(function)
    }

    pub(crate) const fn visibility(&self) -> &Visibility {
        &self.item.vis
    }

    /// The documentation, which the struct shows too.
    pub(crate) fn docs(&self) -> impl Iterator<Item = &Attribute> {
        self.item
            .attrs
            .iter()
            .filter(|attribute| attribute.path().is_ident("doc"))
    }

    /// The arguments of a call: fields of `payload`, and the given ones by the names `given`.
    pub(crate) fn call(&self, payload: &Ident, given: &[Ident]) -> TokenStream {
        let arguments = self.order.iter().map(|argument| match argument {
            Argument::Field(index) => {
                let name = &self.fields[*index].name;
                quote!(#payload.#name)
            }
            Argument::Given(index) => given[*index].to_token_stream(),
        });
        let name = &self.item.sig.ident;
        quote!(#name(#(#arguments),*))
    }

    fn check_signature(&self) -> Result<()> {
        let signature = &self.item.sig;
        if signature.asyncness.is_none() {
            let text = "a task is an `async fn`: blocking work belongs in `spawn_blocking`";
            return Err(syn::Error::new_spanned(signature.fn_token, text));
        }
        if !signature.generics.params.is_empty() {
            let text = "a task cannot be generic: its payload is one type";
            return Err(syn::Error::new_spanned(&signature.generics, text));
        }
        if matches!(signature.output, ReturnType::Default) {
            let text = "a task returns `Result<impl Into<Outcome>, E>`, `Result<(), E>` in the simplest case";
            return Err(syn::Error::new_spanned(&signature.ident, text));
        }
        Ok(())
    }

    fn take_arguments(&mut self) -> Result<()> {
        let mut inputs = std::mem::take(&mut self.item.sig.inputs);
        for input in &mut inputs {
            let FnArg::Typed(argument) = input else {
                let text = "a task is a plain function, without `self`";
                return Err(syn::Error::new_spanned(input, text));
            };
            self.take(argument)?;
        }
        self.item.sig.inputs = inputs;
        Ok(())
    }

    fn take(&mut self, argument: &mut PatType) -> Result<()> {
        let marked = argument
            .attrs
            .iter()
            .any(|attribute| attribute.path().is_ident(EXTRACT));
        if marked || is_given(&argument.ty) {
            argument
                .attrs
                .retain(|attribute| !attribute.path().is_ident(EXTRACT));
            if self.given.len() == MOST_GIVEN {
                let text = format!("a task takes at most {MOST_GIVEN} arguments beside its payload");
                return Err(syn::Error::new_spanned(argument, text));
            }
            self.order.push(Argument::Given(self.given.len()));
            self.given.push((*argument.ty).clone());
            return Ok(());
        }
        if let Type::Reference(reference) = &*argument.ty {
            let text = "an argument of a task is stored, so it is owned: `String` instead of `&str`, `Vec<T>` instead of `&[T]`";
            return Err(syn::Error::new_spanned(reference, text));
        }
        let Pat::Ident(name) = &*argument.pat else {
            let text = "an argument of a task becomes a field, so it needs a plain name";
            return Err(syn::Error::new_spanned(&argument.pat, text));
        };
        self.order.push(Argument::Field(self.fields.len()));
        self.fields.push(Field {
            name: name.ident.clone(),
            ty: (*argument.ty).clone(),
            // `#[serde(default)]` and its like belong to the field.
            attributes: std::mem::take(&mut argument.attrs),
        });
        Ok(())
    }
}

fn is_given(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let last = path.path.segments.last();
    last.is_some_and(|segment| GIVEN.iter().any(|name| segment.ident == name))
}
