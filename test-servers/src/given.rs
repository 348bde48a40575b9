//! Servers that are given by variables, and which ones may not be missing.

use std::env;

use crate::kind::Kind;

/// The URLs that a kind's [variable](Kind::variable) gives: commas stand between several. Those in the URL of a cluster stand between
/// its nodes, and several clusters are separated by blanks.
#[must_use]
pub fn given(kind: Kind) -> Vec<String> {
    let urls = env::var(kind.variable()).unwrap_or_default();
    listed(kind, &urls)
}

fn listed(kind: Kind, urls: &str) -> Vec<String> {
    let between = match kind {
        Kind::RedisCluster => ' ',
        _ => ',',
    };
    let urls = urls.split(between).map(str::trim).filter(|url| !url.is_empty());
    urls.map(str::to_owned).collect()
}

/// Whether a test fails that finds no server of the kind: `RETRY_REQUIRE` is `all`, or lists the kind's name.
#[must_use]
pub fn required(kind: Kind) -> bool {
    let required = env::var("RETRY_REQUIRE").unwrap_or_default();
    let mut names = required.split(',').map(str::trim);
    names.any(|name| name == "all" || name == kind.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_urls_are_told_apart() {
        assert_eq!(
            listed(Kind::MySql, " mysql://a , mysql://b,"),
            ["mysql://a", "mysql://b"]
        );
        assert!(listed(Kind::Redis, "").is_empty());
        let clusters = "redis-cluster://a:1,b:2  redis-cluster://c:3";
        assert_eq!(
            listed(Kind::RedisCluster, clusters),
            ["redis-cluster://a:1,b:2", "redis-cluster://c:3"]
        );
    }
}
