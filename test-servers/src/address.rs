//! The URL of a server, of which a test changes a part: another user, another database, a port before it.

use std::fmt;
use std::net::SocketAddr;

use url::Url;

/// A URL that changes in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// Reads it.
    ///
    /// # Panics
    /// It is no URL of one server.
    #[must_use]
    pub fn of(url: &str) -> Self {
        let read = Url::parse(url).ok().filter(Url::has_authority);
        Self(read.unwrap_or_else(|| {
            panic!(
                "no URL of a server is given: it begins with {:?}",
                url.split(':').next()
            )
        }))
    }

    /// For another user.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        let set = self
            .0
            .set_username(name)
            .and_then(|()| self.0.set_password(Some(password)));
        set.expect("a URL with a host takes a user");
        self
    }

    /// For another database of the server.
    #[must_use]
    pub fn database(mut self, name: &str) -> Self {
        self.0.set_path(name);
        self
    }

    /// With one more option, as it stands in a URL: `ssl-mode=DISABLED`.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        let options = match self.0.query() {
            Some(options) => format!("{options}&{option}"),
            None => option.to_owned(),
        };
        self.0.set_query(Some(&options));
        self
    }

    /// At a port of the loopback address: what listens there leads to the server.
    #[must_use]
    pub fn at(mut self, port: u16) -> Self {
        let set = self.0.set_host(Some("127.0.0.1")).is_ok() && self.0.set_port(Some(port)).is_ok();
        assert!(set, "a URL with a host takes another one");
        self
    }

    /// The user's name; empty where the URL has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.username()
    }

    /// Where the server listens; none if its name leads nowhere.
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddr> {
        let port = match self.0.scheme() {
            "mysql" | "mariadb" => 3306,
            "redis" | "rediss" => 6379,
            _ => 5432,
        };
        let found = self.0.socket_addrs(|| Some(port)).ok()?;
        found.first().copied()
    }

    /// Whether clients look at the server's name in its certificate: then nothing can stand before it.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        let verifies = |name: &str, value: &str| {
            ["sslmode", "ssl-mode"].contains(&name) && value.to_ascii_lowercase().starts_with("verify")
        };
        self.0.scheme() == "rediss" || self.0.query_pairs().any(|(name, value)| verifies(&name, &value))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_changed_and_the_rest_stays() {
        let given = Address::of("postgres://me:a%40b@127.0.0.1:5433/shop?sslmode=disable");
        let changed = given
            .clone()
            .user("other", "p@w")
            .database("old")
            .option("application_name=x");
        assert_eq!(
            changed.to_string(),
            "postgres://other:p%40w@127.0.0.1:5433/old?sslmode=disable&application_name=x"
        );
        assert_eq!(given.socket(), Some(([127, 0, 0, 1], 5433).into()));
        let before = given.at(77).to_string();
        assert_eq!(before, "postgres://me:a%40b@127.0.0.1:77/shop?sslmode=disable");
    }

    #[test]
    fn what_is_left_out_is_the_servers_own() {
        let given = Address::of("mysql://root@127.0.0.1");
        assert_eq!(
            (given.name(), given.socket()),
            ("root", Some(([127, 0, 0, 1], 3306).into()))
        );
        assert_eq!(given.database("it").to_string(), "mysql://root@127.0.0.1/it");
        let redis = Address::of("redis://127.0.0.1").user("worker", "w");
        assert_eq!(redis.to_string(), "redis://worker:w@127.0.0.1");
    }

    #[test]
    fn a_name_that_is_looked_at_is_known() {
        for verified in [
            "rediss://h",
            "mysql://h/d?ssl-mode=VERIFY_CA",
            "postgres://h/d?sslmode=verify-full",
        ] {
            assert!(Address::of(verified).is_verified(), "{verified}");
        }
        assert!(!Address::of("mysql://h/d?ssl-mode=REQUIRED").is_verified());
    }
}
