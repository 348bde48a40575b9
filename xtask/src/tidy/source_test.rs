//! What counts as comment, string and code.

use super::*;

#[test]
fn comments_go_and_lines_stay() {
    let text = "a(); // b()\n/* c()\n/* d() */ */ e();\n/// f()\ng();";
    let code = code(text);
    assert_eq!(code.lines().count(), text.lines().count());
    for gone in ["b()", "c()", "d()", "f()"] {
        assert!(!code.contains(gone), "{gone} is a comment");
    }
    for kept in ["a();", "e();", "g();"] {
        assert!(code.contains(kept), "{kept} is code");
    }
}

#[test]
fn strings_go_only_when_asked() {
    let text = r##"x("// no", r#"a " b"#, '"', '\'', "\"c\\"); fn f<'a>(y: &'a str) {} z()"##;
    assert_eq!(without_comments(text), text);
    let code = code(text);
    assert!(!code.contains("no") && !code.contains("a \" b") && !code.contains('c'));
    assert!(code.contains("fn f<'a>(y: &'a str) {} z()"), "{code}");
}

#[test]
fn a_name_ending_in_r_opens_no_raw_string() {
    assert!(code(r#"expr!("\""); sleep(1)"#).contains("sleep(1)"));
    assert!(code(r##"br#"x"y"#; sleep(1)"##).contains("sleep(1)"));
}

#[test]
fn documentation_is_found() {
    let text = "//! one\n    /// two\n// three\n//// four\ncode();";
    assert_eq!(doc_lines(text).collect::<Vec<_>>(), [" one", " two"]);
}

#[test]
fn words_are_whole() {
    assert!(has_word("x.sleep(1)", "sleep(") && has_word("(L1)", "L1"));
    assert!(!has_word("asleep(1)", "sleep(") && !has_word("L12", "L1") && !has_word("XL1", "L1"));
}
