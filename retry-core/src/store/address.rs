//! What a store on a server asks of an address before its driver sees it.

use std::net::IpAddr;

/// Whether connections to this host stay on the machine: `localhost`, or a loopback address, in brackets or not.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Whether no `/`, `?` or `#` of a password ends the server's name before its time: the rest of the password would be taken for a
/// path or an option, and be shown. `rest` is what stands behind the `://` of a URL, in which these are written `%2F`, `%3F`, `%23`.
#[must_use]
pub fn is_whole(rest: &str) -> bool {
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let path = place.split_once('/').map_or("", |(_, path)| path);
    let mut bare = options.split('&').filter(|option| !option.contains('='));
    !rest.contains('#') && !path.contains('@') && !bare.any(|name| name.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_localhost_and_the_loopback_addresses() {
        for host in ["localhost", "LocalHost", "127.0.0.1", "127.8.9.1", "::1", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "",
            "db.example.org",
            "10.0.0.1",
            "[2001:db8::1]",
            "127.0.0.1.example.org",
            "localhost.example.org",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn a_password_that_cuts_the_address_is_found() {
        for rest in [
            "user:a%2Fb@db.example.org:3307/shop?ssl-mode=REQUIRED",
            "h",
            "user@h/shop?ssl-ca=/etc/ca@corp.pem",
        ] {
            assert!(is_whole(rest), "{rest}");
        }
        for rest in [
            "user:12/hunter2@h/shop",
            "user:12/hun?ter2@h/shop",
            "user:12?hunter2@h/shop",
            "user:12#hunter2@h/shop",
        ] {
            assert!(!is_whole(rest), "{rest}");
        }
    }
}
