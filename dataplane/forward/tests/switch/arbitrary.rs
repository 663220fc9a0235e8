//! Bytes to frames to the switch: what the fuzz targets and the regression tests run. Whatever the bytes are, no chunk
//! may be lost, the counters must add up (the fixture asserts both), and what leaves must be well-formed and allowed to.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use forward::ids::{DomainId, PortId};
use forward::link::Place;
use forward::protection::{Binding, Guard};
use wire::Mac;

use crate::fixture::{
    self, A, B, C, D, E, F, G, GRE_KEY, GRE_UDP, GRE6_KEY, H, I, NVGRE, Out, PEER, PEER6, PEER6_2, SMALL,
    Switch, T, U, UNRESOLVED, UP, UP2, VXLAN,
};
use crate::frames::{self, IP1, IP2, IP9, SIX1, SIX2, SIX9, W1, W2, W9};
use crate::frames6;

const INGRESS: [PortId; 15] = [UP, A, B, C, D, SMALL, UP2, PortId(999), E, F, G, H, I, T, U];
/// Tags of frames from trunks: their VLANs, some with a priority; a priority alone, and another VLAN.
const TAGS: [u16; 6] = [10, 20, 0xa00a, 30, 0xe000, 99];
const MACS: [Mac; 4] = [W1, W2, W9, Mac::BROADCAST];
const ADDRESSES: [Ipv4Addr; 4] = [IP1, IP2, IP9, Ipv4Addr::UNSPECIFIED];
const SIX: [Ipv6Addr; 4] = [SIX1, SIX2, SIX9, Ipv6Addr::UNSPECIFIED];
/// Longest frame, so that it fits into a chunk.
const LONGEST: usize = 1700;

/// Takes the input apart; zeroes once it has ended.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }
}

thread_local! {
    /// One switch for all inputs: to make one costs more than to run one.
    static SWITCH: RefCell<Switch> = RefCell::new(new_switch());
}

fn new_switch() -> Switch {
    // A full batch leaves little memory for copies.
    let mut switch = Switch::with_link(fixture::with_trunks(fixture::topology(), Some(20)), 96, 2048);
    let domain = DomainId(1);
    // One port that is guarded and one that is bound; the others are believed everything.
    let binding = Binding { mac: W1, addresses: vec![IP1.into(), SIX1.into()] };
    let claimed: Vec<_> = binding.claimed().map(|address| (DomainId(2), address)).collect();
    switch.change(|parts| {
        parts.protection.guards.insert(B, Guard::default());
        parts
            .protection
            .guards
            .insert(C, Guard { locked: true, bindings: vec![binding], ..Guard::default() });
        parts.protection.claims.macs.insert((DomainId(2), W1));
        parts.protection.claims.addresses.extend(claimed);
        parts.protection.limits.domains.insert(domain, 64);
    });
    switch.neighbours::<IpAddr>(&[
        (domain, IP9.into(), W9, true),
        (domain, IP1.into(), W1, false),
        (domain, SIX9.into(), W9, true),
        (domain, SIX1.into(), W1, false),
    ]);
    switch
}

/// Runs with a switch that knows where W9 is, and nothing from the input before.
fn with_switch(run: impl FnOnce(&mut Switch)) {
    SWITCH.with_borrow_mut(|switch| {
        switch.parts.fdb.flush(|_, _| true);
        switch.bind(DomainId(1), W9, Place::Remote(VXLAN));
        switch.bind(DomainId(2), W9, Place::Remote(GRE_KEY));
        switch.bind(DomainId(3), W9, Place::Remote(UNRESOLVED));
        switch.bind(DomainId(6), W9, Place::Remote(GRE6_KEY));
        switch.bind(DomainId(8), W9, Place::Remote(NVGRE));
        switch.bind(DomainId(9), W9, Place::Remote(GRE_UDP));
        run(switch);
        switch.events();
    });
}

/// Frames of every kind, valid but for what the input changes.
pub(crate) fn forward(data: &[u8]) {
    with_switch(|switch| forward_with(switch, Input(data)));
}

fn forward_with(switch: &mut Switch, mut input: Input<'_>) {
    let mut pending: (PortId, Vec<Vec<u8>>) = (UP, Vec::new());
    while !input.0.is_empty() {
        let ingress = input.one_of(&INGRESS);
        let frame = of_trunk(ingress, &mut input);
        if ingress != pending.0 {
            run(switch, &pending);
            pending = (ingress, Vec::new());
        }
        pending.1.push(frame);
    }
    run(switch, &pending);
}

/// A frame, with a tag in front if it is from a trunk and says so.
fn of_trunk(ingress: PortId, input: &mut Input<'_>) -> Vec<u8> {
    let frame = frame(input);
    let is_tagged = [T, U].contains(&ingress) && frame.len() >= 12 && input.byte() & 7 != 7;
    if is_tagged { frames::with_tag(&frame, input.one_of(&TAGS)) } else { frame }
}

fn run(switch: &mut Switch, (ingress, frames): &(PortId, Vec<Vec<u8>>)) {
    for out in switch.receive(*ingress, frames) {
        check(*ingress, &out);
    }
}

fn check(ingress: PortId, out: &Out) {
    let uplinks = [UP, UP2];
    assert!(!(uplinks.contains(&ingress) && uplinks.contains(&out.port)), "overlay to overlay");
    if out.port == ingress {
        // What a trunk adds is the first tag.
        let is_of_trunk = [T, U].contains(&ingress) && out.bytes[12..14] == [0x81, 0];
        let rest = behind_priorities(&out.bytes[if is_of_trunk { 16 } else { 12 }..]);
        let is_reply = rest[..10] == [8, 6, 0, 1, 8, 0, 6, 4, 0, 2];
        let is_advertisement = rest[..2] == [0x86, 0xdd] && rest[42..44] == [136, 0];
        assert!(is_reply || is_advertisement || is_too_big(rest), "only answers go back");
    }
    if out.port == U {
        let [0x81, 0, high, low, ..] = out.bytes[12..] else { panic!("no tag, and no native VLAN") };
        assert!([10, 30].contains(&u16::from_be_bytes([high, low])));
    }
    if out.port == T && ingress == C {
        let is_in_vlan = matches!(behind_priorities(&out.bytes[12..]), [0x81, 0, ..]);
        assert!(!is_in_vlan, "out of the native VLAN into another");
    }
    if uplinks.contains(&out.port) {
        let frames::Tunnelled { wrapping, inner, .. } = frames::unwrap(&out.bytes);
        assert!(inner.len() >= 14);
        let is_nvgre = matches!(wrapping, frames::Wrapping::Gre { key: Some(key) } if key >> 8 == 800);
        let is_tagged = matches!(inner[12..14], [0x81, 0] | [0x88, 0xa8]);
        assert!(!(is_nvgre && is_tagged), "a tag in NVGRE");
        let is_of_two = wrapping == frames::Wrapping::Gre { key: Some(200) };
        assert!(!is_of_two || ingress == C || !claims(&inner), "an address of {C:?} is claimed elsewhere");
    }
    if out.port == H && uplinks.contains(&ingress) {
        assert!(!matches!(out.bytes[12..14], [0x81, 0] | [0x88, 0xa8]), "a tag out of NVGRE");
    }
    assert!(out.port != C || ingress == C || !claims(&out.bytes), "its own address is claimed to {C:?}");
}

/// What follows the tags that say a priority alone.
fn behind_priorities(mut rest: &[u8]) -> &[u8] {
    while let [0x81, 0, high, 0, further @ ..] | [0x88, 0xa8, high, 0, further @ ..] = rest {
        if high & 0x0f != 0 {
            break;
        }
        rest = further;
    }
    rest
}

/// Whether a frame says by ARP or neighbour discovery that [`IP1`] or [`SIX1`] is with whoever sent it.
fn claims(frame: &[u8]) -> bool {
    match behind_priorities(&frame[12..]) {
        [8, 6, message @ ..] if message.len() >= 28 => {
            message[2..6] == [8, 0, 6, 4] && message[14..18] == IP1.octets()
        }
        [0x86, 0xdd, packet @ ..] if packet.len() >= 64 => {
            let length = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
            let is_icmp =
                packet[0] >> 4 == 6 && packet[6] == 58 && (24..=packet.len() - 40).contains(&length);
            let claimed = match packet[40] {
                133..=135 => &packet[8..24],
                136 | 137 => &packet[48..64],
                _ => &[],
            };
            is_icmp && claimed == SIX1.octets()
        }
        _ => false,
    }
}

/// Whether a frame, of which this is the part from its type on, says that a packet was too big.
fn is_too_big(rest: &[u8]) -> bool {
    match rest[..2] {
        [0x81, 0] | [0x88, 0xa8] => is_too_big(&rest[4..]),
        [8, 0] => rest[22..24] == [3, 4],
        _ => rest[42..44] == [2, 0],
    }
}

/// One frame: a shape, then changes to it.
fn frame(input: &mut Input<'_>) -> Vec<u8> {
    let shape = input.byte();
    let (source, destination) = (input.one_of(&MACS), input.one_of(&MACS));
    let inner = match shape >> 3 & 7 {
        0 => {
            let count = usize::from(input.short() % 512);
            input.bytes(count).to_vec()
        }
        1 => frames::udp(source, destination, usize::from(input.short()) % 1500),
        2 => frames::left_to_device(&frames::udp(source, destination, usize::from(input.byte()))),
        3 => frames::left_to_device(&frames::tcp(source, destination, &[3; 99])),
        4 => frames::left_to_device(&frames::tcp6(source, destination, &[3; 99])),
        5 => resolution(input, source, destination),
        6 => frames::tagged(source, destination, 50),
        _ => frames::opaque(source, destination, usize::from(input.byte())),
    };
    let inner = edited(input, inner);
    if shape & 0x40 != 0 {
        return frame_over_ipv6(input, shape, &inner);
    }
    let outer = match shape & 7 {
        kind if shape & 0x80 != 0 => optioned(input, kind, &inner),
        0 | 1 => return inner,
        2 | 3 => frames::vxlan(&inner),
        4 => frames::left_to_device(&frames::vxlan(&inner)),
        5 => frames::gre(Some(200), &inner),
        6 => frames::gre(None, &inner),
        _ => frames::gre(Some(u32::from(input.short())), &inner),
    };
    let outer = edited(input, outer);
    // Behind a wrong checksum nothing happens: usually it is right.
    let is_whole = outer.len() >= 34 && outer.len() >= 14 + usize::from(outer[14] & 15) * 4;
    if is_whole && input.byte() & 7 != 7 { frames::edit_ip(&outer, |_| ()) } else { outer }
}

/// A tunnel packet that has more than plain VXLAN and GRE.
fn optioned(input: &mut Input<'_>, kind: u8, inner: &[u8]) -> Vec<u8> {
    let number = input.byte();
    match kind {
        0 | 1 => frames::gre(Some(800 << 8 | u32::from(number)), inner),
        2 | 3 => {
            let gre = frames::gre_packet(Some(900), inner);
            frames::underlay(PEER, 17, &frames::datagram(4754, &gre))
        }
        4 => frames::underlay(PEER, 47, &frames::gre_with_checksum(inner, u16::from(number & 1))),
        5 => {
            let numbered = [&[0x30, 0, 0x65, 0x58, 0, 0, 0, 200, 0, 0, 0, number], inner].concat();
            frames::underlay(PEER, 47, &numbered)
        }
        _ => frames::edit(&frames::vxlan(inner), |frame| {
            frame[42 + usize::from(number >> 5)] |= 1 << (number & 7);
        }),
    }
}

/// A tunnel packet over IPv6 from either peer.
fn frame_over_ipv6(input: &mut Input<'_>, shape: u8, inner: &[u8]) -> Vec<u8> {
    let peer = input.one_of(&[PEER6, PEER6_2]);
    let is_vxlan = matches!(shape & 7, 0..4);
    let outer = match shape & 7 {
        0..3 => frames6::vxlan6_from(peer, 500, inner),
        3 => frames6::vxlan6_without_checksum(peer, 500, inner),
        4 | 5 => frames6::gre6(Some(600), inner),
        6 => frames6::gre6(None, inner),
        _ => frames6::gre6(Some(u32::from(input.short())), inner),
    };
    let outer = edited(input, outer);
    // As over IPv4: usually the checksum is right, or left to the device.
    let sum = [frames6::with_udp_checksum6, frames6::left_to_device6].get(usize::from(input.byte() & 3));
    match sum {
        Some(sum) if is_vxlan && outer.len() >= 62 => sum(&outer),
        _ => outer,
    }
}

fn edited(input: &mut Input<'_>, mut frame: Vec<u8>) -> Vec<u8> {
    let edits = input.byte();
    for _ in 0..edits & 7 {
        let at = usize::from(input.short()) % (frame.len() + 1);
        let value = input.byte();
        if let Some(byte) = frame.get_mut(at) {
            *byte = value;
        }
    }
    if edits & 0x80 != 0 {
        frame.truncate(usize::from(input.short()) % (frame.len() + 1));
    }
    frame.truncate(LONGEST);
    frame
}

/// ARP or neighbour discovery, as the first bit of the first byte says, behind as many priority tags as the next two say.
fn resolution(input: &mut Input<'_>, source: Mac, destination: Mac) -> Vec<u8> {
    let first = input.byte();
    let message =
        if first & 0x80 == 0 { arp(first & 3, input, source, destination) } else { nd(first, input, source) };
    (0..first >> 5 & 3).fold(message, |message, _| frames::with_tag(&message, 0xa000))
}

/// A message of neighbour discovery with up to three options, valid or not.
fn nd(first: u8, input: &mut Input<'_>, source: Mac) -> Vec<u8> {
    let message_type = if first & 1 == 0 { 135 } else { 136 };
    let (sender, target, flags) = (input.one_of(&SIX), input.one_of(&SIX), input.byte());
    let (group, mac) = frames::solicited_node(target);
    let all = (Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), Mac([0x33, 0x33, 0, 0, 0, 1]));
    let (to, to_mac) = input.one_of(&[(group, mac), (target, W9), all, (group, W9)]);
    let mut options = Vec::new();
    for _ in 0..first >> 1 & 3 {
        let (option_type, units) = (input.byte() & 15, input.byte() & 3);
        let room = [&input.one_of(&MACS).0[..], &[0; 18]].concat();
        options.extend([option_type, units]);
        options.extend(&room[..(usize::from(units) * 8).saturating_sub(2)]);
    }
    frames::nd(message_type, (source, to_mac), (sender, to), (flags, target), &options)
}

fn arp(operation: u8, input: &mut Input<'_>, source: Mac, destination: Mac) -> Vec<u8> {
    let (sender_mac, target_mac) = (input.one_of(&[source, W1, W2, W9]), input.one_of(&MACS));
    let (sender, target) = (input.one_of(&ADDRESSES), input.one_of(&ADDRESSES));
    let message = frames::arp(operation, destination, (sender_mac, sender), (target_mac, target));
    frames::edit(&message, |frame| frame[6..12].copy_from_slice(&source.0))
}

/// Messages of ARP and neighbour discovery: each answer must be due, and right.
pub(crate) fn proxy(data: &[u8]) {
    with_switch(|switch| proxy_with(switch, Input(data)));
}

fn proxy_with(switch: &mut Switch, mut input: Input<'_>) {
    while !input.0.is_empty() {
        let ingress = input.one_of(&[A, B, SMALL]);
        let (source, destination) = (input.one_of(&MACS), input.one_of(&MACS));
        let message = resolution(&mut input, source, destination);
        let mut message = edited(&mut input, message);
        // The message as it would be without priority tags.
        let (addresses, rest) = message.split_at(12.min(message.len()));
        let mut plain = [addresses, behind_priorities(rest)].concat();
        let tags = message.len() - plain.len();
        let is_nd = plain.get(12..14) == Some(&[0x86, 0xdd]);
        // Behind a wrong checksum nothing happens: usually it is right.
        if is_nd && plain.len() >= 58 && input.byte() & 7 != 7 {
            plain = frames::with_icmp6_checksum(plain);
            drop(message.splice(12 + tags.., plain[12..].iter().copied()));
        }
        let target_is_here = switch.place_of(DomainId(1), W9) == Some(Place::Port(ingress));
        let out = switch.receive_one(ingress, &message);
        for out in &out {
            check(ingress, out);
        }
        let answers: Vec<&Out> = out.iter().filter(|out| out.port == ingress).collect();
        assert!(answers.len() <= 1 && (answers.is_empty() || out.len() == 1));
        if let Some(answer) = answers.first() {
            assert!(!target_is_here);
            assert_eq!(
                answer.bytes[12..12 + tags],
                message[12..12 + tags],
                "with the priority of the question"
            );
            let answer = frames::edit(&answer.bytes, |bytes| drop(bytes.drain(12..12 + tags)));
            if is_nd {
                assert_advertisement(&plain, &answer);
            } else {
                assert_answer(&plain, &answer);
            }
        }
    }
}

/// Field by field: a broadcast request for a neighbour that is known, answered to its sender.
fn assert_answer(request: &[u8], answer: &[u8]) {
    assert_eq!(request.len(), answer.len());
    let [sender_mac, sender] = [&request[22..28], &request[28..32]];
    let target = &request[38..42];
    assert_eq!(request[..6], [0xff; 6]);
    assert_eq!(request[20..22], [0, 1]);
    assert_ne!(sender, [0; 4]);
    assert_ne!(sender, target);
    let known = if target == IP9.octets() { W9 } else { W1 };
    assert!(target == IP9.octets() || target == IP1.octets());
    assert_ne!(sender_mac, known.0);
    let expected =
        [sender_mac, &known.0, &request[12..20], &[0, 2], &known.0, target, sender_mac, sender].concat();
    assert_eq!(answer[..42], expected);
    assert_eq!(answer[42..], request[42..]);
}

/// Field by field: a solicitation of a neighbour that is known, sent to the target's group, advertised to its sender.
fn assert_advertisement(question: &[u8], answer: &[u8]) {
    let (sender, target) = (&question[22..38], &question[62..78]);
    assert_eq!((question[20], question[21], question[54], question[55]), (58, 255, 135, 0));
    assert_eq!(question[0] & 1, 1, "a unicast question is not ours");
    assert_eq!(question[38..51], [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]);
    assert_eq!(question[51..54], target[13..]);
    assert_ne!(sender, [0; 16], "duplicate address detection");
    assert_ne!(sender, target);
    let known = if target == SIX9.octets() { W9 } else { W1 };
    assert!(target == SIX9.octets() || target == SIX1.octets());
    let asker = source_option(&question[78..14 + 40 + usize::from(question[19])]);
    assert_ne!(asker, known.0);
    let expected = frames::nd(
        136,
        (known, Mac(asker)),
        (address_of(target), address_of(sender)),
        (0x60, address_of(target)),
        &frames::link_layer(2, known),
    );
    assert_eq!(answer, expected);
}

fn address_of(octets: &[u8]) -> Ipv6Addr {
    Ipv6Addr::from(<[u8; 16]>::try_from(octets).expect("sixteen bytes"))
}

/// The first source link-layer address of well-formed options.
fn source_option(mut options: &[u8]) -> [u8; 6] {
    while let [option_type, units, ..] = *options {
        if option_type == 1 {
            assert_eq!(units, 1);
            return options[2..8].try_into().expect("six bytes");
        }
        options = &options[usize::from(units) * 8..];
    }
    panic!("no source option");
}
