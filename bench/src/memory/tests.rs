//! That what is measured is what it is called.

use forward::fdb::Fdb;
use forward::limits::BATCH;

use super::{
    Batch, Dash, Database, Lane, Locked, Mix, Overlay, Papaya, Prefetched, REMOTES, Traffic, keys, strangers,
};

const ENTRIES: usize = 1000;

/// Takes four batches of a mix through, and tells received, copied, transmitted and answered frames.
fn taken(mix: Mix) -> [u64; 4] {
    let overlay = Overlay::new(ENTRIES, REMOTES);
    let (mut lane, mut traffic) = (Lane::new(4), Traffic::new(&overlay, mix, 1));
    lane.load(&mut traffic);
    lane.run(&overlay);
    let left = lane.drain() as u64;
    let counts = lane.counts();
    assert_eq!((counts.balance(), counts.dropped(), counts.transmitted.frames), (0, 0, left));
    assert_eq!(overlay.tables.fdb().len(), ENTRIES, "everybody was known before");
    [counts.received.frames, counts.copies, counts.transmitted.frames, counts.proxied]
}

#[test]
fn unicast_is_forwarded_and_arp_answered() {
    let frames = 4 * BATCH as u64;
    assert_eq!(taken(Mix::Encapsulate), [frames, 0, frames, 0]);
    assert_eq!(taken(Mix::Decapsulate), [frames, 0, frames, 0]);
    assert_eq!(taken(Mix::Arp), [frames, 0, frames, frames]);
}

#[test]
fn broadcasts_go_to_every_remote_and_to_the_other_port() {
    let frames = 4 * BATCH as u64;
    let copies = frames * u64::from(REMOTES);
    assert_eq!(taken(Mix::Flood), [frames, copies, frames + copies, 0]);
    let [received, copied, transmitted, answered] = taken(Mix::Mixed);
    assert!(copied > 0 && answered > 0 && answered < 32);
    assert_eq!((received, transmitted), (frames, frames + copied));
}

#[test]
fn every_stage_takes_every_frame_again_and_again() {
    let overlay = Overlay::new(ENTRIES, REMOTES);
    let mut plain = Batch::new(&overlay, Mix::Encapsulate);
    let mut wrapped = Batch::new(&overlay, Mix::Decapsulate);
    let mut requests = Batch::new(&overlay, Mix::Arp);
    for _ in 0..3 {
        assert_eq!((plain.parse(), plain.parse_by_etherparse()), (BATCH, BATCH));
        assert_eq!(plain.encapsulate(&overlay), BATCH);
        assert_eq!(wrapped.decapsulate(&overlay), BATCH);
        assert_eq!(requests.answer(&overlay), BATCH);
    }
}

#[test]
fn databases_find_what_they_learned_and_nothing_else() {
    fn check<D: Database>() {
        let database = D::with_capacity(ENTRIES);
        let (keys, strangers) = (keys(ENTRIES), strangers(ENTRIES));
        database.learn(&keys);
        let found = |keys: &[_]| keys.chunks(BATCH).map(|keys| database.lookup(keys)).sum::<usize>();
        assert_eq!((found(&keys), found(&strangers)), (ENTRIES, 0));
        database.remove(keys[0].0);
        assert_eq!(found(&keys), ENTRIES - 1);
    }
    check::<Fdb>();
    check::<Prefetched>();
    check::<Papaya>();
    check::<Dash>();
    check::<Locked>();
}
