//! The end-to-end tests: real programs, real devices, real AF_XDP, in network namespaces. They need root and fail
//! without it. One file per subject; each opens with what it proves.
#![forbid(unsafe_code)]
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

/// Makes one test per variant out of each function that takes one.
macro_rules! in_every_variant {
    ($($name:ident),* $(,)?) => {
        in_every_variant!(@ one_worker ONE_WORKER $($name)*);
        in_every_variant!(@ two_workers TWO_WORKERS $($name)*);
        in_every_variant!(@ one_worker_ring ONE_WORKER_RING $($name)*);
        in_every_variant!(@ two_workers_burst TWO_WORKERS_BURST $($name)*);
    };
    (@ $module:ident $variant:ident $($name:ident)*) => {
        mod $module {
            $(#[test] fn $name() { super::$name(vtep_tests::Variant::$variant); })*
        }
    };
}

mod arp_proxy;
mod bursts;
mod configuration;
mod control;
mod devices;
mod far_sides;
mod flood_control;
mod gre;
mod groups;
mod guard;
mod host_traffic;
mod ipv6_underlay;
mod jumbo;
mod linux_vxlan;
mod liveness;
mod malformed;
mod many_ports;
mod marking;
mod measurements;
mod mtu;
mod mtu_forgeries;
mod multicast;
mod nd_proxy;
mod overlay;
mod ovs_gre;
mod provenance;
mod queues;
mod readme;
mod refusals;
mod refused_bpf;
mod reload;
mod replication;
mod trunks;
mod underlay;
mod vxlan_header;
