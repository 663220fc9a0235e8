//! The table by which the XDP program finds a device's port: open addressing by interface index, with probes as short
//! as the program's. Mirrors `ports` in steering.bpf.c.

use crate::Role;

/// Places in the table (`PORT_TABLE`).
pub(crate) const PLACES: u32 = 4096;
/// How far from its home an entry may be (`PROBES`).
const PROBES: u32 = 8;

/// An entry as the program reads it: `struct port`.
pub(crate) type Encoded = [u8; 8];

/// What is in the table.
pub(crate) struct PortTable {
    /// By place: interface index and slot.
    places: Vec<Option<(u32, u16)>>,
}

impl PortTable {
    pub(crate) fn new() -> Self {
        Self { places: vec![None; PLACES as usize] }
    }

    /// Whether a slot or a device is in the table.
    pub(crate) fn has(&self, slot: u16, ifindex: u32) -> bool {
        self.places.iter().flatten().any(|entry| entry.0 == ifindex || entry.1 == slot)
    }

    /// Finds a place for a device that is not in the table.
    pub(crate) fn insert(&mut self, slot: u16, ifindex: u32) -> Option<u32> {
        let place = (0..PROBES)
            .map(|probe| ifindex.wrapping_add(probe) % PLACES)
            .find(|place| self.places[*place as usize].is_none())?;
        self.places[place as usize] = Some((ifindex, slot));
        Some(place)
    }

    /// Takes a device out and says where it was.
    pub(crate) fn remove(&mut self, ifindex: u32) -> Option<u32> {
        let place = self.places.iter().position(|entry| entry.is_some_and(|entry| entry.0 == ifindex))?;
        self.places[place] = None;
        u32::try_from(place).ok()
    }
}

/// The entry of a port.
pub(crate) fn encode(slot: u16, ifindex: u32, role: Role) -> Encoded {
    let role: u16 = match role {
        Role::Uplink => 1,
        Role::Access => 2,
    };
    let mut entry = [0; 8];
    entry[..4].copy_from_slice(&ifindex.to_ne_bytes());
    entry[4..6].copy_from_slice(&slot.to_ne_bytes());
    entry[6..].copy_from_slice(&role.to_ne_bytes());
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_whose_indices_collide_find_places_until_the_probes_end() {
        let mut table = PortTable::new();
        let places: Vec<_> = (0..9).map(|n| table.insert(n, 5 + u32::from(n) * PLACES)).collect();
        assert_eq!(places[..8], (5..13).map(Some).collect::<Vec<_>>());
        assert_eq!(places[8], None);
        assert_eq!(table.remove(5 + 3 * PLACES), Some(8));
        assert!(!table.has(3, 5 + 3 * PLACES) && table.has(4, 0) && table.has(0, 5));
        assert_eq!(table.insert(9, 5 + 9 * PLACES), Some(8));
    }

    #[test]
    fn a_full_house_of_consecutive_indices_fits() {
        let mut table = PortTable::new();
        for slot in 0..crate::MAX_PORTS {
            assert_eq!(table.insert(slot, 3500 + u32::from(slot)), Some((3500 + u32::from(slot)) % PLACES));
        }
    }

    #[test]
    fn an_entry_is_laid_out_as_the_program_reads_it() {
        let mut expected = [0; 8];
        expected[..4].copy_from_slice(&77u32.to_ne_bytes());
        expected[4..6].copy_from_slice(&3u16.to_ne_bytes());
        expected[6..].copy_from_slice(&2u16.to_ne_bytes());
        assert_eq!(encode(3, 77, Role::Access), expected);
    }
}
