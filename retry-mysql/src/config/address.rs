//! The address before the driver gets it.

/// Whether it is an address of this store's, and no `/`, `?` or `#` of the password ends the server's name before its time: the
/// rest would be shown as the database's.
pub(super) fn is_sound(url: &str) -> bool {
    let rest = ["mysql://", "mariadb://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    rest.is_some_and(|rest| {
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        let path = place.split_once('/').map_or("", |(_, path)| path);
        let mut names = options.split('&').filter(|option| !option.contains('='));
        !rest.contains('#') && !path.contains('@') && !names.any(|name| name.contains('@'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigError, MySqlBuilder};

    #[test]
    fn a_password_that_cuts_the_address_is_refused_and_never_shown() {
        assert!(is_sound(
            "mariadb://user:a%2Fb@db.example.org:3307/shop?ssl-mode=REQUIRED"
        ));
        assert!(is_sound(
            "mysql://user@db.example.org/shop?ssl-ca=/etc/ca@corp.pem"
        ));
        for url in [
            "mysql://user:12/hunter2@db.example.org/shop",
            "mysql://user:12/hun?ter2@db.example.org/shop",
            "mysql://user:12?hunter2@db.example.org/shop",
            "mysql://user:12#hunter2@db.example.org/shop",
            "postgres://user@db.example.org/shop",
        ] {
            let error = MySqlBuilder::new(url).check().unwrap_err();
            assert_eq!(error, ConfigError::Url);
            assert!(error.to_string().contains("%2F"), "{error}");
        }
    }
}
