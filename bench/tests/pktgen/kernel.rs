//! The script for the kernel's own pktgen, as far as a kernel without it goes.

use std::process::Command;

use vtep_tests::Finished;

fn flood(arguments: &[&str]) -> Finished {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/kernel-pktgen/flood");
    Finished::of(Command::new(script).args(arguments).env("PKTGEN", "/proc/no/such/pktgen"))
}

#[test]
fn a_kernel_without_pktgen_is_refused_in_words_that_help() {
    let without = flood(&["lo", "02:00:00:00:00:01", "--flows", "64", "--cpus", "0-1,3"]);
    without.assert_fails(1, &["/proc/no/such/pktgen is not there", "CONFIG_NET_PKTGEN", "--bin pktgen"]);
}

#[test]
fn words_that_make_no_sense_are_refused() {
    flood(&[]).assert_fails(2, &["--flows N", "RFC 2544"]);
    flood(&["lo", "02:00:00:00:00:01", "--speed", "1"]).assert_fails(2, &["--rate FPS"]);
    flood(&["lo", "2:0:0:0:0:1"]).assert_fails(1, &["2:0:0:0:0:1: not a MAC address"]);
    for (option, value) in [("--size", "59"), ("--flows", "0"), ("--rate", "fast"), ("--cpus", "a")] {
        flood(&["lo", "02:00:00:00:00:01", option, value]).assert_fails(1, &[option, value]);
    }
}
