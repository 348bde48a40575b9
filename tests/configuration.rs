//! The page of all settings shows what there is.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use task_retry::engine::OPTIONS;

const BEGIN: &str =
    "<!-- the table is written by `UPDATE_DOCS=1 cargo test --test configuration --features config` -->\n";
const END: &str = "<!-- the end of the table -->\n";

fn table() -> String {
    let mut table = String::from("| key | variable | form | default | meaning |\n|---|---|---|---|---|\n");
    for option in OPTIONS {
        let (key, variable, form) = (option.key, option.variable(), option.form());
        let _ = writeln!(
            table,
            "| `{key}` | `{variable}` | {form} | {} | {} |",
            option.default, option.doc
        );
    }
    table
}

#[test]
fn the_page_has_every_setting_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = fs::read_to_string(&path).expect("the page is there");
    let (before, rest) = page.split_once(BEGIN).expect("the table begins");
    let (written, after) = rest.split_once(END).expect("the table ends");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let page = format!("{before}{BEGIN}{}{END}{after}", table());
        fs::write(&path, page).expect("the page is written");
    } else {
        assert_eq!(written, table(), "write it anew: see the comment above the table");
    }
}
