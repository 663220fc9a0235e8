//! Bounds of what there may be, and what is told where memory is short.

use super::{faults_of, warnings_of, words_of};

#[test]
fn the_arithmetic_of_frame_memory_is_stated() {
    let port = |index: u32, more: &str| format!("[[port]]\nname = \"p{index}\"\nrole = \"uplink\"\n{more}\n");
    let short: String = (0..4).map(|index| port(index, "queues = 50\nring_size = 64")).collect();
    assert_eq!(
        faults_of(&format!("[umem]\nchunks = 16384\n{short}")),
        "t.toml:2:10: error: 200 queues need 64 chunks each, 12800 in all; 12288 of 16384 chunks are for rings\n    2 | \
         chunks = 16384\n      |          ^^^^^\n  help: set `umem.chunks` to 32768 and restart, or lower `queues` of the \
         ports\n"
    );
    let seven: String = (0..7).map(|index| port(index, "")).collect();
    assert_eq!(
        warnings_of(&seven),
        "t.toml: warning: 7 queues have rings for 14336 frames; 12288 of 16384 chunks are for rings: each queue gets \
         1755\n  help: set `umem.chunks` to 32768 and restart, or lower `ring_size` or `queues` of the ports\n"
    );
    // Each worker has its part, and no more: a queue is one worker's.
    let workers = "[[worker]]\n".repeat(8);
    assert_eq!(
        warnings_of(&[&workers, &*port(0, "")].concat()),
        "t.toml: warning: the queues of a worker (1) have rings for 2048 frames; 1536 of each worker's 2048 chunks are for \
         rings: each queue gets 1536\n  help: set `umem.chunks` to 32768 and restart, or lower `ring_size` or `queues` of the \
         ports\n"
    );
    let six: String = (0..6).map(|index| port(index, "")).collect();
    assert_eq!(warnings_of(&six), "");
}

#[test]
fn an_uplink_takes_so_many_udp_ports() {
    let vnis: String = (1..=9)
        .map(|id| format!("[[vni]]\nid = {id}\nlocal = \"192.0.2.1\"\nudp_port = {}\n", 5000 + id))
        .collect();
    assert_eq!(
        faults_of(&vnis),
        "t.toml:36:12: error: UDP port 5009 is one too many: an uplink takes tunnels on 8 different UDP ports, and there are \
         5001, 5002, 5003, 5004, 5005 and 3 more\n   36 | udp_port = 5009\n      |            ^^^^\n  help: use one of \
         these ports\n"
    );
}

#[test]
fn an_uplink_takes_packets_to_so_many_addresses() {
    let vnis = |count: u32| -> String {
        let vni = |id: u32| {
            let [_, _, high, low] = id.to_be_bytes();
            format!(
                "[[vni]]\nid = {id}\nlocal = \"10.0.{high}.{low}\"\nmcast_group = \"239.1.{high}.{low}\"\n"
            )
        };
        (1..=count).map(vni).collect()
    };
    assert_eq!(warnings_of(&vnis(1024)), "");
    let fault = "the VNIs have 2050 local addresses and groups; packets to 2048 at most can be taken | let VNIs share a \
                 local address, or remove some";
    assert_eq!(words_of(&vnis(1025)), [fault]);
}

/// RFC 7637 reserves some numbers; peers may still take them.
#[test]
fn reserved_subnets_of_nvgre_are_warned_of() {
    let uplink = "[[port]]\nname = \"up\"\nrole = \"uplink\"\n";
    let text = |number: u32, encapsulation: &str, of_remote: &str| {
        format!(
            "{uplink}[[vni]]\nid = {number}\nlocal = \"192.0.2.1\"\nencapsulation = \"{encapsulation}\"\n\
             [[remote]]\nvni = {number}\naddress = \"192.0.2.2\"\n{of_remote}"
        )
    };
    for number in [0, 4095, 0xff_ffff] {
        let told = warnings_of(&text(number, "nvgre", ""));
        assert!(told.starts_with("t.toml:7:"), "{told}");
        let what =
            format!("VNI {number} is NVGRE, in which subnet {number} is reserved (RFC 7637 section 3.2)");
        assert!(told.contains(&what) && told.ends_with("help: use a VNI from 4096 to 16777214\n"), "{told}");
        let told = warnings_of(&text(number, "vxlan", "encapsulation = \"nvgre\""));
        assert!(told.starts_with("t.toml:11:") && told.contains("is NVGRE"), "{told}");
        assert_eq!(warnings_of(&text(number, "gre", "")), "");
    }
    for number in [4096, 0xff_fffe] {
        assert_eq!(warnings_of(&text(number, "nvgre", "")), "");
    }
}
