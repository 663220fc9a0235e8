//! What can only be seen from inside: how many buckets a lookup reads, and where entries sit.

use super::*;
use crate::ids::PortId;
use wire::Mac;

const HERE: Place = Place::Port(PortId(1));

fn learn(fdb: &Fdb, key: Key) -> Learned {
    fdb.learn(&fdb.probe(key), HERE, 1, None, |_| 300)
}

fn key(mac: u64) -> Key {
    Key::new(DomainId(7), Mac::from_u64(mac))
}

/// Buckets that a lookup of `key` reads.
fn probes(fdb: &Fdb, key: Key) -> usize {
    let hash = fdb.probe(key).hash;
    1 + usize::from(fdb.current.primary(hash).find(key, hash.tag()).is_none())
}

/// What a set of addresses costs: buckets read for all of those learned, and how many found no room.
fn cost(seed: [u64; 2], keys: &[Key]) -> (usize, usize) {
    let fdb = Fdb::new(keys.len(), seed);
    let full = keys.iter().filter(|key| learn(&fdb, **key) == Learned::Full).count();
    (keys.iter().map(|key| probes(&fdb, *key)).sum(), full)
}

/// A permutation of 64-bit numbers without structure (splitmix64).
fn scramble(number: u64) -> u64 {
    let a = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ a >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ b >> 31
}

#[test]
fn crafted_sets_cost_at_most_twice_a_random_one() {
    const COUNT: u64 = 1 << 12;
    let spread = |map: fn(u64) -> u64| (0..COUNT).map(map).map(key).collect::<Vec<_>>();
    let foreign = Fdb::new(COUNT as usize, [99, 100]);
    let in_one_bucket = (1..).map(scramble).map(key).filter(|key| {
        let hash = foreign.probe(*key).hash;
        hash.primary(255) == 0
    });
    let sets = [
        ("sequential", spread(|n| 0x0200_0000_0000 + n)),
        ("stride of a table", spread(|n| n << 12)),
        ("stride of four billion", spread(|n| n << 32)),
        ("high bits only", spread(|n| n << 36)),
        ("bits reversed", spread(|n| n.reverse_bits() >> 16)),
        ("multiples of an odd number", spread(|n| n.wrapping_mul(0x9e37_79b9_7f4b))),
        ("few bits set", spread(|n| 1 << (n % 48) | 1 << (n / 48 % 48) | 1 << (n / 2304))),
        ("one bucket under another seed", in_one_bucket.take(COUNT as usize).collect()),
    ];
    for round in 0..8 {
        let seed = [scramble(round), scramble(!round)];
        let random = (1..=COUNT).map(|n| key(scramble(n + round * COUNT))).collect::<Vec<_>>();
        let (usual, refused) = cost(seed, &random);
        assert_eq!(refused, 0);
        for (name, set) in &sets {
            let (probes, refused) = cost(seed, set);
            assert_eq!(refused, 0, "{name}, seed {seed:x?}");
            assert!(probes <= usual * 2 && probes <= usual + usual / 10, "{name}: {probes}, usually {usual}");
        }
    }
}

#[test]
fn the_promised_capacity_fits() {
    for (capacity, seed) in [(1, 1), (64, 2), (1000, 3), (1 << 16, 4), (1 << 16, 5)] {
        let fdb = Fdb::new(capacity, [seed, seed]);
        for number in 0..fdb.capacity() as u64 {
            assert_eq!(learn(&fdb, key(scramble(number + 1))), Learned::New, "{number} of {capacity}");
        }
        assert_eq!((fdb.len(), fdb.wants_growth()), (fdb.capacity(), false));
        assert_eq!(learn(&fdb, key(0)), Learned::New);
        assert!(fdb.wants_growth());
    }
}

/// Keys whose primary and secondary buckets in `fdb`'s table are these.
fn keys_at(fdb: &Fdb, primary: usize, secondary: usize) -> impl Iterator<Item = Key> + '_ {
    let mask = fdb.current.buckets().len() - 1;
    (1..).map(scramble).map(key).filter(move |key| {
        let hash = fdb.probe(*key).hash;
        (hash.primary(mask), hash.secondary(mask)) == (primary, secondary)
    })
}

#[test]
fn entries_make_room_by_going_to_their_secondary_bucket() {
    let fdb = Fdb::new(8, [5, 6]);
    assert_eq!(fdb.current.buckets().len(), 4);
    let displaceable: Vec<_> = keys_at(&fdb, 0, 3).take(4).collect();
    let crowd: Vec<_> = keys_at(&fdb, 1, 2).take(4).collect();
    for key in displaceable.iter().chain(&crowd) {
        assert_eq!((learn(&fdb, *key), probes(&fdb, *key)), (Learned::New, 1));
    }
    // Buckets 0 and 1 are full. Each of these displaces one.
    for key in keys_at(&fdb, 0, 1).take(4) {
        assert_eq!(learn(&fdb, key), Learned::New);
    }
    assert!(displaceable.iter().all(|key| probes(&fdb, *key) == 2));
    for key in displaceable.iter().chain(&crowd) {
        assert!(fdb.lookup(&fdb.probe(*key)).is_some());
    }
    // Buckets 0, 1 and 3 are full; the crowd of bucket 1 goes to bucket 2, then all is full.
    let more: Vec<_> = keys_at(&fdb, 0, 1).skip(4).take(5).collect();
    assert!(more[..4].iter().all(|key| learn(&fdb, *key) == Learned::New));
    assert_eq!((fdb.len(), fdb.wants_growth()), (16, true));
    assert_eq!(learn(&fdb, more[4]), Learned::Full);
    assert_eq!((fdb.len(), fdb.learned_at(HERE)), (16, 16));
}

#[test]
fn a_pinned_entry_evicts_the_longest_silent_learned_one_and_is_never_evicted() {
    let fdb = Fdb::new(4, [5, 6]);
    let keys: Vec<_> = keys_at(&fdb, 0, 1).take(9).collect();
    for (seen, key) in keys[..8].iter().enumerate() {
        let seen = (seen as u32 + 3) % 8;
        assert_eq!(fdb.learn(&fdb.probe(*key), HERE, seen, None, |_| 300), Learned::New);
    }
    assert_eq!(fdb.set(keys[8], HERE, Kind::Static, 9), Ok(None));
    // Seen at second 0: the sixth.
    let known = |key: &&Key| fdb.lookup(&fdb.probe(**key)).is_some();
    let (kept, gone): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(known);
    assert_eq!(gone, [&keys[5]]);
    for key in kept {
        assert!(matches!(fdb.set(*key, HERE, Kind::Static, 9), Ok(Some(_))));
    }
    assert_eq!(fdb.set(keys[5], HERE, Kind::Static, 9), Err(NeedsGrowth));
    assert_eq!((fdb.len(), fdb.learned_at(HERE), fdb.wants_growth()), (8, 0, true));
    assert!(keys.iter().filter(known).count() == 8);
}

#[test]
fn a_pinned_entry_displaces_another_pinned_one_if_that_finds_room() {
    let fdb = Fdb::new(8, [5, 6]);
    // Buckets 0 and 1 full of static entries; bucket 3 full of learned ones, bucket 2 unreachable from bucket 0.
    for key in keys_at(&fdb, 0, 3).take(4).chain(keys_at(&fdb, 1, 0).take(4)) {
        assert_eq!(fdb.set(key, HERE, Kind::Static, 1), Ok(None));
    }
    for key in keys_at(&fdb, 3, 2).take(4) {
        assert_eq!(fdb.set(key, HERE, Kind::Static, 1), Ok(None));
    }
    for key in keys_at(&fdb, 2, 3).take(4) {
        assert_eq!(learn(&fdb, key), Learned::New);
    }
    // Nothing in the way of this one can go: everything next to it is static.
    let refused = keys_at(&fdb, 0, 1).next();
    assert_eq!(refused.map(|key| fdb.set(key, HERE, Kind::Static, 2)), Some(Err(NeedsGrowth)));
    // With a learned entry in bucket 3 one of bucket 0 takes its place.
    let victim = keys_at(&fdb, 3, 2).next();
    assert!(victim.is_some_and(|key| fdb.set(key, HERE, Kind::Dynamic, 1).is_ok()));
    assert_eq!(refused.map(|key| fdb.set(key, HERE, Kind::Static, 2)), Some(Ok(None)));
    assert!(victim.is_some_and(|key| fdb.lookup(&fdb.probe(key)).is_none()));
    let mut found = 0;
    fdb.for_each(|_, entry| found += usize::from(entry.kind == Kind::Static));
    assert_eq!((found, fdb.len()), (12, 16));
}

#[test]
fn a_value_with_another_keys_tag_is_not_returned() {
    let fdb = Fdb::new(1, [5, 6]);
    let mine = key(1);
    let hash = fdb.probe(mine).hash;
    let slot = fdb.current.primary(hash).vacancy().into_iter().next();
    let foreign = Value::new(HERE, Kind::Static, 0, hash.tag() ^ 1);
    assert!(slot.is_some_and(|slot| {
        slot.fill(mine, foreign);
        slot.value() == foreign
    }));
    assert_eq!(fdb.lookup(&fdb.probe(mine)), None);
}
