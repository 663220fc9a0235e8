//! The end-to-end tests: real programs, real devices, real AF_XDP, in network namespaces. They need root and fail
//! without it. One file per subject; each opens with what it proves.
#![forbid(unsafe_code)]

mod far_sides;
