//! BFD packets for the switch itself: to control, back to the peer, or nowhere; never to a workload, and never from one.

use forward::bfd::{Address, Message};
use forward::entropy;
use forward::ids::DomainId;
use forward::link::{Event, Place};
use forward::tables::Path;
use forward::verdict::DropReason;
use proptest::collection::vec;
use proptest::prelude::*;
use wire::Mac;
use wire::bfd::{CONTROL_PORT, Control, ECHO_PORT, Echo, State, VTEP_MAC};

use crate::fixture::*;
use crate::frames::*;

const DOMAIN: DomainId = DomainId(1);
const PEER_MAC: Mac = Mac([2, 0, 0, 0, 7, 7]);

fn address() -> Address {
    Address { mac: PEER_MAC, source: PEER, source_port: 49_153 }
}

fn packet(port: u16, payload: &[u8]) -> Vec<u8> {
    [&address().headers(port, payload.len() as u16)[..], payload].concat()
}

fn control() -> Vec<u8> {
    let control = Control {
        diagnostic: 0,
        state: State::Down,
        poll: false,
        is_final: false,
        detect_multiplier: 3,
        my_discriminator: 7,
        your_discriminator: 0,
        desired_min_tx: 1_000_000,
        required_min_rx: 300_000,
        required_min_echo_rx: 10_000,
    };
    packet(CONTROL_PORT, &control.to_bytes())
}

fn echo(is_returned: bool, padding: usize) -> Vec<u8> {
    let echo = Echo { is_returned, path: 1, discriminator: 9, sequence: 4, sent: 123 };
    packet(ECHO_PORT, &[&echo.to_bytes()[..], &vec![0; padding]].concat())
}

#[test]
fn control_hears_what_is_for_it_and_nobody_else_does() {
    let mut switch = Switch::new();
    assert_eq!(switch.receive(UP, &[vxlan(&control()), vxlan(&echo(true, 0))]), []);
    let nanoseconds = switch.now.nanoseconds;
    let bytes = |frame: &[u8]| frame[42..66].try_into().expect("a payload");
    let message = |message| Event::Bfd { remote: VXLAN, message, nanoseconds };
    assert_eq!(
        switch.events(),
        [message(Message::Control(bytes(&control()))), message(Message::Echo(bytes(&echo(true, 0)))),]
    );
    assert_eq!(switch.drops(), [(DropReason::Bfd, 2)]);
    assert_eq!(switch.place_of(DOMAIN, PEER_MAC), None, "the address of a switch is not learned");
}

#[test]
fn a_peer_s_echo_goes_back_on_its_path_without_its_padding() {
    let mut switch = Switch::new();
    for withdrawn in [false, true] {
        if withdrawn {
            switch.change(|parts| {
                let (source, next_hop) = (UPLINK_MAC, NEXT_HOP);
                parts.remotes[0].path = Path::Withdrawn { uplink: UP, source, next_hop };
            });
        }
        let out = switch.receive_one(UP, &vxlan(&echo(false, 700)));
        assert_eq!((out.len(), out[0].port, out[0].flow), (1, UP, address().flow()));
        let tunnelled = unwrap(&out[0].bytes);
        assert_eq!(tunnelled.peer, PEER);
        let mut expected = echo(true, 0);
        expected[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 10]);
        assert_eq!(tunnelled.inner, expected);
        let source_port = u16::from_be_bytes([out[0].bytes[34], out[0].bytes[35]]);
        assert_eq!(source_port, entropy::source_port(address().flow()));
    }
    assert_eq!(switch.drops(), []);
}

#[test]
fn nothing_else_is_sent_to_a_remote_that_does_not_answer() {
    let mut switch = Switch::new();
    switch.change(|parts| {
        let (source, next_hop) = (UPLINK_MAC, NEXT_HOP);
        parts.remotes[0].path = Path::Withdrawn { uplink: UP, source, next_hop };
    });
    switch.bind(DOMAIN, W9, Place::Remote(VXLAN));
    assert_eq!(switch.receive_one(A, &udp(W1, W9, 10)), []);
    assert_eq!(switch.drops(), [(DropReason::NoRemote, 1)]);
}

#[test]
fn what_is_no_packet_of_a_peer_goes_nowhere() {
    let mut switch = Switch::new();
    let wrong: [(usize, u8); 5] = [(12, 0x86), (22, 254), (23, 6), (36, 0), (42, b'x')];
    let mut frames: Vec<Vec<u8>> =
        wrong.iter().map(|(at, value)| edit(&echo(false, 0), |frame| frame[*at] = *value)).collect();
    frames.push(control()[..60].to_vec());
    let count = frames.len() as u64;
    let wrapped: Vec<Vec<u8>> = frames.iter().map(|frame| vxlan(frame)).collect();
    assert_eq!(switch.receive(UP, &wrapped), []);
    assert_eq!(switch.drops(), [(DropReason::BfdInvalid, count)]);

    // A workload would speak in our name, to us or to a peer.
    assert_eq!(switch.receive(A, &[control(), echo(false, 0), udp(W1, VTEP_MAC, 20)]), []);
    assert_eq!(switch.drops(), [(DropReason::BfdInvalid, count + 3)]);
    assert_eq!(switch.events(), []);
}

/// Whoever had the address would get what is for us.
#[test]
fn nobody_takes_the_address_of_every_switch() {
    let mut switch = Switch::new();
    assert_eq!(switch.receive(A, &[udp(VTEP_MAC, W9, 20), udp(VTEP_MAC, Mac::BROADCAST, 20)]), []);
    assert_eq!(switch.receive(UP, &[vxlan(&udp(VTEP_MAC, W9, 20))]), []);
    assert_eq!(switch.drops(), [(DropReason::MacInvalidSource, 3)]);
    assert_eq!(switch.place_of(DOMAIN, VTEP_MAC), None);
    // A peer may send its own packets from it.
    let from_it = edit(&control(), |frame| frame[6..12].copy_from_slice(&VTEP_MAC.0));
    assert_eq!(switch.receive(UP, &[vxlan(&from_it)]), []);
    assert_eq!(
        (switch.drops(), switch.events().len()),
        (vec![(DropReason::MacInvalidSource, 3), (DropReason::Bfd, 1)], 1)
    );
}

proptest! {
    /// Whatever the bytes: nothing is lost or sent astray (the fixture counts), and only a whole echo goes back.
    #[test]
    fn no_bytes_go_astray(
        edits in vec((6_usize..90, any::<u8>()), 0..6),
        length in 14_usize..90,
        what in 0_u8..3,
        from_workload: bool,
    ) {
        let frame = match what {
            0 => control(),
            1 => echo(true, 20),
            _ => echo(false, 20),
        };
        let frame = edit(&frame, |frame| {
            for (at, value) in &edits {
                if let Some(byte) = frame.get_mut(*at) {
                    *byte = *value;
                }
            }
            frame.truncate(length);
        });
        let mut switch = Switch::new();
        let out = if from_workload { switch.receive_one(A, &frame) } else { switch.receive_one(UP, &vxlan(&frame)) };
        prop_assert!(out.iter().all(|out| out.port == UP && !from_workload && what != 0));
        prop_assert!(out.len() <= 1);
    }
}
