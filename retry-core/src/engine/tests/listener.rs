//! A sink that keeps what it is told, and can be made to fail.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::alert::{Alert, AlertReason, AlertSink, SinkError};

/// What a listener does with an alert, after it has noted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Takes,
    Fails,
    Panics,
    Hangs,
}

#[derive(Debug, Clone)]
pub(crate) struct Listener {
    told: Arc<Mutex<Vec<Alert>>>,
    manner: Manner,
}

impl Listener {
    pub(crate) fn new(manner: Manner) -> Self {
        let told = Arc::default();
        Self { told, manner }
    }

    pub(crate) fn told(&self) -> Vec<Alert> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn reasons(&self) -> Vec<AlertReason> {
        self.told().iter().map(|alert| alert.reason).collect()
    }

    /// The attempts it was told of, with the reasons.
    pub(crate) fn attempts(&self) -> Vec<(u32, AlertReason)> {
        let told = self.told();
        let of = |alert: &Alert| (alert.task.as_ref().map_or(0, |task| task.attempt), alert.reason);
        told.iter().map(of).collect()
    }
}

#[async_trait]
impl AlertSink for Listener {
    async fn deliver(&self, alert: &Alert) -> Result<(), SinkError> {
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(alert.clone());
        match self.manner {
            Manner::Takes => Ok(()),
            Manner::Fails => Err("no".into()),
            Manner::Panics => std::panic::resume_unwind(Box::new("sink")),
            Manner::Hangs => std::future::pending().await,
        }
    }
}
