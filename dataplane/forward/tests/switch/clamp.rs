//! The maximum segment size of TCP.

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TcpOptionElement, TransportSlice};
use forward::ids::DomainId;
use forward::link::Place;
use forward::tables::{MssClamp, Path};

use crate::fixture::*;
use crate::frames::*;

/// A SYN that offers this, or with `ack` its answer.
fn syn(six: bool, ack: bool, mss: u16) -> Vec<u8> {
    let options = [TcpOptionElement::Noop, TcpOptionElement::MaximumSegmentSize(mss)];
    let ethernet = PacketBuilder::ethernet2(W1.0, W9.0);
    let mut bytes = Vec::new();
    let tcp = if six {
        ethernet.ipv6(SIX1.octets(), SIX9.octets(), 64).tcp(80, 4001, 1, 65535)
    } else {
        ethernet.ipv4(IP1.octets(), IP9.octets(), 64).tcp(80, 4001, 1, 65535)
    };
    let tcp = if ack { tcp.syn().ack(7) } else { tcp.syn() };
    tcp.options(&options).expect("options that fit").write(&mut bytes, &[]).expect("a frame");
    bytes
}

/// What a segment offers.
fn offered(frame: &[u8]) -> u16 {
    assert!(checksums_are_right(frame));
    let packet = SlicedPacket::from_ethernet(frame).expect("a parseable frame");
    assert!(matches!(packet.net, Some(NetSlice::Ipv4(_) | NetSlice::Ipv6(_))));
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { panic!("no TCP") };
    let mut options = tcp.options_iterator().filter_map(Result::ok);
    let found = options.find_map(|option| match option {
        TcpOptionElement::MaximumSegmentSize(mss) => Some(mss),
        _ => None,
    });
    found.expect("an offer")
}

fn switch(clamp: MssClamp) -> Switch {
    let mut switch = Switch::new();
    switch.change(|parts| {
        parts.domains.iter_mut().for_each(|domain| domain.mss_clamp = clamp);
        for remote in parts.remotes.iter_mut().filter(|remote| remote.id == VXLAN2) {
            remote.path = Path::Resolved { uplink: UP2, source: UPLINK_MAC, next_hop: NEXT_HOP, mtu: 1400 };
        }
    });
    switch
}

#[test]
fn segments_are_made_to_fit_the_path() {
    let mut switch = switch(MssClamp::Path);
    switch.bind(DomainId(1), W9, Place::Remote(VXLAN));
    // 1500 less 50 of outer header, less 40 or 60 of IP and TCP header.
    for (six, expected) in [(false, 1410), (true, 1390)] {
        for ack in [false, true] {
            let out = switch.receive_one(A, &syn(six, ack, 1460));
            assert_eq!(offered(&unwrap(&out[0].bytes).inner), expected);
            let out = switch.receive_one(A, &left_to_device(&syn(six, ack, 1460)));
            assert_eq!(offered(&unwrap(&out[0].bytes).inner), expected);
        }
        let small = syn(six, false, 536);
        let out = switch.receive_one(A, &small);
        assert_eq!(unwrap(&out[0].bytes).inner, small, "never raised");
    }
    switch.bind(DomainId(1), W9, Place::Remote(VXLAN2));
    let out = switch.receive_one(A, &syn(false, false, 1460));
    assert_eq!(offered(&unwrap(&out[0].bytes).inner), 1310);
    switch.bind(DomainId(1), W9, Place::Port(B));
    assert_eq!(offered(&switch.receive_one(A, &syn(false, false, 1460))[0].bytes), 1460, "no path, no limit");
}

#[test]
fn what_comes_from_a_remote_and_what_is_flooded_is_clamped_too() {
    let mut switch = switch(MssClamp::Path);
    // The offer is made to W9, who is here this time.
    switch.bind(DomainId(1), W9, Place::Port(B));
    for (peer, expected) in [(PEER, 1410), (PEER2, 1310)] {
        let out = switch.receive_one(UP, &vxlan_from(peer, 100, &syn(false, true, 1460)));
        assert_eq!(offered(&out[0].bytes), expected);
    }
    let mut switch = self::switch(MssClamp::Path);
    let out = switch.receive_one(A, &syn(false, false, 1460));
    assert_eq!(out.len(), 4);
    assert!(out.iter().filter(|out| out.port == B).all(|out| offered(&out.bytes) == 1310));
    assert_eq!(offered(&unwrap(&out[3].bytes).inner), 1310, "the narrowest path of all");
}

#[test]
fn a_number_holds_everywhere() {
    let mut switch = switch(MssClamp::Bytes(1200));
    for place in [Place::Port(B), Place::Remote(VXLAN)] {
        switch.bind(DomainId(1), W9, place);
        for six in [false, true] {
            let out = switch.receive_one(A, &syn(six, false, 1460));
            let inner = if out[0].port == B { out[0].bytes.clone() } else { unwrap(&out[0].bytes).inner };
            assert_eq!(offered(&inner), 1200);
        }
    }
}

#[test]
fn without_a_clamp_and_without_a_syn_nothing_changes() {
    let plain = |frame: &[u8]| edit(frame, |frame| frame[47] &= !2);
    for (clamp, frame) in [
        (MssClamp::Off, syn(false, false, 1460)),
        (MssClamp::Off, syn(true, false, 1460)),
        (MssClamp::Bytes(1200), plain(&syn(false, false, 1460))),
        (MssClamp::Bytes(1200), udp(W1, W9, 1000)),
        (MssClamp::Bytes(1200), opaque(W1, W9, 1000)),
        (MssClamp::Bytes(1200), edit_ip(&syn(false, false, 1460), |ip| ip[7] = 9)),
    ] {
        let mut switch = switch(clamp);
        switch.bind(DomainId(1), W9, Place::Remote(VXLAN));
        assert_eq!(unwrap(&switch.receive_one(A, &frame)[0].bytes).inner, frame);
    }
}
