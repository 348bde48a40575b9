//! The address before the driver gets it.

use retry_core::store::address::is_whole;

/// Whether it is an address of this store's, and not cut by its password.
pub(super) fn is_sound(url: &str) -> bool {
    let rest = ["mysql://", "mariadb://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    rest.is_some_and(is_whole)
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
