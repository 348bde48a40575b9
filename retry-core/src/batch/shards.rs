//! The shards that a split gives, one at a time.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use serde::Serialize;

use crate::draft::{Draft, TaskOptions, TaskPayload, option_setters};
use crate::executor::HandlerError;
use crate::payload::Payload;

/// One shard of a batch: a payload, with options of its own where they differ from those of its kind.
#[derive(Debug, Clone)]
#[must_use]
pub struct Shard<S> {
    draft: Draft,
    marker: PhantomData<fn() -> S>,
}

impl<S: TaskPayload> Shard<S> {
    /// A shard with this payload and the options of its kind.
    pub fn new(payload: S) -> Self {
        Self {
            draft: Draft::of(&payload),
            marker: PhantomData,
        }
    }
}

impl<S> Shard<S> {
    fn map_options(mut self, change: impl FnOnce(TaskOptions) -> TaskOptions) -> Self {
        self.draft = self.draft.map_options(change);
        self
    }

    option_setters!();
}

impl<S: TaskPayload> From<S> for Shard<S> {
    fn from(payload: S) -> Self {
        Self::new(payload)
    }
}

/// The shards of a split, made one at a time: a batch of a million takes no more memory than one of a thousand.
///
/// A split into more shards than one write takes is stored in chunks. After a crash, and every 50,000 shards, another
/// attempt calls the split again with the same payload and goes on behind the last stored chunk. So either it gives **the
/// same shards in the same order** each time, of which those that are stored are passed over, or it keeps a place of
/// its own ([`with_cursor`](Self::with_cursor)).
#[must_use]
pub struct Shards<S> {
    pub(super) source: Pin<Box<dyn Source>>,
    pub(super) keeps_place: bool,
    pub(super) chunk: usize,
    pub(super) chunks_per_attempt: u32,
    marker: PhantomData<fn() -> S>,
}

/// What a source gives: a shard, and where it stands if it keeps its place.
pub(super) struct Given {
    pub(super) draft: Draft,
    pub(super) place: Option<Payload>,
}

/// Gives shards. One that is not wanted is only passed over, which spares making its payload.
pub(super) trait Source: Send {
    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        wanted: bool,
    ) -> Poll<Option<Result<Option<Given>, HandlerError>>>;
}

struct Mapped<I, F> {
    stream: Pin<Box<I>>,
    give: F,
}

impl<I, T, F> Source for Mapped<I, F>
where
    I: Stream<Item = Result<T, HandlerError>> + Send,
    F: Fn(T) -> Result<Given, HandlerError> + Send + Unpin,
{
    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        wanted: bool,
    ) -> Poll<Option<Result<Option<Given>, HandlerError>>> {
        let next = std::task::ready!(self.stream.as_mut().poll_next(context));
        Poll::Ready(next.map(|item| {
            let item = item?;
            wanted.then(|| (self.give)(item)).transpose()
        }))
    }
}

impl<S> Shards<S> {
    fn from_source<T: 'static>(
        stream: impl Stream<Item = Result<T, HandlerError>> + Send + 'static,
        give: impl Fn(T) -> Result<Given, HandlerError> + Send + Unpin + 'static,
        keeps_place: bool,
    ) -> Self {
        let stream = Box::pin(stream);
        Self {
            source: Box::pin(Mapped { stream, give }),
            keeps_place,
            chunk: crate::limits::MAX_SPLIT_CHILDREN,
            chunks_per_attempt: crate::limits::CHUNKS_PER_ATTEMPT,
            marker: PhantomData,
        }
    }

    /// How many shards one write stores: 1,000 unless told otherwise; less than one is one, more than 1,000 are 1,000. Smaller
    /// chunks let the first shards start earlier, and a test see many of them in few shards.
    pub fn chunk(mut self, shards: usize) -> Self {
        self.chunk = shards.clamp(1, crate::limits::MAX_SPLIT_CHILDREN);
        self
    }

    /// After how many chunks the split hands its task back and goes on in another attempt; 50 unless told otherwise.
    pub fn chunks_per_attempt(mut self, chunks: u32) -> Self {
        self.chunks_per_attempt = chunks.max(1);
        self
    }
}

impl<S: TaskPayload> Shards<S> {
    /// The shards of an iterator, which gives the same ones in the same order whenever the split is called.
    pub fn new<I>(shards: I) -> Self
    where
        I: IntoIterator<IntoIter: Send + 'static>,
        I::Item: Into<Shard<S>> + 'static,
    {
        let shards = futures_util::stream::iter(shards.into_iter().map(Ok));
        Self::from_source(shards, given::<S, I::Item>, false)
    }

    /// The shards of a stream, as rows of a database come. It gives the same ones in the same order whenever the split is
    /// called. An error ends the attempt as any error of a handler does; what is stored stays.
    pub fn stream<T, E>(shards: impl Stream<Item = Result<T, E>> + Send + 'static) -> Self
    where
        T: Into<Shard<S>> + 'static,
        E: Into<HandlerError>,
    {
        use futures_util::StreamExt as _;
        let shards = shards.map(|shard| shard.map_err(Into::into));
        Self::from_source(shards, given::<S, T>, false)
    }

    /// The shards behind a place that the split found in [`Ctx::checkpoint`](crate::executor::Ctx::checkpoint), each with
    /// the place behind it: the key of the row it was made of, say. The place of the last shard of a chunk is stored in the
    /// same write, so none is passed over and none given twice.
    pub fn with_cursor<C, T, E>(shards: impl Stream<Item = Result<(C, T), E>> + Send + 'static) -> Self
    where
        C: Serialize + 'static,
        T: Into<Shard<S>> + 'static,
        E: Into<HandlerError>,
    {
        use futures_util::StreamExt as _;
        let shards = shards.map(|shard| shard.map_err(Into::into));
        let give = |(place, shard): (C, T)| {
            let draft = shard.into().draft;
            let place = Some(Payload::encode(&place)?);
            Ok(Given { draft, place })
        };
        Self::from_source(shards, give, true)
    }
}

impl Shards<Draft> {
    /// Shards of any kinds, as drafts; the same ones in the same order whenever the split is called.
    pub fn drafts<I>(shards: I) -> Self
    where
        I: IntoIterator<IntoIter: Send + 'static>,
        I::Item: Into<Draft> + 'static,
    {
        let shards = futures_util::stream::iter(shards.into_iter().map(Ok));
        let give = |shard: I::Item| {
            let (draft, place) = (shard.into(), None);
            Ok(Given { draft, place })
        };
        Self::from_source(shards, give, false)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the form of all that give shards")]
fn given<S, T: Into<Shard<S>>>(shard: T) -> Result<Given, HandlerError> {
    let (draft, place) = (shard.into().draft, None);
    Ok(Given { draft, place })
}

impl<S> fmt::Debug for Shards<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shards")
            .field("keeps_place", &self.keeps_place)
            .field("chunk", &self.chunk)
            .finish_non_exhaustive()
    }
}
