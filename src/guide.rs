//! The guide: one page for each thing that a program does with tasks.

#[cfg(feature = "config")]
pub mod configuration {
    #![doc = include_str!("../docs/configuration.md")]
}

pub mod context {
    #![doc = include_str!("../docs/guide/context.md")]
}

pub mod dedupe {
    #![doc = include_str!("../docs/guide/dedupe.md")]
}

pub mod evolution {
    #![doc = include_str!("../docs/guide/evolution.md")]
}

pub mod retries {
    #![doc = include_str!("../docs/guide/retries.md")]
}

pub mod ticks {
    #![doc = include_str!("../docs/guide/ticks.md")]
}

pub mod why {
    #![doc = include_str!("../docs/guide/why.md")]
}
