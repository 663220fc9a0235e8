//! `vtep-ctl`, the control client.
fn main() {}
