//! Listings (laws 11, 13, 14): candidates page by page from an index, then what the filter needs of their texts.

use std::collections::VecDeque;

use retry_core::headers::Headers;
use retry_core::id::TaskId;
use retry_core::limits::{MAX_CALL_BYTES, MAX_EXAMINED};
use retry_core::payload::Payload;
use retry_core::store::{BadRecord, Listed, Page, Result, TaskFilter};
use retry_core::task::{ClaimedTask, State, TaskDetail, TaskSummary};

use crate::args::Args;
use crate::codec::Read;
use crate::record::{self, Names, Record, Stored, tag};
use crate::reply::Reply;
use crate::scripts;
use crate::server::Server;
use crate::texts::Texts;

/// Candidates that one script reads: bounds the time it holds the server.
const BATCH: usize = 500;

pub(crate) async fn list(server: &Server, filter: &TaskFilter, page: &Page) -> Result<Listed> {
    let mut listing = Listing {
        server,
        filter,
        limit: page.limit,
        listed: Listed::default(),
        bytes: 0,
        names: Names::default(),
    };
    if page.limit == 0 {
        return Ok(listing.listed);
    }
    let (mut after, mut examined) = (page.after, 0);
    loop {
        let wanted = BATCH.min(MAX_EXAMINED - examined);
        let candidates = candidates(server, filter, after, wanted).await?;
        let (found, last) = (candidates.len(), candidates.last().map(|last| last.id));
        if !listing.take(candidates).await? {
            return Ok(listing.listed);
        }
        examined += found;
        after = last.or(after);
        if found < wanted {
            break;
        }
        if examined == MAX_EXAMINED {
            listing.listed.next = after;
            return Ok(listing.listed);
        }
    }
    listing.listed.next = None;
    Ok(listing.listed)
}

/// A candidate of a listing: its id with the two values of its record.
struct Candidate {
    id: TaskId,
    head: Option<Vec<u8>>,
    rest: Option<Vec<u8>>,
}

/// The next candidates, newest first.
async fn candidates(
    server: &Server,
    filter: &TaskFilter,
    after: Option<TaskId>,
    wanted: usize,
) -> Result<Vec<Candidate>> {
    let mut args = Args::new();
    let (source, prefixes) = source(filter);
    args.push(source)
        .push(after.map_or_else(Vec::new, |id| id.to_bytes().to_vec()))
        .number(i64::try_from(wanted).unwrap_or(i64::MAX));
    for prefix in prefixes {
        args.push(prefix);
    }
    let answer = server.run(&scripts::LIST, &args).await?;
    let mut parts = Reply::new(answer, server.address()).array()?;
    let mut candidates = Vec::with_capacity(parts.left() / 3);
    while parts.left() > 0 {
        candidates.push(Candidate {
            id: parts.part()?.task_id()?,
            head: parts.part()?.opt_bytes()?,
            rest: parts.part()?.opt_bytes()?,
        });
    }
    Ok(candidates)
}

/// The index that holds the fewest others, and the prefixes to look behind.
fn source(filter: &TaskFilter) -> (&'static str, Vec<Vec<u8>>) {
    if let Some(parent) = filter.parent {
        return ("children", vec![parent.to_bytes().to_vec()]);
    }
    if let Some(session) = filter.session {
        return ("held", vec![session.to_bytes().to_vec()]);
    }
    let indexed = |state: &State| {
        matches!(
            state,
            State::Waiting | State::Joining | State::Failed | State::Cancelled
        )
    };
    if !filter.states.is_empty() && filter.states.iter().all(indexed) {
        let mut codes: Vec<u8> = filter.states.iter().map(|state| state.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        return ("listed", codes.into_iter().map(|code| vec![code]).collect());
    }
    ("ids", vec![Vec::new()])
}

/// A page in the making.
struct Listing<'a> {
    server: &'a Server,
    filter: &'a TaskFilter,
    limit: usize,
    listed: Listed,
    /// Bytes of outputs on the page.
    bytes: usize,
    names: Names,
}

/// A candidate that the record lets pass, or that cannot be read.
enum Row {
    May(Box<Record>),
    Bad(BadRecord),
}

impl Listing<'_> {
    /// Takes what passes. False when the page is full before the candidates are used up.
    async fn take(&mut self, candidates: Vec<Candidate>) -> Result<bool> {
        let mut rows = Vec::new();
        for Candidate { id, head, rest } in candidates {
            let rest = rest.as_deref();
            let row = head.and_then(|head| self.row(id, Stored { head: &head, rest }));
            rows.push((id, row));
        }
        let mut texts = Ahead::new(self.server, self.fields(&rows));
        for (id, row) in rows {
            if self.listed.tasks.len() + self.listed.bad.len() >= self.limit || self.bytes > MAX_CALL_BYTES {
                return Ok(false);
            }
            self.listed.next = Some(id);
            match row {
                None => {}
                Some(Row::Bad(bad)) => self.listed.bad.push(bad),
                Some(Row::May(record)) => {
                    let texts = texts.next(&wanted(self.filter, &record)).await?;
                    self.add(*record, &texts);
                }
            }
        }
        Ok(true)
    }

    fn row(&mut self, id: TaskId, stored: Stored<'_>) -> Option<Row> {
        match record::read(id, stored, &mut self.names) {
            Err(damage) => Some(Row::Bad(record::bad(id, stored.head, damage))),
            Ok(record) => {
                let without_texts = TaskFilter {
                    header: None,
                    error_contains: None,
                    payload_contains: None,
                    ..self.filter.clone()
                };
                let passes = without_texts.matches(&bare(&record));
                passes.then(|| Row::May(Box::new(record)))
            }
        }
    }

    /// The fields of all texts that the rows need, in order; no more than the page can take, if that is known.
    fn fields(&self, rows: &[(TaskId, Option<Row>)]) -> Vec<Vec<u8>> {
        let left = self.limit - self.listed.tasks.len() - self.listed.bad.len();
        let at_most = if looks_into_texts(self.filter) {
            usize::MAX
        } else {
            left
        };
        let records = rows.iter().filter_map(|(_, row)| match row {
            Some(Row::May(record)) => Some(record.as_ref()),
            _ => None,
        });
        let fields = records.take(at_most).flat_map(|record| {
            let field = |tag: Option<u8>| {
                let mut field = record.task.id.to_bytes().to_vec();
                field.extend(tag);
                field
            };
            wanted(self.filter, record).into_iter().map(field)
        });
        fields.collect()
    }

    fn add(&mut self, record: Record, texts: &[(Option<u8>, Option<Vec<u8>>)]) {
        let (id, version) = (record.task.id, record.task.version);
        match summary(record, texts, self.filter) {
            Ok(None) => {}
            Ok(Some(summary)) => {
                self.bytes += summary.output.as_ref().map_or(0, Payload::len);
                self.listed.tasks.push(summary);
            }
            Err(damage) => self.listed.bad.push(BadRecord {
                id,
                version,
                reason: damage.0.to_owned(),
            }),
        }
    }
}

fn looks_into_texts(filter: &TaskFilter) -> bool {
    filter.header.is_some() || filter.error_contains.is_some() || filter.payload_contains.is_some()
}

/// Which texts of a row are needed: none is the body.
fn wanted(filter: &TaskFilter, record: &Record) -> Vec<Option<u8>> {
    let body = filter.header.is_some() || filter.payload_contains.is_some();
    let mut wanted = Vec::new();
    wanted.extend(body.then_some(None));
    for (tag, if_asked) in [
        (tag::PAYLOAD, body),
        (tag::HEADERS, body),
        (tag::LAST_ERROR, true),
        (tag::OUTPUT, filter.with_output),
    ] {
        wanted.extend((if_asked && record.has(tag)).then_some(Some(tag)));
    }
    wanted
}

fn bare(record: &Record) -> TaskDetail {
    TaskDetail::new(ClaimedTask {
        task: record.task.clone(),
        payload: Payload::null(),
        headers: Headers::new(),
        checkpoint: None,
        completion: None,
    })
}

fn summary(
    record: Record,
    values: &[(Option<u8>, Option<Vec<u8>>)],
    filter: &TaskFilter,
) -> Read<Option<TaskSummary>> {
    let mut detail = bare(&record);
    let mut texts = Texts::default();
    let mut body = None;
    for (tag, value) in values {
        match tag {
            Some(tag) => texts.add(*tag, value.clone()),
            None => body = value.as_deref(),
        }
    }
    if let Some(body) = body {
        (detail.payload, detail.headers) = texts.body(body)?;
    }
    detail.last_error = texts.last_error()?;
    if !filter.matches(&detail) {
        return Ok(None);
    }
    let output = texts.output()?;
    Ok(Some(TaskSummary::new(
        record.task,
        detail.last_error,
        output,
        record.via_fallback,
    )))
}

/// Texts read ahead, at most so many bytes at once.
struct Ahead<'a> {
    server: &'a Server,
    fields: Vec<Vec<u8>>,
    asked: usize,
    values: VecDeque<Option<Vec<u8>>>,
}

impl<'a> Ahead<'a> {
    const fn new(server: &'a Server, fields: Vec<Vec<u8>>) -> Self {
        Self {
            server,
            fields,
            asked: 0,
            values: VecDeque::new(),
        }
    }

    /// The texts of the next row.
    async fn next(&mut self, wanted: &[Option<u8>]) -> Result<Vec<(Option<u8>, Option<Vec<u8>>)>> {
        while self.values.len() < wanted.len() && self.asked < self.fields.len() {
            let mut args = Args::new();
            args.number(i64::try_from(MAX_CALL_BYTES).unwrap_or(i64::MAX));
            for field in &self.fields[self.asked..] {
                args.push(field);
            }
            let answer = self.server.run(&scripts::VALUES, &args).await?;
            let values = Reply::new(answer, self.server.address()).array()?;
            self.asked += values.left();
            for value in values {
                self.values.push_back(value.opt_bytes()?);
            }
        }
        let values = wanted.iter().map(|tag| (*tag, self.values.pop_front().flatten()));
        Ok(values.collect())
    }
}
