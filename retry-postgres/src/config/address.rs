//! The address as the driver gets it: nothing in it that the driver would show.

use std::borrow::Cow;

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

/// The address without the options that the driver does not know. None: it is no address of this store's, or a `/`
/// or `?` of the password ends the server's name before its time, so that the rest would be shown as the database's.
pub(super) fn checked(url: &str) -> Option<Cow<'_, str>> {
    let (scheme, rest) = url.split_once("://")?;
    if !["postgres", "postgresql"].contains(&scheme) {
        return None;
    }
    if rest
        .split_once(['/', '?'])
        .is_some_and(|(_, behind)| behind.contains('@'))
    {
        return None;
    }
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let name = |option: &str| option.split('=').next().unwrap_or_default().to_owned();
    let is_known = |option: &&str| {
        let name = name(option);
        KNOWN.contains(&name.as_str())
            || name == "options"
            || name.starts_with("options[")
            || name.starts_with("options%5B")
    };
    let (known, unknown): (Vec<&str>, Vec<&str>) = options
        .split('&')
        .filter(|option| !option.is_empty())
        .partition(is_known);
    if unknown.is_empty() {
        return Some(Cow::Borrowed(url));
    }
    for option in unknown {
        tracing::warn!(
            option = name(option),
            "the address has an option that this store does not know; it is passed over"
        );
    }
    Some(Cow::Owned(format!("{scheme}://{place}?{}", known.join("&"))))
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
            ("mysql://u@h/db", None),
            ("postgres", None),
        ] {
            assert_eq!(checked(given).as_deref(), passed, "{given}");
        }
    }
}
