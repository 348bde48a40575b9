//! Takes the orders of a file into the shop, a batch at a time; what is there already is left as it is.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;

use crate::order::Order;
use crate::shop::{Shop, Taken};

/// Orders taken in at once. One each would be as safe, and slower: every commit waits for the disk.
const BATCH: usize = 100;

/// How many malformed lines are shown; all are counted.
const SHOWN: usize = 20;

/// How an import ended.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    pub(crate) new: usize,
    pub(crate) known: usize,
    pub(crate) malformed: usize,
}

/// An import in the making.
pub(crate) struct Import<'a> {
    pub(crate) shop: &'a dyn Shop,
    pub(crate) file: PathBuf,
    pub(crate) strict: bool,
    pub(crate) stop: CancellationToken,
}

/// A number of things, in words.
pub(crate) fn counted(number: usize, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}

impl Import<'_> {
    /// Imports what is missing.
    pub(crate) async fn run(&self) -> anyhow::Result<Imported> {
        if self.strict {
            self.refuse_malformed().await?;
        }
        let mut imported = Imported::default();
        let mut seen = HashSet::new();
        let mut lines = self.lines()?.peekable();
        while lines.peek().is_some() && !self.stop.is_cancelled() {
            let (mut orders, mut numbers) = (Vec::new(), Vec::new());
            for line in lines.by_ref().take(BATCH) {
                let (number, line) = self.read(line)?;
                match parse(&line, &mut seen) {
                    Ok(order) => {
                        orders.push(order);
                        numbers.push(number);
                    }
                    Err(why) => self.skip(&mut imported, number, &why)?,
                }
            }
            let ids: Vec<String> = orders.iter().map(|order| order.id.clone()).collect();
            let taken = self.shop.take_in(orders).await?;
            for ((number, id), taken) in numbers.into_iter().zip(ids).zip(taken) {
                match taken {
                    Taken::New => imported.new += 1,
                    Taken::Known => imported.known += 1,
                    Taken::Differs => self.skip(&mut imported, number, &differs(&id))?,
                }
            }
        }
        Ok(imported)
    }

    /// Reads the whole file before anything is written.
    async fn refuse_malformed(&self) -> anyhow::Result<()> {
        let mut malformed = 0;
        let mut seen = HashSet::new();
        for line in self.lines()? {
            let (number, line) = self.read(line)?;
            let why = match parse(&line, &mut seen) {
                Err(why) => why,
                Ok(order) => match self.shop.body(&order.id).await? {
                    Some(stored) if Taken::before(&stored, &order)? == Taken::Differs => differs(&order.id),
                    _ => continue,
                },
            };
            malformed += 1;
            self.report(malformed, number, &why);
        }
        if malformed > 0 {
            let lines = counted(malformed, "malformed line");
            bail!("{lines}; nothing was imported (--strict)");
        }
        Ok(())
    }

    /// The lines that are not blank, each with its number in the file.
    fn lines(&self) -> anyhow::Result<impl Iterator<Item = io::Result<(usize, Vec<u8>)>> + use<>> {
        let file = File::open(&self.file).with_context(|| format!("cannot open {}", self.file.display()))?;
        let lines = (1..).zip(BufReader::new(file).split(b'\n'));
        Ok(lines.filter_map(|(number, line)| match line {
            Ok(line) if line.trim_ascii().is_empty() => None,
            Ok(line) => Some(Ok((number, line))),
            Err(error) => Some(Err(error)),
        }))
    }

    fn read(&self, line: io::Result<(usize, Vec<u8>)>) -> anyhow::Result<(usize, Vec<u8>)> {
        line.with_context(|| format!("cannot read {}", self.file.display()))
    }

    /// Passes over a malformed line; with `--strict` that is an error: the line came to be after the file was checked.
    fn skip(&self, imported: &mut Imported, number: usize, why: &str) -> anyhow::Result<()> {
        if self.strict {
            bail!("{}: {why}", self.place(number));
        }
        imported.malformed += 1;
        self.report(imported.malformed, number, why);
        Ok(())
    }

    fn report(&self, nth: usize, number: usize, why: &str) {
        let what = if self.strict { "malformed" } else { "skipped" };
        match nth {
            ..=SHOWN => eprintln!("{}: {what}: {why}", self.place(number)),
            n if n == SHOWN + 1 => eprintln!("… and further lines"),
            _ => {}
        }
    }

    fn place(&self, number: usize) -> String {
        format!("{}:{number}", self.file.display())
    }
}

/// The order on a line, or what is wrong with it.
fn parse(line: &[u8], seen: &mut HashSet<String>) -> Result<Order, String> {
    let order = Order::parse(line)?;
    match seen.insert(order.id.clone()) {
        true => Ok(order),
        false => Err(format!("order {} stands on an earlier line", order.id)),
    }
}

fn differs(id: &str) -> String {
    format!("order {id} was taken in already, but differs")
}
