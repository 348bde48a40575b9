//! The summary at the end of the gate: one line a step, and how to run the failed one alone.

use std::time::Duration;

/// How one step ended.
pub(crate) enum Verdict {
    /// With what was left out of it, a line each.
    Passed(Duration, Vec<String>),
    Skipped(String),
    Failed(Duration, String),
    NotRun,
}

/// One step in the summary.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) verdict: Verdict,
}

/// The summary as text; `whole` says that no step was left out by choice.
pub(crate) fn render(lines: &[Line], whole: bool) -> String {
    let mut text = String::from("== gate\n");
    let mut failure = None;
    for Line { name, verdict } in lines {
        let (seconds, word) = match verdict {
            Verdict::Passed(took, _) => (seconds(*took), "passed".to_owned()),
            Verdict::Skipped(why) => (String::new(), format!("skipped: {why}")),
            Verdict::Failed(took, why) => {
                failure = Some((name, why));
                (seconds(*took), "FAILED".to_owned())
            }
            Verdict::NotRun => (String::new(), "not run".to_owned()),
        };
        text.push_str(&format!("   {name:<10} {seconds:>9}   {word}\n"));
        if let Verdict::Passed(_, notes) = verdict {
            for note in notes {
                text.push_str(&format!("   {:<10} {:>9}     {note}\n", "", ""));
            }
        }
    }
    match failure {
        None if whole => text.push_str("the gate passed"),
        None => text.push_str("the chosen steps passed"),
        Some((name, why)) => text.push_str(&format!(
            "the gate failed at step `{name}`: {why}\nrun it alone: cargo xtask ci --only {name}"
        )),
    }
    text
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_step_and_how_to_run_it() {
        let lines = [
            Line {
                name: "fmt",
                verdict: Verdict::Passed(
                    Duration::from_millis(1500),
                    vec!["3 ignored: no server".to_owned()],
                ),
            },
            Line {
                name: "deny",
                verdict: Verdict::Skipped("no tool".to_owned()),
            },
            Line {
                name: "test",
                verdict: Verdict::Failed(Duration::ZERO, "exit code 1".to_owned()),
            },
            Line {
                name: "docs",
                verdict: Verdict::NotRun,
            },
        ];
        let text = render(&lines, true);
        for part in [
            "1.5 s   passed\n",
            "  3 ignored: no server\n",
            "skipped: no tool",
            "FAILED",
            "not run",
            "step `test`: exit code 1",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert!(text.ends_with("cargo xtask ci --only test"));
    }

    #[test]
    fn chosen_steps_are_not_called_the_gate() {
        let lines = [Line {
            name: "fmt",
            verdict: Verdict::Passed(Duration::ZERO, Vec::new()),
        }];
        assert!(render(&lines, true).ends_with("the gate passed"));
        assert!(render(&lines, false).ends_with("the chosen steps passed"));
    }
}
