//! How many enqueues were under way at the same time.

use crate::history::History;

/// The most that ever were: asked for and neither answered nor ended with their process.
pub(super) fn most(history: &History) -> usize {
    let mut steps: Vec<(i64, isize)> = Vec::new();
    for intent in history.intents.values() {
        let killed = history.killed.get(&intent.process).copied();
        if let Some(until) = intent.until.or(killed) {
            steps.push((intent.from, 1));
            steps.push((until, -1));
        }
    }
    // Where one ends as another begins they are not at the same time.
    steps.sort_unstable();
    let (mut now, mut most) = (0_isize, 0);
    for (_, step) in steps {
        now += step;
        most = most.max(now);
    }
    usize::try_from(most).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Intent;

    #[test]
    fn what_overlaps_is_counted_at_its_most() {
        let mut history = History::default();
        history.killed.insert("e-1".to_owned(), 40);
        let spans = [
            (10, Some(20)),
            (15, Some(30)),
            (20, Some(25)),
            (35, None),
            (38, None),
            (39, Some(50)),
        ];
        for (n, (from, until)) in (1..).zip(spans) {
            let process = "e-1".to_owned();
            history.intents.insert(
                n,
                Intent {
                    process,
                    from,
                    until,
                    ..Intent::default()
                },
            );
        }
        assert_eq!(most(&history), 3);
        history.killed.clear();
        assert_eq!(
            most(&history),
            2,
            "nobody knows how long the unanswered were under way"
        );
    }
}
