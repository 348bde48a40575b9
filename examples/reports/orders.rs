//! The data: orders of many customers, and what the report says of each, computed plainly.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

const HEAD: &str = "order,customer,placed_at,cents";

/// One order of the file.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) customer: String,
    pub(crate) cents: u64,
}

/// A customer's line of the report.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) orders: u64,
    pub(crate) cents: u64,
    pub(crate) largest: u64,
}

impl Line {
    pub(crate) fn add(&mut self, order: &Order) {
        self.orders += 1;
        self.cents += order.cents;
        self.largest = self.largest.max(order.cents);
    }
}

/// Reads the orders. A line that is none is an error that names it.
pub(crate) fn read(file: &Path) -> anyhow::Result<Vec<Order>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut lines = text.lines();
    ensure!(
        lines.next() == Some(HEAD),
        "{}: the first line is not {HEAD:?}",
        file.display()
    );
    let numbered = (2..).zip(lines);
    numbered
        .map(|(number, line)| {
            order(line).with_context(|| format!("{}, line {number}: {line:?}", file.display()))
        })
        .collect()
}

fn order(line: &str) -> anyhow::Result<Order> {
    let fields: Vec<&str> = line.split(',').collect();
    let [_, customer, _, cents] = fields[..] else {
        anyhow::bail!("an order has four fields");
    };
    Ok(Order {
        customer: customer.to_owned(),
        cents: cents.parse().context("the amount is no number of cents")?,
    })
}

/// The report, computed in one go.
pub(crate) fn plainly(orders: &[Order]) -> BTreeMap<String, Line> {
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for order in orders {
        lines.entry(order.customer.clone()).or_default().add(order);
    }
    lines
}

/// The report as the text of its file, with a line for all at the end.
pub(crate) fn text(lines: &BTreeMap<String, Line>) -> String {
    let mut text = String::from("customer,orders,cents,largest\n");
    let mut all = Line::default();
    for (customer, line) in lines {
        text += &format!("{customer},{},{},{}\n", line.orders, line.cents, line.largest);
        all.orders += line.orders;
        all.cents += line.cents;
        all.largest = all.largest.max(line.largest);
    }
    text + &format!("all,{},{},{}\n", all.orders, all.cents, all.largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_a_line_for_each_customer_and_one_for_all() {
        let order = |customer: &str, cents| Order {
            customer: customer.to_owned(),
            cents,
        };
        let lines = plainly(&[order("b", 5), order("a", 7), order("b", 1)]);
        assert_eq!(
            text(&lines),
            "customer,orders,cents,largest\na,1,7,7\nb,2,6,5\nall,3,13,7\n"
        );
    }

    #[test]
    fn a_wrong_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("orders.csv");
        fs::write(
            &file,
            format!("{HEAD}\nA-1,Ada,2026-03-01,12\nA-2,Ben,2026-03-01,twelve\n"),
        )
        .unwrap();
        let error = read(&file).unwrap_err();
        assert!(format!("{error:#}").contains("line 3"), "{error:#}");
        fs::write(&file, "no head\n").unwrap();
        assert!(read(&file).is_err());
    }
}
