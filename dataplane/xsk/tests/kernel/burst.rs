//! Frames that leave in bursts.

use std::sync::atomic::{AtomicU32, Ordering};

use xsk::{Burst, Chunk, LinkMode, MAX_BURST, PortReport, Role, Steering, SteeringConfig, Unsuitable};

use crate::lab::{Namespace, veth, wait_for};
use crate::packets::{number, numbered};
use crate::raw::{Raw, under_signals};
use crate::sockets::{assert_complete, load, open, write};

/// Pushes numbered frames for a port.
fn push(
    steering: &Steering,
    burst: &mut Burst,
    slot: u16,
    numbers: std::ops::Range<u32>,
    free: &mut Vec<Chunk>,
) {
    for n in numbers {
        let chunk = write(steering, free.pop().unwrap(), &numbered(n, 60 + n as usize % 1400));
        burst.push(slot, chunk).unwrap();
    }
}

/// The report of one port, which must be the only one.
fn flush(burst: &mut Burst, free: &mut Vec<Chunk>) -> PortReport {
    let report = burst.flush(free);
    assert!(report.refusal.is_none(), "{report:?}");
    assert_eq!(report.ports.len(), 1, "{report:?}");
    report.ports[0]
}

fn sent(slot: u16, sent: u32) -> PortReport {
    PortReport { slot, sent, ..PortReport::default() }
}

#[test]
fn a_burst_to_several_ports_arrives_whole_and_in_order() {
    let (here, there) = (Namespace::new(), Namespace::new());
    for (near, far) in [("one", "far-one"), ("two", "far-two")] {
        veth(&here, near, &there, far, 1);
        there.run(&["ethtool", "-K", far, "gro", "on"]);
    }
    let far = there.within(|| ["far-one", "far-two"].map(|device| Raw::open(there.ifindex(device))));
    here.within(|| {
        let (steering, mut free) = load();
        assert_eq!(steering.uncounted_drops(), None);
        let _a = open(&steering, 7, here.ifindex("one"), 1, &mut free).0;
        let _b = open(&steering, 1000, here.ifindex("two"), 1, &mut free).0;
        for device in ["one", "two"] {
            assert_eq!(steering.probe_burst(here.ifindex(device)), Ok(()));
        }
        // Several workers, from threads that are not pinned.
        let mut bursts: Vec<Burst> = [0, 1, 63].map(|worker| steering.burst(worker).unwrap()).into();
        let before = free.len();
        for burst in &mut bursts {
            for n in 0..128 {
                push(&steering, burst, 1000, n..n + 1, &mut free);
                push(&steering, burst, 7, n..n + 1, &mut free);
            }
            assert_eq!(burst.len(), 256);
            let report = burst.flush(&mut free);
            assert_eq!(report.ports, [sent(1000, 128), sent(7, 128)]);
            assert_eq!((burst.len(), free.len()), (0, before));
            assert_eq!(burst.flush(&mut free).ports, []);
            for far in &far {
                for (n, frame) in (0..).zip(far.expect(128, |frame| number(frame).is_some())) {
                    assert_eq!(frame, numbered(n, 60 + n as usize % 1400));
                }
            }
        }
    });
}

#[test]
fn workers_burst_at_the_same_time_without_mixing_frames() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    there.run(&["ethtool", "-K", "far", "gro", "on"]);
    let far = there.within(|| Raw::open(there.ifindex("far")));
    here.within(|| {
        let (steering, mut free) = load();
        let _port = open(&steering, 0, here.ifindex("near"), 1, &mut free).0;
        let sent = AtomicU32::new(0);
        let shares: Vec<Vec<Chunk>> = (0..4).map(|_| free.split_off(free.len() - 64)).collect();
        std::thread::scope(|scope| {
            for (worker, mut free) in (0u32..).zip(shares) {
                let (steering, sent) = (&steering, &sent);
                scope.spawn(move || {
                    let mut burst = steering.burst(u16::try_from(worker).unwrap()).unwrap();
                    for round in 0..20 {
                        let first = worker * 1000 + round * 20;
                        push(steering, &mut burst, 0, first..first + 20, &mut free);
                        // The receiver may run out of room, but nothing else may happen.
                        let report = flush(&mut burst, &mut free);
                        assert_eq!((report.sent + report.dropped, report.errno), (20, 0));
                        sent.fetch_add(report.sent, Ordering::Relaxed);
                    }
                });
            }
        });
        let numbers: Vec<u32> = far
            .expect(sent.into_inner() as usize, |frame| number(frame).is_some())
            .iter()
            .map(|frame| {
                let n = number(frame).unwrap();
                assert_eq!(*frame, numbered(n, 60 + n as usize % 1400), "a frame of two workers");
                n
            })
            .collect();
        assert!(numbers.len() >= 256, "{} of 1600", numbers.len());
        for worker in 0..4 {
            let own = numbers.iter().filter(|n| **n / 1000 == worker);
            assert!(own.is_sorted_by(|a, b| a < b), "in order per worker");
        }
        assert!(far.receive().iter().all(|frame| number(frame).is_none()), "more arrived than were sent");
    });
}

#[test]
fn signals_interrupt_a_burst_without_losing_or_repeating_a_frame() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    there.run(&["ethtool", "-K", "far", "gro", "on"]);
    let far = there.within(|| Raw::open(there.ifindex("far")));
    here.within(|| {
        let (steering, mut free) = load();
        let _port = open(&steering, 0, here.ifindex("near"), 1, &mut free).0;
        let mut burst = steering.burst(0).unwrap();
        let sent = under_signals(|| {
            let mut sent = 0;
            for _ in 0..50 {
                push(&steering, &mut burst, 0, 0..256, &mut free);
                let report = flush(&mut burst, &mut free);
                assert_eq!((report.sent + report.dropped, report.refused, report.errno), (256, 0, 0));
                sent += report.sent as usize;
            }
            sent
        });
        let arrived = far.expect(sent, |frame| number(frame).is_some());
        assert!(arrived.iter().all(|frame| {
            let n = number(frame).unwrap();
            *frame == numbered(n, 60 + n as usize % 1400)
        }));
        assert!(far.receive().is_empty(), "more arrived than were sent");
    });
}

#[test]
fn a_peer_without_napi_is_detected_and_its_drops_are_counted() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    here.within(|| {
        let (steering, mut free) = load();
        let ifindex = here.ifindex("near");
        let _port = open(&steering, 0, ifindex, 1, &mut free).0;
        let before = free.len();
        assert_eq!(steering.probe_burst(ifindex), Err(Unsuitable::PeerWithoutNapi));
        assert!(Unsuitable::PeerWithoutNapi.to_string().contains("`ethtool -K DEVICE gro on`"));
        let mut burst = steering.burst(0).unwrap();
        push(&steering, &mut burst, 0, 0..100, &mut free);
        let report = flush(&mut burst, &mut free);
        assert_eq!((report.sent, report.refused, report.dropped), (0, 0, 100));
        assert_eq!(report.errno, libc::EOPNOTSUPP);
        assert_eq!(free.len(), before);
        there.run(&["ethtool", "-K", "far", "gro", "on"]);
        assert_eq!(steering.probe_burst(ifindex), Ok(()));
        push(&steering, &mut burst, 0, 0..100, &mut free);
        assert_eq!(flush(&mut burst, &mut free), sent(0, 100));
    });
}

#[test]
fn a_device_that_takes_no_redirected_frames_is_detected() {
    let here = Namespace::new();
    here.run(&["ip", "link", "add", "near", "type", "bridge"]);
    here.run(&["ip", "link", "set", "near", "up"]);
    here.within(|| {
        let (steering, _free) = load();
        assert_eq!(steering.probe_burst(here.ifindex("near")), Err(Unsuitable::NoRedirectTarget));
        assert!(matches!(steering.probe_burst(4000), Err(Unsuitable::Unknown(_))));
    });
}

#[test]
fn what_a_device_does_not_take_is_counted_with_its_reason() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    there.run(&["ethtool", "-K", "far", "gro", "on"]);
    here.within(|| {
        let (steering, mut free) = load();
        let port = open(&steering, 0, here.ifindex("near"), 1, &mut free).0;
        let mut burst = steering.burst(0).unwrap();
        let mut outcome = |slot, free: &mut Vec<Chunk>| {
            push(&steering, &mut burst, slot, 0..100, free);
            let report = flush(&mut burst, free);
            assert_eq!(report.sent + report.refused + report.dropped, 100);
            (report.sent, report.refused, report.dropped, report.errno)
        };
        assert_eq!(outcome(0, &mut free), (100, 0, 0, 0));
        assert_eq!(outcome(1, &mut free), (0, 100, 0, 0), "no such port");
        here.run(&["ip", "link", "set", "near", "mtu", "1000"]);
        assert_eq!(outcome(0, &mut free), (100, 0, 0, 0), "frames up to 159 bytes fit");
        here.run(&["ip", "link", "set", "near", "mtu", "68"]);
        // Up to the MTU, an Ethernet header and a tag: 60 to 86 of 60 to 159 bytes.
        assert_eq!(outcome(0, &mut free), (27, 0, 73, libc::EMSGSIZE));
        here.run(&["ip", "link", "set", "near", "down"]);
        assert_eq!(outcome(0, &mut free), (0, 0, 100, libc::ENETDOWN));
        here.run(&["ip", "link", "set", "near", "up", "mtu", "1500"]);
        there.run(&["ip", "link", "set", "far", "down"]);
        assert_eq!(outcome(0, &mut free), (0, 0, 100, libc::ENXIO), "the other end is down");
        here.run(&["ip", "link", "del", "near"]);
        assert_eq!(outcome(0, &mut free), (0, 100, 0, 0), "the kernel forgot the device");
        drop(port);
    });
}

#[test]
fn a_receiver_without_room_shows_in_the_report_and_in_the_device() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    there.run(&["ethtool", "-K", "far", "gro", "on"]);
    // Its receive work is a thread's, which must share the CPUs with us, rather than done as soon as we pause.
    there.run(&["sh", "-c", "echo 1 > /sys/class/net/far/threaded"]);
    let _far = there.within(|| Raw::open(there.ifindex("far")));
    here.within(|| {
        let (steering, mut free) = load();
        let ifindex = here.ifindex("near");
        let _port = open(&steering, 0, ifindex, 1, &mut free).0;
        let mut burst = steering.burst(0).unwrap();
        let before = xsk::transmit_dropped(ifindex).unwrap();
        let mut dropped = 0;
        wait_for("a full receiver", || {
            push(&steering, &mut burst, 0, 0..256, &mut free);
            let report = flush(&mut burst, &mut free);
            assert_eq!((report.sent + report.dropped, report.refused), (256, 0));
            dropped += report.dropped;
            dropped > 0
        });
        assert_eq!(xsk::transmit_dropped(ifindex).unwrap() - before, u64::from(dropped));
    });
}

#[test]
fn frames_that_do_not_fit_are_given_back_and_waiting_ones_can_be_reclaimed() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    here.within(|| {
        let (steering, mut free) = load();
        let mut burst = steering.burst(0).unwrap();
        let error = steering.burst(0).err().unwrap();
        assert_eq!(error.to_string(), "worker 0 has a burst transmitter already");
        assert!(steering.burst(64).is_err());
        for (head, len) in [(449, 60), (0, 13), (0, 1601), (u16::MAX, u16::MAX)] {
            let mut chunk = free.pop().unwrap();
            chunk.set_span(head, len);
            free.push(burst.push(0, chunk).unwrap_err());
        }
        let chunk = free.pop().unwrap();
        free.push(burst.push(1024, chunk).unwrap_err());
        let all = u32::try_from(MAX_BURST).unwrap();
        push(&steering, &mut burst, 5, 0..all, &mut free);
        let spare = write(&steering, free.pop().unwrap(), &numbered(0, 60));
        free.push(burst.push(5, spare).unwrap_err());
        let mut back = Vec::new();
        burst.reclaim(&mut back);
        assert_eq!((back.len(), burst.len()), (MAX_BURST, 0));
        free.extend(back.into_iter().map(|(slot, chunk)| {
            assert_eq!(slot, 5);
            chunk
        }));
        drop(burst);
        let _again = steering.burst(0).unwrap();
        assert_complete(&steering, &free);
    });
}

#[test]
fn large_chunks_carry_large_frames_up_to_what_a_live_frame_holds() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    for (namespace, device) in [(&here, "near"), (&there, "far")] {
        namespace.run(&["ip", "link", "set", device, "mtu", "3506"]);
    }
    there.run(&["ethtool", "-K", "far", "gro", "on"]);
    let far = there.within(|| Raw::open(there.ifindex("far")));
    here.within(|| {
        let (steering, _, mut free) =
            Steering::load(&SteeringConfig { chunks: 64, chunk_size: 4096 }).unwrap();
        let _port = steering.attach(0, here.ifindex("near"), Role::Access, LinkMode::Native).unwrap();
        let mut burst = steering.burst(0).unwrap();
        let mut longest = 0;
        for len in 2900..=3520 {
            let chunk = write(&steering, free.pop().unwrap(), &numbered(len, len as usize));
            match burst.push(0, chunk) {
                Ok(()) => {
                    assert!(longest == 0 || longest + 1 == len, "a gap from {longest} to {len}");
                    assert_eq!(flush(&mut burst, &mut free), sent(0, 1));
                    longest = len;
                }
                Err(chunk) => free.push(chunk),
            }
        }
        let arrived = far.expect(longest as usize - 2899, |frame| number(frame).is_some());
        assert_eq!(*arrived.last().unwrap(), numbered(longest, longest as usize));
        // From as far back as a head may be.
        let mut chunk = free.pop().unwrap();
        let room = steering.umem().room(&mut chunk);
        room.bytes[576..576 + 3000].copy_from_slice(&numbered(7, 3000));
        chunk.set_span(576, 3000);
        burst.push(0, chunk).unwrap();
        assert_eq!(flush(&mut burst, &mut free), sent(0, 1));
        assert_eq!(far.expect(1, |frame| number(frame).is_some()), [numbered(7, 3000)]);
    });
}
