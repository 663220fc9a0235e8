//! Frames of every kind, valid and half-valid, through the whole pipeline. No chunk may be lost, the
//! counters must add up, and what leaves must be well-formed: the tests' own harness asserts it.
#![no_main]
#![allow(dead_code, reason = "the harness serves the tests and the other target too")]

#[path = "../../tests/switch/arbitrary.rs"]
mod arbitrary;
#[path = "../../tests/switch/fixture.rs"]
mod fixture;
#[path = "../../tests/switch/frames.rs"]
mod frames;
#[path = "../../tests/switch/frames6.rs"]
mod frames6;

libfuzzer_sys::fuzz_target!(|data: &[u8]| arbitrary::forward(data));
