//! What the kernel says about a network device, by netlink: rtnetlink for the device, and the generic families `netdev`
//! (Documentation/netlink/specs/netdev.yaml) and `ethtool` (…/ethtool.yaml) for its XDP features and channels. Netlink
//! and not sysfs, because it speaks of the calling thread's network namespace.

use std::io;
use std::os::fd::AsRawFd;

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NLM_F_ACK, NLM_F_REQUEST, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable, Nla, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage, LinkXdp};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use netlink_sys::Socket;
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};

use crate::Error;

/// The device's name, or its index in words when it is gone.
pub(crate) fn name(ifindex: u32) -> String {
    link(ifindex).map_or_else(|_| format!("with index {ifindex}"), |link| link.name)
}

/// A device as rtnetlink describes it.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) is_veth: bool,
    /// Bytes of an IP packet at most.
    pub(crate) mtu: u32,
    /// Index of the device that it is tied to, in that one's namespace: of a veth the other end.
    pub(crate) other_end: Option<u32>,
    /// Which namespace that one is in, by the number that it has here; none for the same.
    pub(crate) other_namespace: Option<i32>,
    /// Frames that it took for transmission and dropped.
    pub(crate) tx_dropped: u64,
    /// Identifier of its XDP program.
    pub(crate) program: Option<u32>,
}

/// Asks rtnetlink for a device.
pub(crate) fn link(ifindex: u32) -> io::Result<Link> {
    let mut request = LinkMessage::default();
    request.header.index = ifindex;
    let replies = exchange(NETLINK_ROUTE, RouteNetlinkMessage::GetLink(request))?;
    let mut link = Link::default();
    for reply in replies {
        let RouteNetlinkMessage::NewLink(message) = reply else { continue };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Link(other) => link.other_end = Some(other),
                LinkAttribute::LinkNetNsId(id) => link.other_namespace = Some(id),
                LinkAttribute::LinkInfo(infos) => {
                    link.is_veth = infos.contains(&LinkInfo::Kind(InfoKind::Veth));
                }
                LinkAttribute::Stats64(stats) => link.tx_dropped = stats.tx_dropped,
                LinkAttribute::Xdp(facts) => {
                    link.program = facts.iter().find_map(|fact| match fact {
                        LinkXdp::ProgId(id) => Some(*id),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
    }
    Ok(link)
}

/// The number by which the calling thread's network namespace knows another one, if it has to do with it.
pub(crate) fn namespace_number(namespace: &impl AsRawFd) -> io::Result<Option<i32>> {
    let mut request = NsidMessage::default();
    request.attributes.push(NsidAttribute::Fd(namespace.as_raw_fd().cast_unsigned()));
    let replies = exchange(NETLINK_ROUTE, RouteNetlinkMessage::GetNsId(request))?;
    let number = replies.iter().find_map(|reply| match reply {
        RouteNetlinkMessage::NewNsId(message) => message.attributes.iter().find_map(|fact| match fact {
            NsidAttribute::Id(id) => Some(*id),
            _ => None,
        }),
        _ => None,
    });
    Ok(number.filter(|number| *number >= 0))
}

/// `enum netdev_xdp_act`: `ndo_xdp_xmit` is there and works now.
pub(crate) const XDP_FEATURE_TRANSMIT: u64 = 1 << 2;

/// XDP features of a device (`xdp-features` of the `netdev` family, Linux 6.3).
pub(crate) fn xdp_features(ifindex: u32) -> io::Result<u64> {
    const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
    device_attribute(ifindex, NETDEV_A_DEV_XDP_FEATURES).map(u64::from_ne_bytes)
}

/// An attribute of a device that the `netdev` family tells.
fn device_attribute<const N: usize>(ifindex: u32, kind: u16) -> io::Result<[u8; N]> {
    const NETDEV_CMD_DEV_GET: u8 = 1;
    const NETDEV_A_DEV_IFINDEX: u16 = 1;
    let family = family("netdev")
        .map_err(|_| io::Error::other("the kernel does not tell XDP features; Linux 6.3 does"))?;
    let request = Generic::request(family, NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, &ifindex.to_ne_bytes());
    let replies = exchange(NETLINK_GENERIC, request)?;
    let value = replies.iter().find_map(|reply| reply.attribute(kind));
    value.and_then(|value| value.try_into().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Chunks that a frame may have in zero-copy mode (`xdp-zc-max-segs` of the `netdev` family, Linux 6.6): more than one where
/// the driver has multi-buffer zero-copy, none told where it has no zero-copy at all.
pub(crate) fn zero_copy_segments(ifindex: u32) -> io::Result<u32> {
    const NETDEV_A_DEV_XDP_ZC_MAX_SEGS: u16 = 4;
    device_attribute(ifindex, NETDEV_A_DEV_XDP_ZC_MAX_SEGS).map(u32::from_ne_bytes)
}

/// Which device a request of the `ethtool` family is about.
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;

/// Whether a device's driver has zero-copy AF_XDP at all, as far as the kernel tells (Linux 6.3).
#[must_use]
pub fn offers_zero_copy(ifindex: u32) -> Option<bool> {
    /// `enum netdev_xdp_act`: AF_XDP in zero-copy mode.
    const XDP_FEATURE_ZERO_COPY: u64 = 1 << 3;
    xdp_features(ifindex).ok().map(|features| features & XDP_FEATURE_ZERO_COPY != 0)
}

/// Receive queues in use, by the channels that ethtool shows. Drivers without channels have one queue.
///
/// # Errors
///
/// [`Error::DeviceMissing`].
pub fn receive_queues(ifindex: u32) -> Result<u32, Error> {
    const ETHTOOL_MSG_CHANNELS_GET: u8 = 17;
    const ETHTOOL_A_CHANNELS_HEADER: u16 = 1;
    const ETHTOOL_A_CHANNELS_RX_COUNT: u16 = 6;
    const ETHTOOL_A_CHANNELS_COMBINED_COUNT: u16 = 9;
    known(ifindex, "counting its queues")?;
    let ask = || {
        let header = attribute(ETHTOOL_A_HEADER_DEV_INDEX, &ifindex.to_ne_bytes());
        let kind = ETHTOOL_A_CHANNELS_HEADER | NLA_F_NESTED;
        let request = Generic::request(family("ethtool")?, ETHTOOL_MSG_CHANNELS_GET, kind, &header);
        exchange(NETLINK_GENERIC, request)
    };
    // Refused by drivers that have no channels.
    let replies = ask().unwrap_or_default();
    let count = |kind| {
        let bytes = replies.iter().find_map(|reply| reply.attribute(kind));
        bytes.and_then(|bytes| bytes.as_slice().try_into().ok()).map_or(0, u32::from_ne_bytes)
    };
    Ok((count(ETHTOOL_A_CHANNELS_RX_COUNT) + count(ETHTOOL_A_CHANNELS_COMBINED_COUNT)).max(1))
}

/// Receive in polls and merged (`NETIF_F_GRO`).
pub(crate) const GRO: &str = "rx-gro";
/// VLAN tags that are left to the device on the way out, of IEEE 802.1Q and 802.1ad: they are beside the frame then.
pub(crate) const TAGS_LEFT: [&str; 2] = ["tx-vlan-hw-insert", "tx-vlan-stag-hw-insert"];
/// Checksums that are left to the device on the way out: those of TCP and UDP, however deep in a packet, and of SCTP.
pub(crate) const CHECKSUMS_LEFT: [&str; 2] = ["tx-checksum-ip-generic", "tx-checksum-sctp"];
/// VLAN tags that the device takes out of frames on the way in.
pub(crate) const TAGS_TAKEN: [&str; 2] = ["rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"];

const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;

/// Turns features on or off, by the names that `ethtool -k` has for single bits. What the device cannot change stays.
pub(crate) fn set_features(ifindex: u32, features: &[&str], on: bool) -> io::Result<()> {
    const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
    const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
    const ETHTOOL_A_BITSET_BIT_VALUE: u16 = 3;
    let mut bits = Vec::new();
    for feature in features {
        // A feature that is listed is to change: on with a value, off without.
        let mut bit = attribute(ETHTOOL_A_BITSET_BIT_NAME, &[feature.as_bytes(), &[0]].concat());
        if on {
            bit.append(&mut attribute(ETHTOOL_A_BITSET_BIT_VALUE, &[]));
        }
        bits.append(&mut attribute(ETHTOOL_A_BITSET_BITS_BIT | NLA_F_NESTED, &bit));
    }
    let wanted = attribute(ETHTOOL_A_BITSET_BITS | NLA_F_NESTED, &bits);
    let header = attribute(ETHTOOL_A_HEADER_DEV_INDEX, &ifindex.to_ne_bytes());
    let request = Generic {
        family: family("ethtool")?,
        command: ETHTOOL_MSG_FEATURES_SET,
        attributes: vec![
            DefaultNla::new(ETHTOOL_A_FEATURES_HEADER | NLA_F_NESTED, header),
            DefaultNla::new(ETHTOOL_A_FEATURES_WANTED | NLA_F_NESTED, wanted),
        ],
    };
    exchange(NETLINK_GENERIC, request).map(drop)
}

/// Which of these features are on.
pub(crate) fn active_features<'n>(ifindex: u32, features: &[&'n str]) -> io::Result<Vec<&'n str>> {
    const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
    const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
    let header = attribute(ETHTOOL_A_HEADER_DEV_INDEX, &ifindex.to_ne_bytes());
    let kind = ETHTOOL_A_FEATURES_HEADER | NLA_F_NESTED;
    let request = Generic::request(family("ethtool")?, ETHTOOL_MSG_FEATURES_GET, kind, &header);
    let replies = exchange(NETLINK_GENERIC, request)?;
    let active = replies.iter().find_map(|reply| reply.attribute(ETHTOOL_A_FEATURES_ACTIVE));
    let active = active.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    // Those that are on are listed, each by its name.
    let names: Vec<Vec<u8>> = inside(&active, ETHTOOL_A_BITSET_BITS)
        .flat_map(|bits| inside(&bits, ETHTOOL_A_BITSET_BITS_BIT).collect::<Vec<_>>())
        .flat_map(|bit| inside(&bit, ETHTOOL_A_BITSET_BIT_NAME).collect::<Vec<_>>())
        .collect();
    let is_on =
        |feature: &&str| names.iter().any(|name| name.strip_suffix(b"\0") == Some(feature.as_bytes()));
    Ok(features.iter().copied().filter(|feature| is_on(feature)).collect())
}

/// The values of the attributes of a kind in a nested one.
fn inside(nested: &[u8], kind: u16) -> impl Iterator<Item = Vec<u8>> {
    let attributes = NlasIterator::new(nested).map_while(Result::ok);
    attributes.filter(move |attribute| attribute.kind() == kind).map(|attribute| attribute.value().to_vec())
}

/// The bytes of one attribute.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let attribute = DefaultNla::new(kind, value.to_vec());
    let mut bytes = vec![0; attribute.buffer_len()];
    attribute.emit(&mut bytes);
    bytes
}

/// Frames that a device took for transmission and dropped, by its own count (for a veth: its peer's ring was full).
///
/// # Errors
///
/// [`Error::DeviceMissing`].
pub fn transmit_dropped(ifindex: u32) -> Result<u64, Error> {
    known(ifindex, "reading its counters").map(|link| link.tx_dropped)
}

/// Bytes of a device's longest IP packet, without its Ethernet header.
///
/// # Errors
///
/// [`Error::DeviceMissing`].
pub fn mtu(ifindex: u32) -> Result<u32, Error> {
    known(ifindex, "reading its MTU").map(|link| link.mtu)
}

/// The device, which must exist.
pub(crate) fn known(ifindex: u32, operation: &'static str) -> Result<Link, Error> {
    link(ifindex).map_err(|_| Error::DeviceMissing { device: format!("with index {ifindex}"), operation })
}

/// The number of a generic netlink family.
fn family(name: &str) -> io::Result<u16> {
    const GENL_ID_CTRL: u16 = 16;
    const CTRL_CMD_GETFAMILY: u8 = 3;
    const CTRL_ATTR_FAMILY_ID: u16 = 1;
    const CTRL_ATTR_FAMILY_NAME: u16 = 2;
    let mut terminated = name.as_bytes().to_vec();
    terminated.push(0);
    let request = Generic::request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, &terminated);
    let replies = exchange(NETLINK_GENERIC, request)?;
    let id = replies.iter().find_map(|reply| reply.attribute(CTRL_ATTR_FAMILY_ID));
    id.and_then(|bytes| bytes.as_slice().try_into().ok())
        .map(u16::from_ne_bytes)
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Sends one request and collects the replies up to its acknowledgement.
fn exchange<M>(protocol: isize, request: M) -> io::Result<Vec<M>>
where
    M: NetlinkSerializable + NetlinkDeserializable,
{
    let socket = Socket::new(protocol)?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut replies = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let reply = NetlinkMessage::<M>::deserialize(rest)
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            let len = (reply.header.length as usize).next_multiple_of(4).min(rest.len());
            match reply.payload {
                NetlinkPayload::Error(error) if error.code.is_none() => return Ok(replies),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(message) => replies.push(message),
                _ => {}
            }
            if len == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            rest = &rest[len..];
        }
    }
}

/// A generic netlink message: family, command, version, attributes.
struct Generic {
    family: u16,
    command: u8,
    attributes: Vec<DefaultNla>,
}

/// Bytes of `struct genlmsghdr`.
const GENERIC_HEADER: usize = 4;

impl Generic {
    /// A request with one attribute.
    fn request(family: u16, command: u8, kind: u16, value: &[u8]) -> Self {
        Self { family, command, attributes: vec![DefaultNla::new(kind, value.to_vec())] }
    }

    /// The value of the first attribute of a kind.
    fn attribute(&self, kind: u16) -> Option<Vec<u8>> {
        let found = self.attributes.iter().find(|attribute| attribute.kind() == kind)?;
        let mut value = vec![0; found.value_len()];
        found.emit_value(&mut value);
        Some(value)
    }
}

impl NetlinkSerializable for Generic {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        GENERIC_HEADER + self.attributes.as_slice().buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        const VERSION: u8 = 1;
        buffer[..GENERIC_HEADER].copy_from_slice(&[self.command, VERSION, 0, 0]);
        self.attributes.as_slice().emit(&mut buffer[GENERIC_HEADER..]);
    }
}

impl NetlinkDeserializable for Generic {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Self::Error> {
        let command = *payload.first().ok_or_else(|| DecodeError::from("no header"))?;
        let attributes = payload.get(GENERIC_HEADER..).unwrap_or_default();
        let attributes = NlasIterator::new(attributes)
            .map(|attribute| {
                attribute.map(|attribute| DefaultNla::new(attribute.kind(), attribute.value().to_vec()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { family: header.message_type, command, attributes })
    }
}
