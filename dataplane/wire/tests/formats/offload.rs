//! Completion of checksums that a workload left to its device.

use proptest::prelude::*;
use wire::checksum::{Sum, complete_partial, sum_of_complete, sum_of_partial};
use wire::ip::Protocol;

use crate::frames::{Recipe, Upper, recipe};

/// The frame as the kernel hands it over: the pseudo-header's sum, not complemented, in the checksum field.
fn left_to_the_device(recipe: &Recipe, frame: &[u8]) -> Vec<u8> {
    let length = frame.len() - recipe.padding - recipe.upper_offset();
    let protocol = if recipe.upper == Upper::Tcp { Protocol::TCP } else { Protocol::UDP };
    let (v4, v6) = (&recipe.addresses[..8], &recipe.addresses[..]);
    let addresses = Sum::of(if recipe.is_ipv6 { v6 } else { v4 });
    let sum = addresses + Sum::of_u16(u16::from(protocol.0)) + Sum::of_u16(length.try_into().unwrap());
    let at = recipe.checksum_offset();
    let mut partial = frame.to_vec();
    partial[at..at + 2].copy_from_slice(&sum.fold().to_be_bytes());
    partial
}

proptest! {
    #[test]
    fn completes_exactly_what_is_partial(recipe in recipe()) {
        let whole = recipe.build();
        let mut frame = left_to_the_device(&recipe, &whole);
        let partial = frame.clone();
        let is_due = recipe.upper != Upper::Icmp && !recipe.is_fragment;
        prop_assert_eq!(complete_partial(&mut frame), is_due);
        prop_assert_eq!(&frame, if is_due { &whole } else { &partial });
    }

    #[test]
    fn a_complete_frame_stays_as_it_is(recipe in recipe()) {
        let whole = recipe.build();
        let mut frame = whole.clone();
        complete_partial(&mut frame);
        prop_assert_eq!(frame, whole);
    }

    #[test]
    fn headers_tell_the_sum_of_a_complete_frame(recipe in recipe()) {
        let whole = recipe.build();
        let partial = left_to_the_device(&recipe, &whole);
        let is_known = recipe.upper != Upper::Icmp && !recipe.is_fragment && recipe.padding == 0;
        let sum = is_known.then(|| Sum::of(&whole).fold());
        prop_assert_eq!(sum_of_complete(&whole).map(Sum::fold), sum);
        prop_assert_eq!(sum_of_partial(&partial).map(Sum::fold), sum);
    }

    #[test]
    fn a_truncated_frame_stays_as_it_is(recipe in recipe()) {
        let partial = left_to_the_device(&recipe, &recipe.build());
        for length in 0..partial.len() - recipe.padding {
            let mut frame = partial[..length].to_vec();
            prop_assert!(!complete_partial(&mut frame));
            prop_assert_eq!(&frame, &partial[..length]);
        }
    }
}

fn udp(is_ipv6: bool) -> Recipe {
    Recipe {
        tags: 0,
        is_ipv6,
        has_options: false,
        is_fragment: false,
        upper: Upper::Udp,
        addresses: [7; 32],
        ports: (1000, 2000),
        payload: vec![0; 4],
        padding: 14,
    }
}

#[test]
fn a_checksum_that_was_right_by_chance_stays_right() {
    for is_ipv6 in [false, true] {
        let mut recipe = udp(is_ipv6);
        // Choose the payload so that the right checksum is the pseudo-header's sum.
        let at = recipe.checksum_offset();
        let partial = left_to_the_device(&recipe, &recipe.build());
        let wanted = u16::from_be_bytes([partial[at], partial[at + 1]]);
        let whole = recipe.build();
        let checksum = u16::from_be_bytes([whole[at], whole[at + 1]]);
        let word = (Sum::of_u16(checksum) + Sum::of_u16(!wanted)).fold();
        recipe.payload[..2].copy_from_slice(&word.to_be_bytes());
        let whole = recipe.build();
        assert_eq!(whole, left_to_the_device(&recipe, &whole), "the payload makes the two the same");
        let mut frame = whole.clone();
        assert!(complete_partial(&mut frame), "it looks partial");
        assert_eq!(frame, whole);
    }
}

#[test]
fn a_udp_checksum_that_comes_out_as_zero_is_sent_as_all_ones() {
    let mut recipe = udp(false);
    let at = recipe.checksum_offset();
    let whole = recipe.build();
    let checksum = [whole[at], whole[at + 1]];
    recipe.payload[..2].copy_from_slice(&checksum);
    let mut frame = left_to_the_device(&recipe, &recipe.build());
    assert!(complete_partial(&mut frame));
    assert_eq!(frame[at..at + 2], [0xff, 0xff]);
}

#[test]
fn an_absent_udp_checksum_stays_absent() {
    let recipe = udp(false);
    let mut frame = recipe.build();
    let at = recipe.checksum_offset();
    frame[at..at + 2].fill(0);
    let before = frame.clone();
    assert!(!complete_partial(&mut frame));
    assert_eq!(frame, before);
}

/// Neither arithmetic can know what a checksum that is not there would have covered.
#[test]
fn headers_tell_nothing_without_a_checksum() {
    let mut recipe = udp(false);
    recipe.padding = 0;
    let mut frame = recipe.build();
    assert!(sum_of_complete(&frame).is_some());
    assert!(sum_of_partial(&frame).is_none(), "it is complete");
    let at = recipe.checksum_offset();
    frame[at..at + 2].fill(0);
    assert!(sum_of_complete(&frame).is_none());
}

#[test]
fn a_datagram_shorter_than_its_packet_is_summed_by_its_own_length() {
    let recipe = udp(false);
    let mut frame = recipe.build();
    // The padding becomes part of the packet, not of the datagram.
    let length = u16::try_from(frame.len() - recipe.network_offset()).unwrap();
    frame[16..18].copy_from_slice(&length.to_be_bytes());
    let whole = frame.clone();
    let mut frame = left_to_the_device(&recipe, &frame);
    assert!(complete_partial(&mut frame));
    assert_eq!(frame, whole);
}

#[test]
fn a_source_routed_packet_stays_as_it_is() {
    // The kernel sums the final destination, which is not the header's.
    let payload = [[17, 2, 4, 1, 0, 0, 0, 0].as_slice(), &[7; 16], &[3, 232, 7, 208, 0, 8]].concat();
    let mut frame = udp(true).build();
    frame.truncate(54);
    frame[18..20].copy_from_slice(&[0, 32]);
    frame[20] = Protocol::ROUTING.0;
    frame.extend(payload);
    let sum = Sum::of(&[7; 32]) + Sum::of_u16(17) + Sum::of_u16(8);
    frame.extend(sum.fold().to_be_bytes());
    let before = frame.clone();
    assert!(!complete_partial(&mut frame));
    assert_eq!(frame, before);
    // With nothing left to visit it is like any other.
    frame[57] = 0;
    assert!(complete_partial(&mut frame));
}
