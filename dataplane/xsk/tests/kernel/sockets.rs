//! Rings and chunks: what goes in comes out, and no chunk is lost.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use xsk::{Attachment, Chunk, LinkMode, Role, Socket, SocketConfig, Steering, SteeringConfig};

use crate::lab::{Namespace, veth, wait_for};
use crate::packets::{number, numbered};
use crate::raw::Raw;

pub(crate) const CHUNKS: u32 = 2048;

pub(crate) fn load() -> (Steering, Vec<Chunk>) {
    let (steering, _, chunks) = Steering::load(&SteeringConfig { chunks: CHUNKS, chunk_size: 2048 }).unwrap();
    (steering, chunks)
}

pub(crate) fn config(ifindex: u32, queue: u32) -> SocketConfig {
    SocketConfig {
        ifindex,
        queue,
        ring_size: 256,
        zero_copy: false,
        segments: false,
        link: LinkMode::Native,
        patience: Duration::from_secs(2),
    }
}

/// An access port with one socket per queue, steered, fill rings half full.
pub(crate) fn open(
    steering: &Steering,
    slot: u16,
    ifindex: u32,
    queues: u32,
    free: &mut Vec<Chunk>,
) -> (Attachment, Vec<Socket>) {
    let attachment = steering.attach(slot, ifindex, Role::Access, LinkMode::Native).unwrap();
    let sockets = (0..queues)
        .map(|queue| {
            let mut socket = Socket::open(steering.umem(), &config(ifindex, queue)).unwrap();
            steering.set_socket(slot, queue, socket.as_fd()).unwrap();
            assert_eq!(socket.fill(free, 100), 100);
            socket
        })
        .collect();
    (attachment, sockets)
}

/// A chunk with this frame.
pub(crate) fn write(steering: &Steering, mut chunk: Chunk, frame: &[u8]) -> Chunk {
    let room = steering.umem().room(&mut chunk);
    room.bytes[256..256 + frame.len()].copy_from_slice(frame);
    chunk.set_span(256, u16::try_from(frame.len()).unwrap());
    chunk
}

/// The frame in a chunk.
pub(crate) fn read(steering: &Steering, chunk: &mut Chunk) -> Vec<u8> {
    let (head, len) = (usize::from(chunk.head()), usize::from(chunk.len()));
    steering.umem().room(chunk).bytes[head..head + len].to_vec()
}

/// Receives until `count` frames of ours are there; other frames' chunks go to `free`.
pub(crate) fn receive(
    steering: &Steering,
    socket: &mut Socket,
    count: usize,
    free: &mut Vec<Chunk>,
) -> Vec<Chunk> {
    let (mut frames, mut batch) = (Vec::new(), Vec::new());
    wait_for("frames in the receive ring", || {
        socket.receive(&mut batch, 64);
        for mut chunk in batch.drain(..) {
            let ours = number(&read(steering, &mut chunk)).is_some();
            if ours { frames.push(chunk) } else { free.push(chunk) }
        }
        frames.len() >= count
    });
    frames
}

/// Every chunk exactly once.
pub(crate) fn assert_complete(steering: &Steering, free: &[Chunk]) {
    let indices: HashSet<u32> = free.iter().map(Chunk::index).collect();
    assert_eq!((free.len(), indices.len()), (CHUNKS as usize, CHUNKS as usize));
    assert_eq!((steering.umem().held(), steering.umem().bad_addresses()), (0, 0));
}

#[test]
fn frames_go_through_both_ways_and_every_chunk_comes_back() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    let far = there.within(|| Raw::open(there.ifindex("far")));
    here.within(|| {
        let (steering, mut free) = load();
        let (attachment, mut sockets) = open(&steering, 0, here.ifindex("near"), 1, &mut free);
        let socket = &mut sockets[0];
        for n in 0..80 {
            far.send(&numbered(n, 60 + n as usize * 10));
        }
        let mut received = receive(&steering, socket, 80, &mut free);
        for (n, chunk) in (0..).zip(&mut received) {
            assert_eq!(chunk.head(), 256, "the kernel's headroom");
            assert_eq!(read(&steering, chunk), numbered(n, 60 + n as usize * 10));
        }
        // Back as they are, from where they lie, but for their number.
        for mut chunk in received {
            let number = steering.umem().room(&mut chunk);
            number.bytes[256 + 14] = 1;
            socket.enqueue(chunk).unwrap();
        }
        let flushed = socket.flush().unwrap();
        assert_eq!((flushed.dropped, flushed.pending), (0, 0));
        for (n, frame) in (0..).zip(far.expect(80, |frame| number(frame).is_some())) {
            assert_eq!(number(&frame), Some((1 << 24) + n));
            assert_eq!(frame.len(), 60 + n as usize * 10);
        }
        wait_for("completions", || {
            socket.complete(&mut free);
            socket.outstanding().transmit == 0
        });
        assert_eq!(steering.counters(0).unwrap().no_socket, 0);
        drop(attachment);
        free.extend(sockets.pop().unwrap().close());
        assert_complete(&steering, &free);
    });
}

#[test]
fn one_memory_serves_several_devices_and_queues_and_a_chunk_goes_from_one_to_another() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "one", &there, "far-one", 2);
    veth(&here, "two", &there, "far-two", 1);
    let (far_a, far_b) =
        there.within(|| (Raw::open(there.ifindex("far-one")), Raw::open(there.ifindex("far-two"))));
    here.within(|| {
        assert_eq!(xsk::receive_queues(here.ifindex("one")).unwrap(), 2);
        assert_eq!(xsk::receive_queues(here.ifindex("two")).unwrap(), 1);
        let (steering, mut free) = load();
        let (_a, mut sockets) = open(&steering, 3, here.ifindex("one"), 2, &mut free);
        let (b, mut to) = open(&steering, 1023, here.ifindex("two"), 1, &mut free);
        let mut to = to.pop().unwrap();
        for n in 0..40 {
            far_a.send(&numbered(n, 64));
        }
        // Whichever queue each came in on.
        let mut received = Vec::new();
        wait_for("frames on both queues together", || {
            for socket in &mut sockets {
                let mut batch = Vec::new();
                socket.receive(&mut batch, 64);
                received.extend(batch.into_iter().filter_map(|mut chunk| {
                    let number = number(&read(&steering, &mut chunk));
                    if number.is_some() {
                        Some(chunk)
                    } else {
                        free.push(chunk);
                        None
                    }
                }));
            }
            received.len() == 40
        });
        for chunk in received {
            to.enqueue(chunk).unwrap();
        }
        assert_eq!(to.flush().unwrap().pending, 0);
        assert_eq!(far_b.expect(40, |frame| number(frame).is_some()).len(), 40);
        // The end of one device is nothing to the other.
        drop(b);
        free.extend(to.close());
        far_a.send(&numbered(99, 64));
        wait_for("a frame after the other's end", || {
            sockets.iter_mut().any(|socket| socket.receive(&mut free, 64) > 0)
        });
        free.extend(sockets.into_iter().flat_map(Socket::close));
        assert_complete(&steering, &free);
    });
}

#[test]
fn a_queue_can_be_opened_again_at_once() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    let far = there.within(|| Raw::open(there.ifindex("far")));
    here.within(|| {
        let (steering, mut free) = load();
        for n in 0..5 {
            let (attachment, mut sockets) = open(&steering, 0, here.ifindex("near"), 1, &mut free);
            far.send(&numbered(n, 64));
            let received = receive(&steering, &mut sockets[0], 1, &mut free);
            free.extend(received);
            drop(attachment);
            free.extend(sockets.pop().unwrap().close());
            assert_complete(&steering, &free);
        }
    });
}

#[test]
fn closing_returns_chunks_wherever_the_kernel_has_them() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    let far = there.within(|| Raw::open(there.ifindex("far")));
    here.within(|| {
        let (steering, mut free) = load();
        let (attachment, mut sockets) = open(&steering, 0, here.ifindex("near"), 1, &mut free);
        let mut socket = sockets.pop().unwrap();
        for n in 0..30 {
            far.send(&numbered(n, 64));
        }
        wait_for("frames in the receive ring", || socket.outstanding().receive >= 30);
        // Some enqueued and never flushed, some flushed and never completed.
        for n in 0..20 {
            let chunk = write(&steering, free.pop().unwrap(), &numbered(n, 64));
            socket.enqueue(chunk).unwrap();
            if n == 9 {
                assert_eq!(socket.flush().unwrap().pending, 0);
            }
        }
        let outstanding = socket.outstanding();
        assert_eq!(outstanding.transmit, 20);
        assert_eq!(steering.umem().held(), 120);
        assert_eq!(free.len(), CHUNKS as usize - 120);
        drop(attachment);
        free.extend(socket.close());
        assert_complete(&steering, &free);
    });
}

#[test]
fn what_a_ring_cannot_take_comes_back() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    here.within(|| {
        let (steering, mut free) = load();
        let mut socket = Socket::open(steering.umem(), &config(here.ifindex("near"), 0)).unwrap();
        for span in [(0, 0), (256, 13), (2000, 60), (u16::MAX, u16::MAX)] {
            let mut chunk = free.pop().unwrap();
            chunk.set_span(span.0, span.1);
            free.push(socket.enqueue(chunk).unwrap_err());
        }
        for n in 0..256 {
            let chunk = write(&steering, free.pop().unwrap(), &numbered(n, 64));
            socket.enqueue(chunk).unwrap();
        }
        assert_eq!(socket.transmit_room(), 0);
        let chunk = write(&steering, free.pop().unwrap(), &numbered(0, 64));
        free.push(socket.enqueue(chunk).unwrap_err());
        assert_eq!(socket.flush().unwrap().pending, 0);
        assert_eq!(socket.transmit_room(), 256);
        assert_eq!(socket.fill(&mut free, u32::MAX), socket.fill_capacity() as usize);
        assert_eq!(socket.fill(&mut free, u32::MAX), 0);
        free.extend(socket.close());
        assert_complete(&steering, &free);
    });
}

#[test]
fn statistics_tell_a_full_ring_from_an_empty_fill_ring() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    let far = there.within(|| Raw::open(there.ifindex("far")));
    here.within(|| {
        let (steering, mut free) = load();
        let (_attachment, mut sockets) = open(&steering, 0, here.ifindex("near"), 1, &mut free);
        let socket = &mut sockets[0];
        let reader = socket.statistics_reader();
        for n in 0..150 {
            far.send(&numbered(n, 64));
        }
        wait_for("the fill ring to run dry", || socket.statistics().unwrap().rx_fill_ring_empty > 0);
        assert_eq!(socket.statistics().unwrap().rx_ring_full, 0);
        // 100 lie in the receive ring of 256; 512 more chunks let it overflow.
        socket.fill(&mut free, 512);
        // No more at a time than wait at the other end of a veth; nobody reads the counters while they move.
        for all in [300, 450] {
            for n in 0..150 {
                far.send(&numbered(n, 64));
            }
            wait_for("every frame to be counted", || steering.counters(0).unwrap().to_socket >= all);
        }
        wait_for("the receive ring to overflow", || socket.statistics().unwrap().rx_ring_full > 0);
        wait_for("the reader to tell the same", || {
            reader.read().unwrap() == Some(socket.statistics().unwrap())
        });
        free.extend(sockets.pop().unwrap().close());
        assert_eq!(reader.read().unwrap(), None);
        assert_complete(&steering, &free);
    });
}

#[test]
fn a_device_that_vanishes_is_an_error_and_its_chunks_come_back() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    here.within(|| {
        let (steering, mut free) = load();
        let ifindex = here.ifindex("near");
        let (attachment, mut sockets) = open(&steering, 0, ifindex, 1, &mut free);
        let mut socket = sockets.pop().unwrap();
        here.run(&["ip", "link", "set", "near", "down"]);
        let chunk = write(&steering, free.pop().unwrap(), &numbered(0, 64));
        socket.enqueue(chunk).unwrap();
        let error = xsk::Error::from(socket.flush().unwrap_err());
        assert!(matches!(error, xsk::Error::DeviceDown { .. }), "{error}");
        assert!(error.to_string().contains("`ip link set near up`"), "{error}");
        here.run(&["ip", "link", "set", "near", "up"]);
        assert_eq!(socket.flush().unwrap().pending, 0, "what waited leaves once the device is up");
        here.run(&["ip", "link", "del", "near"]);
        let chunk = write(&steering, free.pop().unwrap(), &numbered(0, 64));
        socket.enqueue(chunk).unwrap();
        let error = xsk::Error::from(socket.flush().unwrap_err());
        assert!(matches!(error, xsk::Error::DeviceMissing { .. }), "{error}");
        assert!(error.to_string().contains("no such device"), "{error}");
        drop(attachment);
        free.extend(socket.close());
        assert_complete(&steering, &free);
        // The port can come back under another index.
        veth(&here, "near", &there, "far", 1);
        assert_ne!(here.ifindex("near"), ifindex);
        let (attachment, mut sockets) = open(&steering, 0, here.ifindex("near"), 1, &mut free);
        let far = there.within(|| Raw::open(there.ifindex("far")));
        far.send(&numbered(7, 64));
        free = {
            let received = receive(&steering, &mut sockets[0], 1, &mut free);
            free.into_iter().chain(received).collect()
        };
        drop(attachment);
        free.extend(sockets.pop().unwrap().close());
        assert_complete(&steering, &free);
    });
}

#[test]
fn a_frame_larger_than_a_chunk_is_dropped_and_counted() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    for (namespace, device) in [(&here, "near"), (&there, "far")] {
        namespace.run(&["ip", "link", "set", device, "mtu", "3000"]);
    }
    let far = there.within(|| Raw::open(there.ifindex("far")));
    here.within(|| {
        let (steering, mut free) = load();
        let (_attachment, mut sockets) = open(&steering, 0, here.ifindex("near"), 1, &mut free);
        far.send(&numbered(1, 2048 - 256));
        far.send(&numbered(2, 2048 - 256 + 1));
        far.send(&numbered(3, 64));
        let mut received = receive(&steering, &mut sockets[0], 2, &mut free);
        let numbers: Vec<_> = received.iter_mut().map(|chunk| number(&read(&steering, chunk))).collect();
        assert_eq!(numbers, [Some(1), Some(3)]);
        assert_eq!(sockets[0].statistics().unwrap().rx_dropped, 1);
        free.extend(received);
        free.extend(sockets.pop().unwrap().close());
        assert_complete(&steering, &free);
    });
}

#[test]
fn processes_started_meanwhile_keep_neither_program_nor_chunks() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    let ifindex = here.ifindex("near");
    here.within(|| {
        let ((steering, mut free), (other, _)) = (load(), load());
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Until it executes, a new process has all our descriptors.
            let starter = scope.spawn(|| {
                while !done.load(Relaxed) {
                    assert!(Command::new("true").status().unwrap().success());
                }
            });
            for _ in 0..20 {
                let (attachment, mut sockets) = open(&steering, 0, ifindex, 1, &mut free);
                drop(attachment);
                drop(other.attach(0, ifindex, Role::Access, LinkMode::Native).unwrap());
                free.extend(sockets.pop().unwrap().close());
                assert_complete(&steering, &free);
            }
            done.store(true, Relaxed);
            starter.join().unwrap();
        });
    });
}
