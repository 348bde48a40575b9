//! The server that is measured: the one of a URL, of the tests' variable, or a throw-away one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Result, anyhow};
use test_servers::{Kind, Server, start_with};
use tokio::runtime::Builder;

/// Where a server is, found when it is first asked for.
#[derive(Debug)]
pub(crate) struct Address {
    kind: Kind,
    settings: &'static [(&'static str, &'static str)],
    given: Option<String>,
    found: OnceLock<Found>,
    finding: Mutex<()>,
}

#[derive(Debug)]
struct Found {
    url: String,
    /// Stopped and removed with the address.
    own: Option<Server>,
}

impl Address {
    /// The server that `given` names; for a scheme alone the first of the tests' variable, or else a throw-away one with these
    /// settings beside its durable ones.
    pub(crate) fn new(kind: Kind, given: &str, settings: &'static [(&'static str, &'static str)]) -> Self {
        let variable = || std::env::var(kind.variable()).ok();
        let given = match given.contains("://") {
            true => Some(given.to_owned()),
            false => variable().and_then(|urls| first(&urls)),
        };
        Self {
            kind,
            settings,
            given,
            found: OnceLock::new(),
            finding: Mutex::new(()),
        }
    }

    /// Whether it is a server somewhere, not one that this program starts.
    pub(crate) const fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// What the output says about it.
    pub(crate) fn text(&self) -> String {
        if self.is_given() {
            return "server=given".to_owned();
        }
        let settings = self
            .settings
            .iter()
            .map(|(name, value)| format!(" {name}={value}"));
        format!("server=own{}", settings.collect::<String>())
    }

    /// Its URL; starts the throw-away server.
    pub(crate) fn url(&self) -> Result<&str> {
        let _finding = self.finding.lock().unwrap_or_else(PoisonError::into_inner);
        if self.found.get().is_none() {
            let found = self.find()?;
            let _ = self.found.set(found);
        }
        Ok(&self.found.get().context("no server")?.url)
    }

    fn find(&self) -> Result<Found> {
        if let Some(url) = &self.given {
            return Ok(Found {
                url: url.clone(),
                own: None,
            });
        }
        let server = start_with(self.kind, self.settings).map_err(|error| anyhow!("{error}"))?;
        Ok(Found {
            url: server.url(),
            own: Some(server),
        })
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        drop(self.own.take());
    }
}

fn first(urls: &str) -> Option<String> {
    let mut urls = urls.split(',').map(str::trim);
    urls.find(|url| !url.is_empty()).map(ToOwned::to_owned)
}

/// A name that nothing else on a server has.
pub(crate) fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("benchmark_{}_{number}", std::process::id())
}

/// Removes what a place had on a server and waits for it, as a destructor has to.
pub(crate) fn removed(what: &str, removal: impl Future<Output = Result<()>> + Send + 'static) {
    let run = || {
        Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(removal)
    };
    match std::thread::spawn(run).join() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eprintln!("{what} was not removed: {error:#}"),
        Err(_) => eprintln!("{what} was not removed: a panic"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_as_it_is() {
        let address = Address::new(Kind::Postgres, "postgres://somewhere/db", &[]);
        assert!(address.is_given());
        assert_eq!(address.url().unwrap(), "postgres://somewhere/db");
        assert_eq!(address.text(), "server=given");
    }

    #[test]
    fn the_first_of_several_urls_is_measured() {
        assert_eq!(first(" , a://b , c://d").as_deref(), Some("a://b"));
        assert_eq!(first(" ,"), None);
    }
}
