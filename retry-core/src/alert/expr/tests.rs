//! What rules accept, what they mean, and how a wrong one is refused.

use std::time::Duration;

use super::*;
use crate::limits::MAX_RULE_DEPTH;
use crate::task::State;

fn facts() -> Facts<'static> {
    Facts {
        attempts: 3,
        crashes: 0,
        reruns: 1,
        kind: "mail.send",
        queue: "default",
        priority: "normal",
        state: State::Pending,
        age: Duration::from_secs(90),
        error: "connection refused by \"mx1\"",
    }
}

fn fits(rule: &str) -> bool {
    Expression::parse(rule)
        .unwrap_or_else(|error| panic!("{error}"))
        .fits(&facts())
}

#[test]
fn rules_mean_what_they_say() {
    for rule in [
        "attempts > 1 && attempts < 5",
        "attempts == 3",
        "attempts != 4 && 2 <= attempts && attempts >= 3",
        "attempts > -1",
        "attempts % 2 == 1",
        "crashes < 1 || attempts > 100",
        "!(attempts > 3)",
        "!!true",
        "kind == \"mail.send\"",
        "kind == 'mail.send' && queue in ['default', \"other\",]",
        "kind.startsWith('mail.') && kind.endsWith('send')",
        "error.contains(\"refused\") && error.contains('\"mx1\"')",
        "error.contains(\"\\\"mx1\\\"\")",
        "state == 'pending' && priority == 'normal' && reruns == 1",
        "priority in ['high', 'normal'] && 'normal' == priority && state != 'failed'",
        "state.startsWith('pend') && 'normal' in [priority]",
        "age > duration('1m') && age <= duration('1m30s') && age < duration(\"1h\")",
        "true || false && false",
        "attempts in [1, 2, 3]",
        "kind < 'mail.tend' && 'a' < 'b'",
        "(attempts == 3) == true",
        "attempts > 1\n\t&& true",
    ] {
        assert!(fits(rule), "{rule}");
        assert!(!fits(&format!("!({rule})")), "{rule}");
    }
    assert!(!fits("'MAIL' == 'mail'"));
}

#[test]
fn a_wrong_rule_names_its_place_and_what_is_allowed() {
    for (rule, column, text) in [
        ("", 1, "the end stands where a field or a value is expected"),
        (
            "attempt > 1",
            1,
            "there is no field `attempt`; the fields are `attempts`, `crashes`",
        ),
        ("attempts > 1 && knd == 'a'", 17, "no field `knd`"),
        ("attempts", 1, "this is a number; it must be a condition"),
        ("attempts && true", 1, "this is a number; it must be a condition"),
        ("attempts > 'a'", 12, "this is a text; it must be a number"),
        ("age > 5", 7, "this is a number; it must be a duration"),
        ("age > duration('5 minutes')", 16, "`5 minutes` cannot be read"),
        ("age > duration(5)", 16, "`5` stands where a text such as"),
        ("attempts >", 11, "the end stands where"),
        ("attempts > 1 &", 14, "'&' stands where"),
        ("attempts > 1)", 13, "`)` stands where an operator or the end"),
        ("(attempts > 1", 14, "`)` is expected"),
        ("attempts = 1", 10, "'=' stands where"),
        (
            "kind.matches('a.*')",
            6,
            "there is no function `matches`; the functions are `contains`",
        ),
        ("size(kind) > 1", 1, "there is no function `size`"),
        ("attempts.contains('a')", 1, "this is a number; it must be a text"),
        ("kind.contains(1)", 15, "this is a number; it must be a text"),
        ("kind in ['a', 1]", 15, "this is a number; it must be a text"),
        ("kind in 'a'", 9, "a list such as"),
        (
            "attempts in []",
            14,
            "`]` stands where a value (nothing is in an empty list)",
        ),
        (
            "attempts > 1 && state == 'faild'",
            26,
            "there is no state \"faild\"; there are `pending`, `running`, `waiting`, `joining`, `succeeded`, `failed`, `cancelled`",
        ),
        ("'Pending' != state", 1, "there is no state \"Pending\""),
        (
            "priority in ['high', 'hgih']",
            22,
            "there is no priority \"hgih\"; there are `urgent`, `high`, `normal`, `low`",
        ),
        ("'top' in [priority]", 1, "there is no priority \"top\""),
        ("priority < 'high'", 1, "this is a name; it must be compared with"),
        ("'low' <= priority", 10, "its names have no order"),
        ("true < false", 1, "it must be a number, a text or a duration"),
        ("1 < 2 < 3", 1, "it must be a number, a text or a duration"),
        (
            "attempts % 0 == 0",
            12,
            "`0` cannot be read; it is written as a number above 0",
        ),
        ("attempts == 99999999999999999999", 13, "cannot be read"),
        ("kind == 'a", 9, "a text that ends on its line"),
        ("kind == 'a\\x41'", 11, "cannot be read"),
        ("ümlaut > 1 || attempt > 1", 1, "'ü' stands where"),
        ("kind == 'ü' && attempt > 1", 16, "no field `attempt`"),
        ("attempts > 1.5", 14, "a function such as `contains`"),
        ("attempts > 1u", 13, "`u` stands where an operator or the end"),
        ("[1].exists(x, x > 0)", 1, "`[` stands where a field or a value"),
        ("T(java.lang.Runtime).getRuntime()", 1, "there is no function `T`"),
    ] {
        let error = Expression::parse(rule).expect_err(rule);
        assert_eq!(error.column, column, "{error}");
        assert!(error.to_string().contains(text), "{rule}: {error}");
    }
}

#[test]
fn length_and_depth_are_bounded() {
    let longest = format!("kind != '{}'", "x".repeat(MAX_RULE_BYTES - 10));
    assert_eq!(longest.len(), MAX_RULE_BYTES);
    assert!(fits(&longest));
    let error = Expression::parse(&format!("{longest} ")).unwrap_err();
    let bytes = MAX_RULE_BYTES + 1;
    assert_eq!(error.problem, RuleProblem::TooLong { bytes });
    let nested = |levels: usize| format!("{}true{}", "(".repeat(levels), ")".repeat(levels));
    assert!(fits(&nested(MAX_RULE_DEPTH)));
    let error = Expression::parse(&nested(MAX_RULE_DEPTH + 1)).unwrap_err();
    assert_eq!(error.problem, RuleProblem::TooDeep);
    assert!(Expression::parse(&format!("{}true", "!".repeat(MAX_RULE_DEPTH + 1))).is_err());
}
