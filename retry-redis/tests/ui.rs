//! What the compiler says to those who want what Redis cannot do.

#[test]
fn a_transaction_to_join_is_refused_with_a_way_out() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
