//! Ports in tables and alone.

use super::printed;
use crate::answer::Answer;

pub(super) fn port() -> api::Port {
    api::Port {
        ifname: "east".into(),
        device: "veth-east".into(),
        role: api::PortRole::Access,
        vni: Some(100),
        vlans: None,
        native: None,
        tags: Some(api::Tags { seen: true, reason: None }),
        mode: None,
        pages: None,
        state: api::PortState::Down,
        address: None,
        mtu: None,
        ring_size: 2048,
        queues: vec![api::Queue { rx_ring_full: 9, ..api::Queue::default() }],
        degraded: vec!["there is no device veth-east".into()],
        transmit: api::Transmit {
            configured: api::TransmitWish::Auto,
            active: api::TransmitPath::Ring,
            threshold: None,
            reason: Some("the peer does not run NAPI".into()),
        },
        netns: Some("blue".into()),
        netns_device: Some("eth0".into()),
        flood: true,
        mcast_flood: false,
        bcast_flood: true,
        isolated: true,
        fastleave: false,
        storm_limit: 500,
        guard: Some(api::Guard {
            trusted: Some(false),
            locked: Some(true),
            bind: Some(vec![api::Binding {
                mac: "02:00:00:00:00:01".into(),
                addresses: vec!["10.0.0.1".into()],
            }]),
            learn_limit: Some(8),
        }),
        learned: 3,
        unlearned: 5,
        rx_packets: 1000,
        rx_bytes: 64_000,
        tx_packets: 0,
        tx_bytes: 0,
        dropped: 3,
        kernel_dropped: 9,
        to_kernel: None,
    }
}

#[test]
fn a_port_is_a_row_among_others_and_a_page_alone() {
    let row = printed(&Answer::Ports { ports: vec![port()], alone: false }).data;
    let expected = "\
NAME  DEVICE     ROLE    VNI  STATE  TRANSMIT  RX PACKETS  RX BYTES  TX PACKETS  TX BYTES  DROPPED  KERNEL DROPPED
east  veth-east  access  100  DOWN   ring            1000     64000           0         0        3               9
degraded: east: there is no device veth-east
";
    assert_eq!(row, expected);
    let page = printed(&Answer::Ports { ports: vec![port()], alone: true }).data;
    for line in [
        "role      access of VNI 100",
        "mode      none",
        "tags      seen",
        "learned   3 of 8, 5 frames beyond",
        "guard     not trusted, locked, bound to 02:00:00:00:00:01 10.0.0.1",
        "pages     none",
        "transmit  ring (configured auto): the peer does not run NAPI",
        "netns     blue (NAPI turned on at eth0)",
        "flood     unicast,broadcast",
        "isolated  on",
        "leave     once nobody answers",
        "storm     500/s",
        "kernel    9 packets dropped before receipt",
        "QUEUE  WORKER  RX_DROPPED  RX_INVALID  RX_RING_FULL  FILL_EMPTY  TX_INVALID  TX_EMPTY",
        "degraded: there is no device veth-east",
    ] {
        assert!(page.lines().any(|found| found == line), "{line:?} is not in\n{page}");
    }
    let uplink = api::Port { to_kernel: Some(40), ..port() };
    let row = printed(&Answer::Ports { ports: vec![uplink.clone()], alone: false }).data;
    assert!(row.contains("KERNEL DROPPED  TO KERNEL\n") && row.contains(" 9         40\n"), "{row}");
    let page = printed(&Answer::Ports { ports: vec![uplink], alone: true }).data;
    assert!(page.contains("host      40 packets left to it\n"), "{page}");
    assert_eq!(Answer::Ports { ports: vec![port()], alone: false }.json().unwrap()[0]["mode"], "");
}

#[test]
fn a_trunk_shows_its_vlans_and_whether_their_tags_are_seen() {
    let rows = [(10, 100), (20, 200)].map(|(vlan, vni)| api::TrunkVlan { vlan, vni });
    let reason = Some("the other end is elsewhere; set `namespace`".to_owned());
    let trunk = api::Port {
        role: api::PortRole::Trunk,
        vni: None,
        vlans: Some(rows.to_vec()),
        native: Some(20),
        tags: Some(api::Tags { seen: false, reason }),
        ..port()
    };
    let row = printed(&Answer::Ports { ports: vec![trunk.clone()], alone: false }).data;
    assert!(row.lines().any(|line| line.starts_with("east  veth-east  trunk  2 VLANs  DOWN")), "{row}");
    let page = |trunk: &api::Port| printed(&Answer::Ports { ports: vec![trunk.clone()], alone: true }).data;
    for line in [
        "role      trunk: VLAN 10 is VNI 100, VLAN 20 is VNI 200; native VLAN 20",
        "tags      perhaps hidden: the other end is elsewhere; set `namespace`",
    ] {
        assert!(page(&trunk).lines().any(|found| found == line), "{line:?} is not in\n{}", page(&trunk));
    }
    let empty = api::Port { vlans: Some(Vec::new()), native: None, tags: None, ..trunk };
    assert!(page(&empty).contains("role      trunk: without VLANs; native VLAN none\n"));
    assert!(!page(&empty).contains("tags "));
}
