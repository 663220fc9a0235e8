//! Every parser and every rewriter on the same arbitrary bytes, with what must hold whatever the bytes are. The
//! property tests and the fuzz target both run it.

use std::net::{Ipv4Addr, Ipv6Addr};

use wire::checksum::{Sum, complete_partial};
use wire::icmp::v4::FragmentationNeeded;
use wire::icmp::v6::PacketTooBig;
use wire::{Mac, Result, arp, bfd, ethernet, gre, icmp, ipv4, ipv6, ndp, tcp, udp, vxlan};

/// Room for any error message.
const ROOM: usize = 1280;

/// Runs everything.
///
/// # Panics
/// If anything does not hold.
pub(crate) fn exercise(bytes: &[u8]) {
    link_layer(bytes);
    network_layer(bytes);
    transport_layer(bytes);
    tunnels(bytes);
    sessions(bytes);
    neighbours(bytes);
    errors(bytes);
    sums(bytes);
    completion(bytes);
}

/// What a parser found lies within the bytes, and its value survives being written and read again.
fn survives<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    parsed: Result<(T, usize)>,
    emit: impl Fn(&T, &mut [u8]) -> Result<usize>,
    parse: impl Fn(&[u8]) -> Result<(T, usize)>,
) {
    let Ok((value, length)) = parsed else { return };
    assert!(length <= bytes.len());
    let mut written = vec![0; bytes.len().max(ndp::MAX_LENGTH.max(ipv6::LENGTH))];
    let emitted = emit(&value, &mut written).expect("there is room");
    assert!(emitted <= length, "options may be left out, but nothing is added");
    assert!(emit(&value, &mut written[..emitted - 1]).is_err());
    // Lengths that reach beyond the header need the bytes to be there.
    written[emitted..].fill(0);
    let (again, _) = parse(&written).expect("what was written can be read");
    assert_eq!(again, value);
}

fn sessions(bytes: &[u8]) {
    survives(bytes, bfd::Control::parse(bytes), bfd::Control::emit, bfd::Control::parse);
    survives(bytes, bfd::Echo::parse(bytes), bfd::Echo::emit, bfd::Echo::parse);
}

fn link_layer(bytes: &[u8]) {
    survives(bytes, ethernet::Header::parse(bytes), ethernet::Header::emit, ethernet::Header::parse);
    survives(bytes, arp::Message::parse(bytes), arp::Message::emit, arp::Message::parse);
    let Ok(payload) = ethernet::payload(bytes) else { return };
    assert!(payload.offset <= bytes.len());
    assert_eq!(payload.tag.is_some(), payload.offset > ethernet::LENGTH);
    let mut reply = bytes.to_vec();
    for offset in [payload.offset, 0, 11, bytes.len(), usize::MAX] {
        if arp::reply_in_place(&mut reply, offset, Mac([2, 0, 0, 0, 0, 1])).is_err() {
            assert_eq!(reply, bytes);
        }
        assert_eq!(reply.len(), bytes.len());
        reply.copy_from_slice(bytes);
    }
}

fn network_layer(bytes: &[u8]) {
    survives(bytes, ipv4::Header::parse(bytes), ipv4::Header::emit, ipv4::Header::parse);
    survives(bytes, ipv4::Header::parse_quoted(bytes), ipv4::Header::emit, ipv4::Header::parse_quoted);
    survives(bytes, ipv6::Header::parse(bytes), ipv6::Header::emit, ipv6::Header::parse);
    survives(bytes, ipv6::Header::parse_quoted(bytes), ipv6::Header::emit, ipv6::Header::parse_quoted);
    let _ = ipv4::checksum_is_valid(bytes);
    if let Ok((header, _)) = ipv6::Header::parse_quoted(bytes)
        && let Ok(upper) = header.upper_layer(bytes)
    {
        assert!(upper.offset <= bytes.len());
        assert!(upper.offset <= header.end());
        assert!(upper.has_upper_header() || upper.is_fragment());
    }
}

fn transport_layer(bytes: &[u8]) {
    survives(bytes, udp::Header::parse(bytes), udp::Header::emit, udp::Header::parse);
    survives(bytes, tcp::Header::parse(bytes), tcp::Header::emit, tcp::Header::parse);
    let mut end = tcp::LENGTH;
    for option in tcp::options(bytes) {
        assert!(option.offset >= end + 2);
        end = option.offset + option.value.len();
        assert_eq!(&bytes[option.offset..end], option.value);
    }
    let mut clamped = bytes.to_vec();
    if tcp::clamp_maximum_segment_size(&mut clamped, 1200) {
        let (_, length) = tcp::Header::parse(bytes).expect("it was clamped");
        let (at, _) = tcp::maximum_segment_size(&bytes[..length]).expect("it was clamped");
        assert_eq!(tcp::maximum_segment_size(&clamped[..length]), Some((at, 1200)));
        // The sum over the segment, right or wrong as it was, is the same as before.
        assert_eq!(Sum::of(&clamped).fold() % 0xffff, Sum::of(bytes).fold() % 0xffff);
    } else {
        assert_eq!(clamped, bytes);
    }
}

fn tunnels(bytes: &[u8]) {
    survives(bytes, vxlan::Header::parse(bytes), vxlan::Header::emit, vxlan::Header::parse);
    survives(bytes, gre::Header::parse(bytes), gre::Header::emit, gre::Header::parse);
    let mut packet = bytes.to_vec();
    gre::fill_checksum(&mut packet);
    if bytes.len() >= 8 {
        assert!(gre::checksum_is_valid(&packet));
    }
}

fn neighbours(bytes: &[u8]) {
    survives(bytes, ndp::Solicitation::parse(bytes), ndp::Solicitation::emit, |bytes| {
        ndp::Solicitation::parse(&bytes[..ndp::MAX_LENGTH])
            .or(ndp::Solicitation::parse(&bytes[..ndp::LENGTH]))
    });
    survives(bytes, ndp::Advertisement::parse(bytes), ndp::Advertisement::emit, |bytes| {
        ndp::Advertisement::parse(&bytes[..ndp::MAX_LENGTH])
            .or(ndp::Advertisement::parse(&bytes[..ndp::LENGTH]))
    });
    let options = ndp::options(bytes).map_while(Result::ok);
    assert!(options.map(|option| option.value.len() + 2).sum::<usize>() <= bytes.len());
    assert!(ndp::options(bytes).skip_while(Result::is_ok).count() <= 1, "an error is the end");
    if let Ok((header, length)) = ipv6::Header::parse(bytes) {
        let _ = ndp::validate(&header, &bytes[length..]);
    }
}

fn errors(bytes: &[u8]) {
    survives(bytes, icmp::Header::parse(bytes), icmp::Header::emit, icmp::Header::parse);
    let mut room = [0; ROOM];
    let (us, them) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let error = FragmentationNeeded { mtu: 1400, packet: bytes };
    let length = error.emit_packet(us, them, &mut room).expect("there is room");
    let (header, start) = ipv4::Header::parse(&room[..length]).expect("it is a packet");
    assert!(length <= 576 && usize::from(header.total_length) == length);
    assert!(ipv4::checksum_is_valid(&room[..start]));
    assert!(icmp::v4::checksum_is_valid(&room[start..length]));
    assert!(!icmp::v4::error_is_allowed(&room[..length]), "no error about an error");
    let (read, _) = FragmentationNeeded::parse(&room[start..length]).expect("it was written");
    assert_eq!(read.mtu, 1400);
    assert!(bytes.starts_with(read.packet));

    let (us, them) = (Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    let error = PacketTooBig { mtu: 1400, packet: bytes };
    let length = error.emit_packet(us, them, &mut room).expect("there is room");
    let (header, start) = ipv6::Header::parse(&room[..length]).expect("it is a packet");
    assert!(length <= 1280 && header.end() == length);
    assert!(icmp::v6::checksum_is_valid(us, them, &room[start..length]));
    assert!(!icmp::v6::error_is_allowed(&room[..length]), "no error about an error");
    let (read, _) = PacketTooBig::parse(&room[start..length]).expect("it was written");
    assert_eq!(read.mtu, 1400);
    assert!(bytes.starts_with(read.packet));

    let _ = (FragmentationNeeded::parse(bytes), PacketTooBig::parse(bytes));
    let _ = (icmp::v4::error_is_allowed(bytes), icmp::v6::error_is_allowed(bytes));
}

/// The sum as RFC 1071 defines it, word by word.
fn plain_sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    words.fold(0, |sum, word| {
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}

fn sums(bytes: &[u8]) {
    assert_eq!(Sum::of(bytes).fold(), plain_sum(bytes));
    let half = bytes.len() / 4 * 2;
    assert_eq!((Sum::of(&bytes[..half]) + Sum::of(&bytes[half..])).fold(), plain_sum(bytes));
}

fn completion(bytes: &[u8]) {
    let mut completed = bytes.to_vec();
    if !complete_partial(&mut completed) {
        assert_eq!(completed, bytes);
        return;
    }
    let changed: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] != completed[*at]).collect();
    assert!(changed.last().unwrap_or(&0) - changed.first().unwrap_or(&0) <= 1, "only the checksum changes");
    let once = completed.clone();
    complete_partial(&mut completed);
    assert_eq!(completed, once, "a complete checksum stays as it is");
}
