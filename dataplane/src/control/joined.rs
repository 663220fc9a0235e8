//! Underlay multicast groups as flood targets: the kernel joins them on the uplink, by IGMP or MLD, and the remote that
//! stands for one leads to the Ethernet address that follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;

use forward::flood::StormLimit;
use forward::tables::{Path, Remote};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};
use wire::Mac;

use super::state::State;
use crate::config::{RemoteConfig, VniConfig};

/// The sockets that hold the memberships, by group and device; a socket that is closed leaves.
#[derive(Debug, Default)]
pub(super) struct Joined {
    sockets: BTreeMap<(IpAddr, u32), OwnedFd>,
    /// What the kernel refused, so that it is said once.
    refused: BTreeSet<(IpAddr, u32)>,
}

impl State {
    /// Joins every configured group on the device of its uplink, and leaves all others.
    pub(super) fn join_groups(&mut self) {
        let vnis = self.config.vnis.iter();
        let wanted: BTreeSet<(IpAddr, u32)> =
            vnis.filter_map(|vni| Some((vni.mcast_group?, self.group_device(vni)?))).collect();
        let Joined { sockets, refused } = &mut self.joined;
        sockets.retain(|membership, _| wanted.contains(membership));
        refused.retain(|membership| wanted.contains(membership));
        for membership in wanted {
            if sockets.contains_key(&membership) {
                continue;
            }
            let (group, ifindex) = membership;
            match join(group, ifindex) {
                Ok(socket) => {
                    tracing::info!(%group, ifindex, "multicast group joined");
                    sockets.insert(membership, socket);
                    refused.remove(&membership);
                }
                Err(error) => {
                    if refused.insert(membership) {
                        tracing::warn!(%group, ifindex, %error, "multicast group not joined; trying again");
                    }
                }
            }
        }
    }

    /// Whether a group still waits to be joined.
    pub(super) fn waits_to_join(&self) -> bool {
        !self.joined.refused.is_empty()
    }

    /// The device of the uplink that has our address towards a VNI's group.
    fn group_device(&self, vni: &VniConfig) -> Option<u32> {
        let local = vni.local.towards(vni.mcast_group?)?;
        let holders = self.underlay.address(local).iter().map(|address| address.ifindex);
        let mut candidates = holders.filter(|ifindex| self.uplink(*ifindex).is_some());
        candidates.next()
    }

    /// The remote that stands for a VNI's group. Packets come from its members, never from itself.
    pub(super) fn mcast_group_row(&self, vni: &VniConfig) -> Option<Remote> {
        let group = vni.mcast_group?;
        let local = vni.local.towards(group)?;
        let uplink = self.group_device(vni).and_then(|ifindex| self.uplink(ifindex));
        Some(Remote {
            id: self.remote_id(vni.vni, group)?,
            domain: self.domain_id(vni.vni)?,
            encapsulation: vni.encapsulation.on_wire(vni.vni),
            local,
            address: group,
            marking: vni.marking,
            udp_checksum: vni.udp_checksum.unwrap_or(group.is_ipv6()),
            options: self.tunnel_options(vni, &RemoteConfig::new(vni.vni, group)),
            path: uplink.map_or(Path::NoRoute, |(uplink, source)| Path::Resolved {
                uplink,
                source,
                next_hop: ethernet_address(group),
                mtu: u16::MAX,
            }),
            storm_limit: StormLimit::NONE,
        })
    }
}

/// The Ethernet address of a group (RFC 1112 section 6.4, RFC 2464 section 7).
fn ethernet_address(group: IpAddr) -> Mac {
    match group {
        IpAddr::V4(group) => {
            let [_, b, c, d] = group.octets();
            Mac([0x01, 0x00, 0x5e, b & 0x7f, c, d])
        }
        IpAddr::V6(group) => {
            let [.., a, b, c, d] = group.octets();
            Mac([0x33, 0x33, a, b, c, d])
        }
    }
}

/// Joins a group on a device. The socket receives nothing: the XDP program takes what comes to the group.
fn join(group: IpAddr, ifindex: u32) -> io::Result<OwnedFd> {
    let family = if group.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    match group {
        IpAddr::V4(group) => {
            sockopt::set_ip_add_membership_with_ifindex(&socket, &group, &Ipv4Addr::UNSPECIFIED, ifindex)?;
        }
        IpAddr::V6(group) => sockopt::set_ipv6_add_membership(&socket, &group, ifindex)?,
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_addresses_of_groups() {
        assert_eq!(
            ethernet_address([239, 129, 2, 3].into()),
            "01:00:5e:01:02:03".parse().unwrap(),
            "23 bits of the group"
        );
        assert_eq!(ethernet_address("ff05::1:2".parse().unwrap()), "33:33:00:01:00:02".parse().unwrap());
    }
}
