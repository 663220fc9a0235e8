//! The switch as a whole: frames in, frames out, counters and chunks. Each test states what must come out; that
//! `rx + copies = tx + drops` and that no chunk is lost is asserted by the fixture after every batch.
#![expect(clippy::panic, reason = "a reader that cannot read what came out fails the test")]

mod arbitrary;
mod bfd;
mod claims;
mod clamp;
mod fixture;
mod flood;
mod fragments;
mod frames;
mod frames6;
mod golden;
mod groups;
mod guard;
mod marking;
mod nd;
mod outer;
mod over_ipv6;
mod properties;
mod proxy;
mod regressions;
mod simulation;
mod snooping;
mod too_big;
mod trunks;
mod tunnels;
