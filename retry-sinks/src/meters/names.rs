//! Every metric by its name: the one table, from which a part of `docs/metrics.md` is checked.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Counter,
    Gauge,
}

/// A metric.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) ty: Type,
    #[cfg(test)]
    pub(super) labels: &'static [&'static str],
    pub(super) about: &'static str,
}

macro_rules! metrics {
    ($($constant:ident $name:literal $ty:ident $labels:expr, $about:literal;)*) => {
        $(pub(super) const $constant: &str = $name;)*

        /// All metrics.
        pub(super) const TABLE: &[Metric] = &[
            $(Metric { name: $name, ty: Type::$ty, #[cfg(test)] labels: $labels, about: $about },)*
        ];
    };
}

metrics! {
    PUBLISHED "task_retry_relay_published_total" Counter &["queue", "topic"], "Messages that the broker acknowledged; one that is sent again after its acknowledgement was lost counts again.";
    RETRIED "task_retry_relay_retried_total" Counter &["queue", "topic"], "Attempts that the broker did not acknowledge, to be repeated.";
    REFUSED "task_retry_relay_refused_total" Counter &["queue", "topic"], "Messages that the broker refused for good: dead letters.";
    OLDEST_SECONDS "task_retry_relay_oldest_seconds" Gauge &["queue"], "How long the oldest message with a key that this relay holds has been due without an acknowledgement; 0 when it holds none. Written with every step, at the latest after a third of the lease.";
}
