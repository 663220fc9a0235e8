//! Trunk ports: which VLAN of a port is which bridge domain. Stands between the frames on a trunk's link, with their tags,
//! and what all other stages know, which is frames without them; access ports never come here.
//!
//! | frame from a trunk | is of | and becomes |
//! |---|---|---|
//! | 802.1Q tag of one of its VLANs | that VLAN's domain | the frame without the tag |
//! | 802.1Q tag of VLAN 0, which says a priority alone | the native VLAN's domain | the frame without the tag |
//! | no tag, or one of 802.1ad, as Linux's bridge has it | the native VLAN's domain | itself |
//! | tag of another VLAN; no tag, and no native VLAN | none: `VLAN_NOT_ALLOWED` | |
//!
//! On the way out the tag is put back, with priority 0, unless the VLAN is the native one. One tag is looked at; what
//! stands behind it is the domain's business ([`crate::tables::InnerTags`]), but for one thing: a frame that would leave in
//! the native VLAN and has an 802.1Q tag inside would be in that VLAN for whoever is behind the trunk, so it is dropped. Tags
//! of VLAN 0 before it, of either kind, are taken off there and do not protect it.

use std::collections::{BTreeMap, HashMap, HashSet};

use wire::Vlan;
use wire::ethernet::{self, EtherType, TAG_LENGTH, Tag};

use crate::consistency::Inconsistency;
use crate::description::Role;
use crate::frame::Frame;
use crate::ids::{DomainId, PortId};
use crate::limits::MAX_TRUNK_VLANS;
use crate::tables::{TablesParts, dense};
use crate::verdict::DropReason;

/// Bytes of both addresses, behind which a tag stands.
const ADDRESSES: usize = ethernet::offset::ETHERTYPE;

/// The VLANs of a trunk port as control describes them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trunk {
    /// The bridge domain of each VLAN. No domain may have two.
    pub vlans: BTreeMap<Vlan, DomainId>,
    /// The VLAN of untagged frames (PVID), one of the above; without it such frames are dropped.
    pub native: Option<Vlan>,
}

/// How frames of a domain leave a trunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    /// Not at all: the domain is none of the trunk's.
    Closed,
    /// As they are, in the native VLAN.
    Native,
    /// Tagged.
    Tagged(Vlan),
}

/// A [`Trunk`] in the shape in which it is looked up.
#[derive(Debug)]
pub(crate) struct Lanes {
    port: PortId,
    /// By VLAN identifier; zero, which is never allocated, for those that are not the trunk's. That of frames without a
    /// VLAN stands at 0.
    domains: Box<[DomainId]>,
    /// By domain.
    lanes: Box<[Lane]>,
}

impl Lanes {
    fn new(port: PortId, trunk: &Trunk) -> Self {
        let Trunk { vlans, native } = trunk;
        let last = vlans.last_key_value().map_or(0, |(vlan, _)| usize::from(vlan.value()));
        let mut domains = vec![DomainId(0); last + 1];
        let most = vlans.values().map(|domain| usize::from(domain.0)).max().unwrap_or_default();
        let mut lanes = vec![Lane::Closed; most + 1];
        for (vlan, domain) in vlans {
            let is_native = *native == Some(*vlan);
            if let Some(place) = domains.get_mut(usize::from(vlan.value())) {
                *place = *domain;
            }
            if let Some(place) = lanes.get_mut(usize::from(domain.0)) {
                *place = if is_native { Lane::Native } else { Lane::Tagged(*vlan) };
            }
            if let Some(place) = domains.first_mut().filter(|_| is_native) {
                *place = *domain;
            }
        }
        Self { port, domains: domains.into(), lanes: lanes.into() }
    }

    /// The domain of a frame from the trunk, whose tag is taken off.
    ///
    /// # Errors
    /// `FRAME_TOO_SHORT`, `VLAN_NOT_ALLOWED`; the frame is as it was.
    #[inline]
    pub(crate) fn admit(&self, frame: &mut Frame<'_>) -> Result<DomainId, DropReason> {
        let bytes = frame.bytes();
        let (header, length) = ethernet::Header::parse(bytes).map_err(|_| DropReason::FrameTooShort)?;
        if header.ethertype != EtherType::CUSTOMER_TAG {
            return self.domain(0);
        }
        let rest = bytes.get(length..).and_then(<[u8]>::first_chunk::<TAG_LENGTH>);
        let [c0, c1, ..] = *rest.ok_or(DropReason::FrameTooShort)?;
        let tag = Tag { protocol: header.ethertype, control: u16::from_be_bytes([c0, c1]) };
        let domain = self.domain(tag.vlan())?;
        take_off(frame).ok_or(DropReason::FrameTooShort)?;
        Ok(domain)
    }

    #[inline]
    fn domain(&self, vlan: u16) -> Result<DomainId, DropReason> {
        match self.domains.get(usize::from(vlan)) {
            Some(domain) if domain.0 != 0 => Ok(*domain),
            _ => Err(DropReason::VlanNotAllowed),
        }
    }

    /// How frames of a domain leave.
    #[inline]
    pub(crate) fn lane(&self, domain: DomainId) -> Lane {
        self.lanes.get(usize::from(domain.0)).copied().unwrap_or(Lane::Closed)
    }
}

/// Whether a frame, on a trunk's link, is in a VLAN that a tag of it names: the first one that names any.
#[inline]
pub(crate) fn has_vlan(frame: &[u8]) -> bool {
    let (tags, _) = frame.get(ADDRESSES..).unwrap_or_default().as_chunks::<TAG_LENGTH>();
    let first =
        tags.iter().map(|bytes| Tag::of_bytes(*bytes)).find(|tag| !tag.protocol.is_tag() || tag.vlan() != 0);
    first.is_some_and(|tag| tag.protocol == EtherType::CUSTOMER_TAG)
}

/// Takes the first tag off a frame: moves the addresses up to what follows it.
#[inline]
fn take_off(frame: &mut Frame<'_>) -> Option<()> {
    let moved = frame.bytes_mut().get_mut(..ADDRESSES + TAG_LENGTH)?;
    moved.copy_within(..ADDRESSES, TAG_LENGTH);
    frame.pull(TAG_LENGTH as u16)
}

/// Puts a tag into a frame: moves the addresses down, and writes it behind them.
///
/// # Errors
/// `NO_HEADROOM`.
#[inline]
pub(crate) fn put_on(frame: &mut Frame<'_>, vlan: Vlan) -> Result<(), DropReason> {
    let tag = Tag { protocol: EtherType::CUSTOMER_TAG, control: vlan.value() };
    frame.push::<TAG_LENGTH>().ok_or(DropReason::Headroom)?;
    let start = frame.bytes_mut().first_chunk_mut::<{ ADDRESSES + TAG_LENGTH }>();
    let start = start.ok_or(DropReason::FrameTooShort)?;
    start.copy_within(TAG_LENGTH.., 0);
    start[ADDRESSES..].copy_from_slice(&tag.to_bytes());
    Ok(())
}

/// All trunks.
#[derive(Debug)]
pub(crate) struct Trunks(Box<[Option<Lanes>]>);

impl Trunks {
    pub(crate) fn new(trunks: &BTreeMap<PortId, Trunk>) -> Self {
        let lanes = trunks.iter().map(|(port, trunk)| Lanes::new(*port, trunk)).collect();
        Self(dense(lanes, |lanes: &Lanes| usize::from(lanes.port.0)))
    }

    #[inline]
    pub(crate) fn get(&self, port: PortId) -> Option<&Lanes> {
        self.0.get(usize::from(port.0))?.as_ref()
    }
}

/// What contradicts something else.
pub(crate) fn check(parts: &TablesParts, faults: &mut Vec<Inconsistency>) {
    let roles: HashMap<PortId, Role> = parts.ports.iter().map(|port| (port.id, port.role)).collect();
    for (port, trunk) in &parts.trunks {
        if roles.get(port) != Some(&Role::Trunk) {
            faults.push(Inconsistency::TrunkRole(*port));
        }
        if trunk.vlans.len() > MAX_TRUNK_VLANS {
            faults.push(Inconsistency::TrunkVlans(*port, trunk.vlans.len()));
        }
        if let Some(native) = trunk.native
            && !trunk.vlans.contains_key(&native)
        {
            faults.push(Inconsistency::TrunkNative(*port, native));
        }
        let mut seen = HashSet::new();
        for domain in trunk.vlans.values() {
            if !seen.insert(*domain) {
                faults.push(Inconsistency::TrunkDomain(*port, *domain));
            }
        }
    }
    let trunks = parts.ports.iter().filter(|port| port.role == Role::Trunk);
    let lost = trunks.filter(|port| !parts.trunks.contains_key(&port.id));
    faults.extend(lost.map(|port| Inconsistency::TrunkRole(port.id)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUNK: PortId = PortId(7);
    const RED: DomainId = DomainId(3);
    const BLUE: DomainId = DomainId(1);

    fn vlan(value: u16) -> Vlan {
        Vlan::new(value).unwrap()
    }

    fn lanes(native: Option<u16>) -> Lanes {
        let vlans = [(vlan(10), RED), (vlan(4094), BLUE)].into();
        Lanes::new(TRUNK, &Trunk { vlans, native: native.map(vlan) })
    }

    /// A frame of these bytes behind 8 bytes of headroom, and what becomes of it.
    fn with<R>(bytes: &[u8], run: impl FnOnce(&mut Frame<'_>) -> R) -> (R, Vec<u8>) {
        let mut room = [&[0xee; 8], bytes].concat();
        let (mut head, mut len) = (8, bytes.len() as u16);
        let mut frame = Frame { room: &mut room, head: &mut head, len: &mut len };
        let result = run(&mut frame);
        (result, frame.bytes().to_vec())
    }

    const ADDRESSED: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

    fn frame(rest: &[u8]) -> Vec<u8> {
        [&ADDRESSED, rest].concat()
    }

    #[test]
    fn a_frame_is_of_the_vlan_that_its_tag_names() {
        let untagged = frame(&[0x88, 0xb5, 1, 2]);
        let tagged = |control: [u8; 2]| frame(&[&[0x81, 0], &control[..], &[0x88, 0xb5, 1, 2]].concat());
        let service = frame(&[0x88, 0xa8, 0, 10, 0x88, 0xb5]);
        let twice = frame(&[0x81, 0, 0, 10, 0x81, 0, 0, 99, 8, 0]);
        let refused = Err(DropReason::VlanNotAllowed);
        for (native, bytes, expected, left) in [
            (None, tagged([0x00, 10]), Ok(RED), untagged.clone()),
            (None, tagged([0xf0, 10]), Ok(RED), untagged.clone()),
            (None, tagged([0x0f, 0xfe]), Ok(BLUE), untagged.clone()),
            (None, twice, Ok(RED), frame(&[0x81, 0, 0, 99, 8, 0])),
            (None, tagged([0, 11]), refused, tagged([0, 11])),
            (None, tagged([0x0f, 0xff]), refused, tagged([0x0f, 0xff])),
            (None, tagged([0xe0, 0]), refused, tagged([0xe0, 0])),
            (None, untagged.clone(), refused, untagged.clone()),
            (None, service.clone(), refused, service.clone()),
            (Some(10), untagged.clone(), Ok(RED), untagged.clone()),
            (Some(10), service.clone(), Ok(RED), service),
            (Some(10), tagged([0xe0, 0]), Ok(RED), untagged.clone()),
            (Some(10), tagged([0, 10]), Ok(RED), untagged.clone()),
            (Some(4094), tagged([0, 0]), Ok(BLUE), untagged),
        ] {
            let lanes = lanes(native);
            assert_eq!(with(&bytes, |frame| lanes.admit(frame)), (expected, left), "{native:?} {bytes:x?}");
        }
        for short in [&ADDRESSED[..], &frame(&[0x81, 0, 0, 10, 8])[..], &[]] {
            let (result, left) = with(short, |frame| lanes(Some(10)).admit(frame));
            assert_eq!((result, left.as_slice()), (Err(DropReason::FrameTooShort), short));
        }
    }

    #[test]
    fn what_is_put_on_can_be_taken_off() {
        let bytes = frame(&[8, 0, 1, 2, 3]);
        let (result, tagged) = with(&bytes, |frame| put_on(frame, vlan(10)));
        assert_eq!((result, &tagged), (Ok(()), &frame(&[0x81, 0, 0, 10, 8, 0, 1, 2, 3])));
        assert_eq!(with(&tagged, |frame| lanes(None).admit(frame)), (Ok(RED), bytes));
        let (mut room, mut head, mut len) = ([0; 17], 3, 14);
        let mut cramped = Frame { room: &mut room, head: &mut head, len: &mut len };
        assert_eq!(put_on(&mut cramped, vlan(10)), Err(DropReason::Headroom));
        assert_eq!(with(&[0; 7], |frame| put_on(frame, vlan(10))).0, Err(DropReason::FrameTooShort));
    }

    #[test]
    fn a_vlan_is_found_behind_priorities() {
        const PRIORITY: [u8; 4] = [0x81, 0, 0xe0, 0];
        const SERVICE: [u8; 4] = [0x88, 0xa8, 0, 0];
        const VLAN: [u8; 4] = [0x81, 0, 0, 20];
        for (tags, expected) in [
            (&[][..], false),
            (&[VLAN], true),
            (&[PRIORITY], false),
            (&[PRIORITY, VLAN], true),
            (&[PRIORITY, PRIORITY, SERVICE, VLAN], true),
            (&[SERVICE, SERVICE], false),
            // A VLAN of another kind, in which whatever follows is.
            (&[[0x88, 0xa8, 0, 20], VLAN], false),
            (&[PRIORITY, [0x88, 0xa8, 0, 20], VLAN], false),
            // No tag, whatever the bytes behind it look like.
            (&[[8, 0, 0, 0], VLAN], false),
        ] {
            let bytes = frame(&[&tags.concat()[..], &[8, 0, 1, 2]].concat());
            assert_eq!(has_vlan(&bytes), expected, "{tags:x?}");
        }
        for cut in [&[][..], &ADDRESSED, &frame(&[0x81]), &frame(&[0x81, 0, 0, 0, 0x81, 0, 0])] {
            assert!(!has_vlan(cut), "{cut:x?}");
        }
    }

    #[test]
    fn frames_of_a_domain_leave_by_its_lane_alone() {
        let lanes = lanes(Some(10));
        assert_eq!(lanes.lane(RED), Lane::Native);
        assert_eq!(lanes.lane(BLUE), Lane::Tagged(vlan(4094)));
        for stranger in [DomainId(0), DomainId(2), DomainId(99)] {
            assert_eq!(lanes.lane(stranger), Lane::Closed);
        }
    }
}
