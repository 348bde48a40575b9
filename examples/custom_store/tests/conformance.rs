//! The certificate: every case of the suite, and generated histories, on this store.

mod harness;

fn main() -> std::process::ExitCode {
    conformance_tests::run(harness::Files)
}
