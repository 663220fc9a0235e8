//! How much is learned from whom: a flood of addresses harms nobody, limits are exact, and lowering them takes effect.

use std::fs;
use std::net::Ipv4Addr;

use vtep_tests::frames::{self, Arp, RawSocket, octets};
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, Daemon, Trio, Variant, Workload, wait_until};

use super::{PAUSE, streams};

in_every_variant!(a_flood_of_addresses_harms_nobody);

/// A datagram from the `number`th address that a workload makes up.
fn made_up(from: &Workload, number: u32, to: &Workload) -> Vec<u8> {
    let [_, high, middle, low] = number.to_be_bytes();
    let macs = ([2, 0x66, 0, high, middle, low], octets(&to.mac));
    frames::udp(macs, (from.address, to.address), (1, 9), b"x")
}

/// Kilobytes of memory that a process has.
fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

fn a_flood_of_addresses_harms_nobody(variant: Variant) {
    const LIMIT: u64 = 64;
    const SOURCES: u32 = 20_000;
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, variant, &[net.segment().key(&format!("learn_limit = {LIMIT}"))]);
    daemon.change("fdb add 02:00:00:00:00:77 vni 100 dev a1");
    net.a1.reaches(&net.b1);
    let streams = streams(&net);
    let before = memory(daemon.id());
    let mut socket = RawSocket::of(&net.a2);
    let taken = || daemon.port("a2")["rx_packets"].as_u64().unwrap_or_default();
    for number in 0..SOURCES {
        socket.send(&made_up(&net.a2, number, &net.b1));
        if (number as usize).is_multiple_of(PAUSE) {
            wait_until("what has been sent is taken", SOON, || taken() > u64::from(number));
        }
    }
    // The flooder's frames go on all the same; what it takes of the database is bounded.
    wait_until("the flood has been forwarded", SOON, || taken() >= u64::from(SOURCES));
    let vni = &daemon.list("vni show 100")[0];
    assert_eq!((vni["learned"].as_u64(), vni["learn_limit"].as_u64()), (Some(LIMIT), Some(LIMIT)));
    let port = &daemon.port("a2");
    assert!(port["unlearned"].as_u64().is_some_and(|frames| frames > u64::from(SOURCES) / 2), "{port}");
    assert_eq!(
        daemon.list("fdb show vni 100").len() as u64,
        LIMIT + 1,
        "the written one is not among the limited"
    );
    let grown = memory(daemon.id()).saturating_sub(before);
    assert!(grown < 4096, "the flood took {grown} kB of memory");
    // Who comes now gets a place: the flooder, who has most, makes room.
    daemon.change(&format!("fdb del {} vni 100", net.a1.mac));
    wait_until("a1 is known again", SOON, || daemon.entry(100, &net.a1.mac).is_some());
    assert!(daemon.entry(100, "02:00:00:00:00:77").is_some());
    wait_until("the log tells", SOON, || daemon.log().contains("addresses not learned"));
    streams.into_iter().for_each(|stream| stream.stop().assert_none_lost());
}

/// A gratuitous ARP request, in which a workload says that it has an address.
fn gratuitous(from: &Workload, address: Ipv4Addr) -> Vec<u8> {
    Arp { sender: address, ..Arp::request(from, address) }.frame()
}

#[test]
fn a_flood_of_neighbours_keeps_nobody_else_out() {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.segment()]);
    net.a1.reaches(&net.b1);
    let vni = || daemon.list("vni show 100").remove(0);
    let limit = vni()["neighbour_limit"].as_u64().unwrap();
    let mut socket = RawSocket::of(&net.a2);
    // A port tells 1024 things a second and the rest is withheld, so that there is no telling how many frames it takes.
    let mut number = u32::from(Ipv4Addr::new(11, 0, 0, 0));
    wait_until("the VNI has no room for more", 6 * SOON, || {
        for _ in 0..4096 {
            socket.send(&gratuitous(&net.a2, number.into()));
            number += 1;
        }
        vni()["neighbours_unlearned"].as_u64() > Some(100)
    });
    assert_eq!(vni()["neighbours"].as_u64(), Some(limit));

    let address = Ipv4Addr::new(10, 0, 0, 77);
    let mut newcomer = RawSocket::of(&net.a1);
    wait_until("the newcomer's address is learned", SOON, || {
        newcomer.send(&gratuitous(&net.a1, address));
        daemon.list("neigh show vni 100").iter().any(|entry| entry["dst"] == address.to_string())
    });
    assert_eq!(vni()["neighbours"].as_u64(), Some(limit), "somebody made room");
    wait_until("the log names the port that has most", SOON, || {
        let log = daemon.log();
        log.lines().any(|line| line.contains("neighbours not learned") && line.contains("most_at=\"a2\""))
    });
    let table = daemon.ctl("vni show 100").output();
    assert!(table.contains("NEIGHBOURS") && table.contains(&format!("{limit}/{limit}, ")), "{table}");
    net.a1.ping(net.b1.address, 3);
}

/// As of Linux's `fdb_max_learned`: 16 sources at a limit of 8 leave 8. There, lowering the limit forgets nothing; here it
/// does.
#[test]
fn sixteen_sources_at_a_limit_of_eight_leave_eight() {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.segment()]);
    net.a1.reaches(&net.b1);
    daemon.change("fdb add 02:00:00:00:00:77 vni 100 dev a2");
    daemon.change("port guard a2 learn-limit 8");
    let streams = streams(&net);
    let seen = Capture::received(&net.b1);
    let mut socket = RawSocket::of(&net.a2);
    (0..16).for_each(|number| socket.send(&made_up(&net.a2, number, &net.b1)));
    // Beyond the limit frames go on all the same.
    seen.wait_for("udp dst port 9", 16);
    let learned = || daemon.list("fdb show dev a2 dynamic").len();
    let guard = |key: &str| daemon.port("a2")[key].clone();
    assert_eq!((learned(), guard("learned")), (8, 8.into()));
    assert!(guard("unlearned").as_u64() >= Some(8));
    daemon.change("port guard a2 learn-limit 16");
    (0..16).for_each(|number| socket.send(&made_up(&net.a2, number, &net.b1)));
    wait_until("all sixteen are learned", SOON, || learned() == 16);
    daemon.change("port guard a2 learn-limit 8");
    wait_until("eight are left", SOON, || learned() == 8);
    assert_eq!(guard("learned"), 8);
    (0..16).for_each(|number| socket.send(&made_up(&net.a2, number, &net.b1)));
    seen.wait_for("udp dst port 9", 48);
    assert_eq!(learned(), 8);

    // The same of a VNI: the biggest holder gives way, and what is written stays.
    let local = net.a.address;
    daemon.change(&format!("vni replace 100 local {local} learn-limit 6"));
    wait_until("six are left in the VNI", SOON, || daemon.list("vni show 100")[0]["learned"] == 6);
    // a1 and the remote have one each, which is less than a2 is left with.
    assert!(learned() <= 4, "a2 has most and was to lose them");
    for stays in [&net.a1.mac, &net.b1.mac, "02:00:00:00:00:77"] {
        assert!(daemon.entry(100, stays).is_some(), "{stays} is gone");
    }
    wait_until("the log tells", SOON, || daemon.log().contains("beyond their limit"));
    streams.into_iter().for_each(|stream| stream.stop().assert_complete());
}

/// The same of a remote.
#[test]
fn a_remote_has_a_limit_of_its_own() {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.segment()]);
    net.a1.reaches(&net.b1);
    daemon.change(&format!("remote replace {} vni 100 learn-limit 8", net.b.address));
    let streams = streams(&net);
    let seen = Capture::received(&net.a1);
    let mut socket = RawSocket::of(&net.b1);
    (0..16).for_each(|number| socket.send(&made_up(&net.b1, number, &net.a1)));
    seen.wait_for("udp dst port 9", 16);
    let remote = &daemon.list("remote show vni 100")[0];
    assert_eq!((&remote["learned"], &remote["learn_limit"]), (&8.into(), &8.into()));
    let table = daemon.ctl("remote show vni 100").output();
    assert!(table.contains("LEARNED") && table.contains("8/8"), "{table}");
    daemon.change(&format!("remote replace {} vni 100 learn-limit 3", net.b.address));
    wait_until("three are left", SOON, || daemon.list("remote show vni 100")[0]["learned"] == 3);
    streams.into_iter().for_each(|stream| stream.stop().assert_complete());
}
