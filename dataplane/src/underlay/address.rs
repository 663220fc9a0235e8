//! The host's own addresses.

use std::collections::HashMap;
use std::net::IpAddr;

use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};

/// An address of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The device that it is configured on.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
    /// Leading bits that the link's network shares.
    pub prefix_length: u8,
    /// IPv6 only: not usable, since duplicate address detection has not finished or has found a duplicate (RFC 4862).
    pub tentative: bool,
}

impl Address {
    fn from_message(message: &AddressMessage) -> Option<Self> {
        let (mut local, mut address, mut tentative) = (None, None, false);
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(value) => local = Some(*value),
                AddressAttribute::Address(value) => address = Some(*value),
                AddressAttribute::Flags(flags) => {
                    let unusable = AddressFlags::Tentative | AddressFlags::Dadfailed;
                    tentative = flags.intersects(unusable) && !flags.contains(AddressFlags::Optimistic);
                }
                _ => {}
            }
        }
        // On a point-to-point link the address attribute is the far end's.
        let address = local.or(address)?;
        let prefix_length = message.header.prefix_len;
        Some(Self { ifindex: message.header.index, address, prefix_length, tentative })
    }

    fn same_entry(&self, other: &Self) -> bool {
        self.ifindex == other.ifindex && self.prefix_length == other.prefix_length
    }
}

/// All addresses of the namespace.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// One address can be on several devices, and on one device with several prefix lengths.
    entries: HashMap<IpAddr, Vec<Address>>,
}

impl Addresses {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Address> {
        self.entries.values().flatten()
    }

    pub(super) fn of(&self, address: IpAddr) -> &[Address] {
        self.entries.get(&address).map_or(&[], Vec::as_slice)
    }

    /// Takes in a new or changed address; whether anything that we keep differs.
    pub(super) fn update(&mut self, message: &AddressMessage) -> bool {
        let Some(new) = Address::from_message(message) else { return false };
        let entries = self.entries.entry(new.address).or_default();
        match entries.iter_mut().find(|entry| entry.same_entry(&new)) {
            Some(entry) if *entry == new => false,
            Some(entry) => {
                *entry = new;
                true
            }
            None => {
                entries.push(new);
                true
            }
        }
    }

    /// Takes in a removal; whether we had it.
    pub(super) fn remove(&mut self, message: &AddressMessage) -> bool {
        Address::from_message(message)
            .is_some_and(|old| self.retain(|entry| entry.address != old.address || !entry.same_entry(&old)))
    }

    /// Forgets the addresses of a device that is gone; whether there were any.
    pub(super) fn remove_link(&mut self, ifindex: u32) -> bool {
        self.retain(|entry| entry.ifindex != ifindex)
    }

    fn retain(&mut self, keep: impl Fn(&Address) -> bool) -> bool {
        let mut removed = false;
        self.entries.retain(|_, entries| {
            let before = entries.len();
            entries.retain(&keep);
            removed |= entries.len() < before;
            !entries.is_empty()
        });
        removed
    }
}
