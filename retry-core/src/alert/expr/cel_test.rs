//! Rules compared with an implementation of CEL: what is accepted means the same there, and what is not accepted is CEL
//! that is left out on purpose.

use std::time::Duration;

use cel::{Context, Program, Value};

use super::Expression;
use crate::alert::Facts;
use crate::limits::MAX_RULE_BYTES;
use crate::priority::Priority;
use crate::seams::{Random as _, SeededRandom};
use crate::task::State;

/// Enough to meet every pair of operators a few times; three seconds of the other's parser.
const RULES: u64 = 1_000;

/// Writes rules at random.
struct Writer(SeededRandom);

impl Writer {
    fn below(&self, n: usize) -> usize {
        let n = u64::try_from(n).unwrap_or(1);
        usize::try_from(self.0.next_u64() % n).unwrap_or(0)
    }

    fn pick(&self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    fn condition(&self, depth: usize) -> String {
        if depth == 0 {
            return self.pick(&["true", "false", "attempts > 1"]).to_owned();
        }
        let inner = |writer: &Self| writer.condition(depth - 1);
        match self.below(12) {
            0 => format!("{} && {}", inner(self), inner(self)),
            1 => format!("{} || {}", inner(self), inner(self)),
            2 => format!("!({})", inner(self)),
            3 => format!("({})", inner(self)),
            4 => format!("({}) {} ({})", inner(self), self.pick(&["==", "!="]), inner(self)),
            5 | 6 => format!("{} {} {}", self.number(), self.order(), self.number()),
            7 => format!("{} {} {}", self.text(), self.order(), self.text()),
            8 => {
                let search = self.pick(&["contains", "startsWith", "endsWith"]);
                format!("{}.{search}({})", self.text(), self.text())
            }
            9 => format!("{} in [{}, {}]", self.number(), self.number(), self.number()),
            10 => format!("{} in [{}, {},]", self.text(), self.text(), self.text()),
            _ => self
                .pick(&[
                    "state == 'pending'",
                    "'failed' != state",
                    "priority in ['high', \"normal\"]",
                    "state in ['running']",
                    "attempts > 1 == true",
                    "!!(crashes == 0)",
                ])
                .to_owned(),
        }
    }

    fn order(&self) -> &'static str {
        self.pick(&["==", "!=", "<", "<=", ">", ">="])
    }

    fn number(&self) -> String {
        let number = self.pick(&[
            "attempts",
            "crashes",
            "reruns",
            "0",
            "1",
            "3",
            "-1",
            "-7",
            "9223372036854775807",
            "-9223372036854775807",
        ]);
        match self.below(4) {
            0 => format!("{number} % {}", self.pick(&["1", "2", "3", "7"])),
            1 => format!("({number})"),
            _ => number.to_owned(),
        }
    }

    fn text(&self) -> &'static str {
        self.pick(&[
            "kind",
            "queue",
            "error",
            "'mail'",
            "\"mail.send\"",
            "''",
            "'ü'",
            "'Ü'",
            "'it\\'s'",
            "\"\\\"mx1\\\"\"",
            "'a\\nb\\tc\\\\'",
            "'default'",
        ])
    }
}

fn facts(number: u64) -> Facts<'static> {
    let small = |of: u64| u32::try_from(of % 5).unwrap_or(0);
    Facts {
        attempts: small(number),
        crashes: small(number / 5),
        reruns: if number.is_multiple_of(7) {
            u32::MAX
        } else {
            small(number / 3)
        },
        kind: ["mail.send", "mail", ""][usize::from(number.is_multiple_of(2))],
        queue: "default",
        priority: Priority::Normal.as_str(),
        state: State::Pending,
        age: Duration::from_secs(90),
        error: ["refused by \"mx1\": it's a\nb\tc\\", "größer: Ü"][usize::from(number.is_multiple_of(3))],
    }
}

/// What CEL makes of a rule; none: it is no condition, or has no value.
fn by_cel(rule: &str, facts: &Facts<'_>) -> Option<bool> {
    let program = Program::compile(rule).ok()?;
    let mut context = Context::default();
    for (name, number) in [
        ("attempts", facts.attempts),
        ("crashes", facts.crashes),
        ("reruns", facts.reruns),
    ] {
        context.add_variable_from_value(name, i64::from(number));
    }
    for (name, text) in [
        ("kind", facts.kind),
        ("queue", facts.queue),
        ("priority", facts.priority),
        ("state", facts.state.as_str()),
        ("error", facts.error),
    ] {
        context.add_variable_from_value(name, text.to_owned());
    }
    match program.execute(&context) {
        Ok(Value::Bool(value)) => Some(value),
        _ => None,
    }
}

#[test]
fn what_is_accepted_means_the_same_in_cel() {
    let writer = Writer(SeededRandom::new(1));
    let mut met = [0; 2];
    for number in 0..RULES {
        let rule = writer.condition(1 + writer.below(4));
        if rule.len() > MAX_RULE_BYTES {
            continue;
        }
        let parsed = Expression::parse(&rule).unwrap_or_else(|error| panic!("{error}"));
        let facts = facts(number);
        let ours = parsed.fits(&facts);
        assert_eq!(by_cel(&rule, &facts), Some(ours), "{rule} of {facts:?}");
        met[usize::from(ours)] += 1;
    }
    assert!(met.iter().all(|times| *times > RULES / 5), "{met:?}");
}

#[test]
fn what_is_left_out_of_cel_is_refused_when_the_rule_is_parsed() {
    for (rule, in_cel) in [
        // A value that CEL computes.
        ("attempts + 1 > 3", Some(false)),
        ("attempts - 1 == 1", Some(true)),
        ("attempts * 2 == 4", Some(true)),
        ("attempts / 2 == 1", Some(true)),
        ("-attempts < 0", Some(true)),
        ("attempts > 1 ? true : false", Some(true)),
        ("attempts < 2.5", Some(true)),
        ("attempts == 0x2", Some(true)),
        ("size(kind) == 4", Some(true)),
        ("kind + 's' == 'mails'", Some(true)),
        ("[1, 2].exists(x, x == attempts)", Some(true)),
        ("attempts == 2u", Some(true)),
        ("[1, 2][1] == attempts", Some(true)),
        ("{'a': 2}['a'] == attempts", Some(true)),
        ("null == null", Some(true)),
        ("attempts in []", Some(false)),
        ("r'a' == 'a'", Some(true)),
        ("'\\x61' == 'a'", Some(true)),
        ("state == 'faild'", Some(false)),
        ("priority < 'high'", Some(false)),
        // An error in CEL that the other side of `||` or `&&` makes good.
        ("attempts % 0 == 1 || true", Some(true)),
        ("attempts / 0 == 1 && false", Some(false)),
        ("unknown == 1 || true", Some(true)),
        // An error in CEL, each time that it is asked.
        ("attempts % 0 == 1", None),
        ("9223372036854775807 + attempts > 0", None),
        ("attempts", None),
        ("attempts && true", None),
        ("kind > 1", None),
    ] {
        let facts = Facts {
            attempts: 2,
            kind: "mail",
            ..facts(1)
        };
        assert!(Expression::parse(rule).is_err(), "{rule}");
        assert_eq!(by_cel(rule, &facts), in_cel, "{rule}");
    }
}
