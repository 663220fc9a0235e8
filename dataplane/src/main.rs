//! `vtepd`, the dataplane daemon.
fn main() {}
