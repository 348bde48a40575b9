//! The address as the driver gets it: nothing in it that the driver would show.

use std::borrow::Cow;

use retry_core::store::address::is_whole;

/// The driver's options; for any other it would log the value, which may be a misspelt password.
const KNOWN: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

/// The address without the options that the driver does not know. None: it is no address of this store's, or cut by its password.
pub(super) fn checked(url: &str) -> Option<Cow<'_, str>> {
    let (scheme, rest) = url.split_once("://")?;
    if !["postgres", "postgresql"].contains(&scheme) || !is_whole(rest) {
        return None;
    }
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let given = options.split('&').filter(|option| !option.is_empty());
    let (known, unknown): (Vec<&str>, Vec<&str>) = given.partition(|option| is_known(option));
    if unknown.is_empty() {
        return Some(Cow::Borrowed(url));
    }
    for option in unknown {
        // What has no value may be a piece of one.
        let name = option.split_once('=').map_or("?", |(name, _)| name);
        tracing::warn!(
            name,
            "the address has an option that this store does not know; it is passed over"
        );
    }
    Some(Cow::Owned(format!("{scheme}://{place}?{}", known.join("&"))))
}

/// Whether the driver knows an option. What is written with escapes is left to it.
fn is_known(option: &str) -> bool {
    let name = option.split('=').next().unwrap_or_default();
    KNOWN.contains(&name) || name == "options" || name.starts_with("options[") || name.contains('%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_driver_knows_is_passed_on() {
        for (given, passed) in [
            ("postgres://u:p@h/db", Some("postgres://u:p@h/db")),
            (
                "postgresql://u@h/db?sslmode=require&host=/run",
                Some("postgresql://u@h/db?sslmode=require&host=/run"),
            ),
            (
                "postgres://u@h/db?pass=hunter2&sslmode=require&connect_timeout=5&options=-c%20a%3Db",
                Some("postgres://u@h/db?sslmode=require&options=-c%20a%3Db"),
            ),
            ("postgres://u@h?pwd=hunter2", Some("postgres://u@h?")),
            ("postgres://user:12/secret@host/db", None),
            ("postgres://user:12/sec?ret@host/db", None),
            ("postgres://user:12?secret@host/db", None),
            ("postgres://user:12#secret@host/db", None),
            (
                "postgres://h/db?user=app@tenant&ssl%2Dmode=require",
                Some("postgres://h/db?user=app@tenant&ssl%2Dmode=require"),
            ),
            ("mysql://u@h/db", None),
            ("postgres", None),
        ] {
            assert_eq!(checked(given).as_deref(), passed, "{given}");
        }
    }
}
