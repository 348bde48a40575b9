//! The rarely written texts of a task, by tag.

use std::collections::BTreeMap;

use retry_core::headers::Headers;
use retry_core::payload::Payload;
use retry_core::store::Result;
use retry_core::task::{Completion, ErrorText};

use crate::codec::{self, Body, Damage, Read};
use crate::record::tag;
use crate::reply::Replies;

/// Texts with their tags; few, so they are searched one by one.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    texts: Vec<(u8, Option<Vec<u8>>)>,
}

impl Texts {
    /// Reads tags and texts that come in turn.
    pub(crate) fn read(mut pairs: Replies<'_>) -> Result<Self> {
        let mut texts = Self::default();
        while pairs.left() > 0 {
            let tag = pairs.part()?.int()?;
            texts.add(u8::try_from(tag).unwrap_or(0), pairs.part()?.opt_bytes()?);
        }
        Ok(texts)
    }

    /// Reads numbers of tasks, tags and texts that come in turn.
    pub(crate) fn by_task(mut triples: Replies<'_>) -> Result<BTreeMap<i64, Self>> {
        let mut texts = BTreeMap::<i64, Self>::new();
        while triples.left() > 0 {
            let (number, tag) = (triples.part()?.int()?, triples.part()?.int()?);
            let texts = texts.entry(number).or_default();
            texts.add(u8::try_from(tag).unwrap_or(0), triples.part()?.opt_bytes()?);
        }
        Ok(texts)
    }

    pub(crate) fn add(&mut self, tag: u8, text: Option<Vec<u8>>) {
        self.texts.push((tag, text));
    }

    /// The bytes with this tag; a text that ought to be there and is not is damage.
    fn bytes(&self, tag: u8) -> Read<Option<&[u8]>> {
        match self.texts.iter().find(|(is, _)| *is == tag) {
            None => Ok(None),
            Some((_, Some(bytes))) => Ok(Some(bytes)),
            Some((_, None)) => Err(Damage("a text is missing")),
        }
    }

    fn payload(&self, tag: u8) -> Read<Option<Payload>> {
        let bytes = self.bytes(tag)?;
        bytes
            .map(|bytes| codec::text(bytes).map(Payload::from_stored))
            .transpose()
    }

    fn stored_completion(&self, tag: u8) -> Read<Option<Completion>> {
        let Some(bytes) = self.bytes(tag)? else {
            return Ok(None);
        };
        let completion = Completion::from_stored(codec::text(bytes)?);
        completion
            .map(Some)
            .map_err(|_| Damage("a completion is damaged"))
    }

    /// The payload and the headers: the body's, or what took their place.
    pub(crate) fn body(&self, body: &[u8]) -> Read<(Payload, Headers)> {
        let (payload, headers) = Body::decode(body)?;
        let replaced = self.bytes(tag::HEADERS)?;
        let replaced = replaced.map(|bytes| codec::decode(bytes, "the headers are damaged"));
        Ok((
            self.payload(tag::PAYLOAD)?.unwrap_or(payload),
            replaced.transpose()?.unwrap_or(headers),
        ))
    }

    pub(crate) fn checkpoint(&self) -> Read<Option<Payload>> {
        self.payload(tag::CHECKPOINT)
    }

    pub(crate) fn output(&self) -> Read<Option<Payload>> {
        self.payload(tag::OUTPUT)
    }

    pub(crate) fn completion(&self) -> Read<Option<Completion>> {
        self.stored_completion(tag::COMPLETION)
    }

    pub(crate) fn early_completion(&self) -> Read<Option<Completion>> {
        self.stored_completion(tag::EARLY)
    }

    pub(crate) fn last_error(&self) -> Read<Option<ErrorText>> {
        let bytes = self.bytes(tag::LAST_ERROR)?;
        bytes
            .map(|bytes| codec::text(bytes).map(ErrorText::new))
            .transpose()
    }
}
