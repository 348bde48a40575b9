//! Writes the scripts of a history: the seed decides what tasks are and what their handlers do.

use retry_core::priority::Priority;
use retry_core::task::{FailedChildren, KeyScope, OnDuplicate, OnWaitDeadline};

use super::features::{Feature, Features};
use super::rng::Rng;
use super::script::{Act, Answer, AnswerHow, End, Failing, KindOf, QUEUES, Script, Step};

/// Writes scripts; those of children and follow-ups are added to the same list.
pub(super) struct Author<'a> {
    pub(super) features: Features,
    pub(super) scripts: &'a mut Vec<Script>,
    pub(super) rng: Rng,
}

impl Author<'_> {
    fn on(&mut self, feature: Feature, per_mille: u64) -> bool {
        // Drawn in any case, so that a feature left out does not change the rest.
        let drawn = self.rng.chance(per_mille);
        self.features.has(feature) && drawn
    }

    /// As `on`, from a sequence of its own.
    fn aside(&mut self, label: u64, feature: Feature, per_mille: u64, low: u64, high: u64) -> Option<u64> {
        let mut rng = self.rng.split(label);
        let drawn = rng.chance(per_mille).then(|| rng.range(low, high));
        drawn.filter(|_| self.features.has(feature))
    }

    /// Writes a script, with children at most `depth` levels deep, and answers its number.
    pub(super) fn write(&mut self, depth: u32) -> usize {
        let number = self.scripts.len();
        let kind = self.kind();
        let expires = self.on(Feature::Expiry, 150).then(|| self.rng.range(200, 8_000));
        let deadline = self
            .on(Feature::Deadline, 200)
            .then(|| self.rng.range(300, 6_000));
        // An attempt that is always cut short must not be repeated for ever.
        let endless = self.rng.chance(500) && deadline.is_none() && kind != KindOf::Timed;
        let script = Script {
            number,
            kind,
            queue: self.rng.pick(&QUEUES),
            priority: if self.on(Feature::Priority, 500) {
                self.rng.pick(&Priority::ALL)
            } else {
                Priority::Normal
            },
            delay: if self.on(Feature::Delay, 300) {
                self.rng.range(1, 9_000)
            } else {
                0
            },
            unique: self.unique(),
            expires,
            deadline,
            give_up: self.aside(1, Feature::GiveUp, 300, 500, 12_000),
            kept: self.aside(2, Feature::Sleep, 700, 1_000, 5_000),
            max_attempts: match kind {
                KindOf::Once => Some(1),
                _ => (!endless).then(|| self.rng.count(2, 4)),
            },
            crash_budget: self.rng.chance(500).then(|| self.rng.count(1, 3)),
            on_failed_children: self.rng.pick(&[
                FailedChildren::Reduce,
                FailedChildren::Fail,
                FailedChildren::Hold,
            ]),
            on_wait_deadline: self.rng.pick(&[OnWaitDeadline::Resume, OnWaitDeadline::Fail]),
            forget: self.rng.chance(60),
            steps: Vec::new(),
        };
        self.scripts.push(script);
        let steps = (0..self.rng.range(1, 3))
            .map(|_| self.step(depth, kind))
            .collect();
        self.scripts[number].steps = steps;
        number
    }

    fn kind(&mut self) -> KindOf {
        let kind = self.rng.pick(&KindOf::ALL);
        let needs = match kind {
            KindOf::Plain | KindOf::Once => return kind,
            KindOf::Few => Feature::Limits,
            KindOf::Timed => Feature::Timeout,
            KindOf::Backed => Feature::Fallback,
            KindOf::Stays => Feature::Stays,
        };
        if self.features.has(needs) {
            kind
        } else {
            KindOf::Plain
        }
    }

    fn unique(&mut self) -> Option<(u64, KeyScope, OnDuplicate)> {
        let key = self.rng.below(3);
        let scope = self.rng.pick(&[KeyScope::Active, KeyScope::UntilPurged]);
        let replace = OnDuplicate::Replace {
            payload: self.rng.split(3).chance(300),
            run_at: true,
        };
        let on_duplicate = self.rng.pick(&[OnDuplicate::Keep, replace]);
        self.on(Feature::Unique, 250)
            .then_some((key, scope, on_duplicate))
    }

    fn step(&mut self, depth: u32, kind: KindOf) -> Step {
        let acts = (0..self.rng.below(4)).map(|_| self.act()).collect();
        let failing = self.failing();
        let fails = self.rng.count(1, 3);
        let flickers = self.aside(4, Feature::Quick, 400, 1, 3);
        Step {
            acts,
            fails: failing.map_or(0, |_| fails),
            failing: failing.unwrap_or(Failing::Error),
            flickers: flickers.map_or(0, |runs| u32::try_from(runs).unwrap_or(0)),
            fallback_fails: self.rng.chance(400),
            end: self.end(depth, kind),
        }
    }

    fn failing(&mut self) -> Option<Failing> {
        let (fail, panic, last) = (
            self.on(Feature::Fail, 300),
            self.on(Feature::Panic, 150),
            self.on(Feature::Final, 60),
        );
        match (fail, panic, last) {
            (_, _, true) => Some(Failing::Final),
            (_, true, _) => Some(Failing::Panic),
            (true, _, _) => Some(Failing::Error),
            _ => None,
        }
    }

    fn act(&mut self) -> Act {
        let slow = self.on(Feature::Slow, 250);
        let millis = if slow {
            self.rng.range(500, 12_000)
        } else {
            self.rng.range(1, 120)
        };
        let (checkpoint, stubborn) = (self.on(Feature::Checkpoint, 400), self.on(Feature::Stubborn, 200));
        match self.rng.below(4) {
            _ if checkpoint => Act::Checkpoint,
            _ if stubborn => Act::WorkOn(millis),
            0 => Act::Yield,
            _ => Act::Work(millis),
        }
    }

    fn end(&mut self, depth: u32, kind: KindOf) -> End {
        let draw = self.rng.below(12);
        let millis = self.rng.range(20, 3_000);
        match draw {
            0 if self.features.has(Feature::Snooze) => End::Snooze {
                millis,
                starts: self.rng.count(1, 3),
            },
            1 if self.features.has(Feature::Snooze) => End::Continue {
                millis,
                rounds: self.rng.range(1, 3),
            },
            2 if depth > 0 && self.features.has(Feature::FollowUp) => End::FollowUp(self.write(0)),
            3 | 4 if self.features.has(Feature::Wait) => {
                let answered = self.rng.chance(800);
                End::Wait {
                    millis: self.rng.range(500, 8_000),
                    answer: answered.then(|| self.answer()),
                }
            }
            5 | 6 if depth > 0 && self.features.has(Feature::Split) => {
                let children = self.rng.range(0, 4);
                let chunk = self.aside(4, Feature::Split, 500, 1, 2);
                End::Split {
                    children: (0..children).map(|_| self.write(depth - 1)).collect(),
                    chunk: chunk.and_then(|chunk| usize::try_from(chunk).ok()),
                }
            }
            // One that goes on without its lease is out of everybody's reach.
            7 if kind != KindOf::Stays && self.features.has(Feature::Stuck) && self.rng.chance(300) => {
                End::Stuck
            }
            8 if self.features.has(Feature::Final) && self.rng.chance(300) => End::Stop,
            9 => End::Output,
            _ => End::Done,
        }
    }

    fn answer(&mut self) -> Answer {
        let hows = [
            AnswerHow::Resume,
            AnswerHow::Resume,
            AnswerHow::Succeed,
            AnswerHow::Fail,
            AnswerHow::Retry,
        ];
        Answer {
            after: if self.rng.chance(300) {
                self.rng.below(20)
            } else {
                self.rng.range(20, 9_000)
            },
            how: self.rng.pick(&hows),
            twice: self.rng.chance(200),
        }
    }
}
