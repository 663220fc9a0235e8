//! Frames of several chunks: whole on both sides of the rings, or not at all.

use std::os::fd::AsFd;
use std::sync::Arc;

use xsk::{
    Attachment, Chunk, LONGEST_JUMBO, LinkMode, Role, Socket, SocketConfig, Steering, SteeringConfig, Umem,
};

use crate::lab::{Namespace, veth, wait_for};
use crate::packets::{number, numbered};
use crate::raw::Raw;
use crate::sockets::{config, write};

const CHUNKS: u32 = 1024;
const JUMBO_CHUNKS: u32 = 256;
/// Frames that one device's test sends at once.
const LENGTHS: [usize; 16] =
    [60, 1500, 1792, 1793, 2048, 2049, 3584, 3585, 3840, 3841, 4096, 9014, 9018, 15_999, 16_014, 64];

/// One port of several chunks per frame, with jumbo memory beside it.
struct Bench {
    steering: Steering,
    free: Vec<Chunk>,
    jumbo: Arc<Umem>,
    jumbo_free: Vec<Chunk>,
    socket: Socket,
    /// Frames that were longer than jumbo memory takes, or found none free.
    lost: usize,
    _attachment: Attachment,
}

impl Bench {
    fn open(ifindex: u32, chunk_size: u32, link: LinkMode, fill: u32) -> Self {
        let (steering, _, mut free) = Steering::load(&SteeringConfig { chunks: CHUNKS, chunk_size }).unwrap();
        let (jumbo, jumbo_free) = Umem::jumbo(JUMBO_CHUNKS).unwrap();
        let attachment = steering.attach(0, ifindex, Role::Access, link).unwrap();
        let config = SocketConfig { segments: true, link, ..config(ifindex, 0) };
        let mut socket = Socket::open(steering.umem(), &config).unwrap();
        assert!(socket.segments() > 1, "multi-buffer AF_XDP is there (Linux 6.6)");
        steering.set_socket(0, 0, socket.as_fd()).unwrap();
        assert_eq!(socket.fill(&mut free, fill) as u32, fill);
        Self { steering, free, jumbo, jumbo_free, socket, lost: 0, _attachment: attachment }
    }

    /// Takes up to `max` descriptors, and appends the frames.
    fn receive(&mut self, max: usize, frames: &mut Vec<Chunk>) -> usize {
        let Self { free, jumbo, jumbo_free, socket, lost, .. } = self;
        let before = frames.len();
        let taken = socket.receive_whole(frames, max, |segmented| {
            assert!(segmented.is_complete && segmented.chunks.len() > 1);
            let whole = jumbo_free.pop().and_then(|mut whole| {
                let fits = jumbo.gather(segmented.chunks, segmented.umem, &mut whole);
                if fits {
                    Some(whole)
                } else {
                    jumbo_free.push(whole);
                    None
                }
            });
            *lost += usize::from(whole.is_none());
            free.append(segmented.chunks);
            whole
        });
        assert!(frames.len() - before <= max);
        taken
    }

    /// Receives, so many descriptors at a time, until `count` frames of ours are there.
    fn expect(&mut self, count: usize, max: usize) -> Vec<Chunk> {
        let (mut ours, mut frames) = (Vec::new(), Vec::new());
        wait_for("frames in the receive ring", || {
            self.receive(max, &mut frames);
            for mut frame in frames.drain(..) {
                if number(&self.bytes(&mut frame)).is_some() { ours.push(frame) } else { self.recycle(frame) }
            }
            ours.len() >= count
        });
        ours
    }

    /// The numbers of the next `count` frames, which go back to where their chunks are from.
    fn numbers(&mut self, count: usize) -> Vec<Option<u32>> {
        let mut frames = self.expect(count, 64);
        let numbers = frames.iter_mut().map(|frame| number(&self.bytes(frame))).collect();
        frames.into_iter().for_each(|frame| self.recycle(frame));
        numbers
    }

    fn memory(&self, chunk: &Chunk) -> &Umem {
        if chunk.umem() == self.jumbo.id() { &self.jumbo } else { self.steering.umem() }
    }

    fn bytes(&self, chunk: &mut Chunk) -> Vec<u8> {
        let (head, len) = (usize::from(chunk.head()), usize::from(chunk.len()));
        self.memory(chunk).room(chunk).bytes[head..head + len].to_vec()
    }

    fn recycle(&mut self, chunk: Chunk) {
        if chunk.umem() == self.jumbo.id() { self.jumbo_free.push(chunk) } else { self.free.push(chunk) }
    }

    /// A frame in jumbo memory.
    fn jumbo_frame(&mut self, bytes: &[u8]) -> Chunk {
        let mut chunk = self.jumbo_free.pop().unwrap();
        self.jumbo.room(&mut chunk).bytes[256..256 + bytes.len()].copy_from_slice(bytes);
        chunk.set_span(256, u16::try_from(bytes.len()).unwrap());
        chunk
    }

    /// Puts a frame into the transmit ring, out of whichever memory; says whether there was room.
    fn enqueue(&mut self, mut frame: Chunk) -> bool {
        if frame.umem() != self.jumbo.id() {
            let refused = self.socket.enqueue(frame).err();
            let is_taken = refused.is_none();
            self.free.extend(refused);
            return is_taken;
        }
        let umem = Arc::clone(self.steering.umem());
        let mut segments = self.free.split_off(self.free.len() - umem.segments(frame.len()));
        umem.scatter(&mut frame, &self.jumbo, &mut segments);
        self.jumbo_free.push(frame);
        let is_taken = self.socket.enqueue_segments(&mut segments);
        assert_eq!(segments.is_empty(), is_taken, "all or nothing");
        self.free.append(&mut segments);
        is_taken
    }

    /// Makes the kernel send everything, and takes the chunks back.
    fn flush(&mut self) {
        let flushed = self.socket.flush().unwrap();
        assert_eq!((flushed.dropped, flushed.pending), (0, 0));
        wait_for("completions", || {
            self.socket.complete(&mut self.free);
            self.socket.outstanding().transmit == 0
        });
    }

    fn close(mut self) {
        self.free.extend(self.socket.close());
        for (memory, free, total) in
            [(self.steering.umem(), &self.free, CHUNKS), (&self.jumbo, &self.jumbo_free, JUMBO_CHUNKS)]
        {
            let indices: std::collections::HashSet<u32> = free.iter().map(Chunk::index).collect();
            assert_eq!((free.len(), indices.len()), (total as usize, total as usize));
            assert_eq!((memory.held(), memory.bad_addresses()), (0, 0));
        }
    }
}

/// Two namespaces, joined by devices of that MTU.
fn joined(mtu: &str) -> (Namespace, Namespace, Raw) {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    for (namespace, device) in [(&here, "near"), (&there, "far")] {
        namespace.run(&["ip", "link", "set", device, "mtu", mtu]);
    }
    let far = there.within(|| Raw::open(there.ifindex("far")));
    (here, there, far)
}

/// Bytes that differ along the frame.
fn pattern(number: u32, len: usize) -> Vec<u8> {
    let mut frame = numbered(number, len);
    for (at, byte) in frame.iter_mut().enumerate().skip(18) {
        *byte = (at as u32).wrapping_mul(2_654_435_761).wrapping_add(number).to_be_bytes()[0];
    }
    frame
}

/// Sizes at random, the same in every run.
fn lengths(seed: u32, count: usize) -> Vec<usize> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        60 + state as usize % 16_000
    };
    (0..count).map(|_| next()).collect()
}

fn there_and_back(chunk_size: u32, link: LinkMode, max: usize) {
    let (here, _there, far) = joined("16000");
    here.within(|| {
        let mut bench = Bench::open(here.ifindex("near"), chunk_size, link, 250);
        for round in 0..12 {
            let lengths = if round == 0 { LENGTHS.to_vec() } else { lengths(round, 16) };
            for (n, len) in (0..).zip(&lengths) {
                far.send(&pattern(n, *len));
            }
            let mut received = bench.expect(lengths.len(), max);
            for ((n, len), frame) in (0..).zip(&lengths).zip(&mut received) {
                assert_eq!(bench.bytes(frame), pattern(n, *len), "{len} bytes in chunks of {chunk_size}");
                let is_jumbo = frame.umem() == bench.jumbo.id();
                assert_eq!(is_jumbo, *len > chunk_size as usize - 256);
            }
            for frame in received {
                assert!(bench.enqueue(frame));
            }
            bench.flush();
            let back = far.expect(lengths.len(), |frame| number(frame).is_some());
            for ((n, len), frame) in (0..).zip(&lengths).zip(back) {
                assert!(frame == pattern(n, *len), "frame {n} of {len} bytes in chunks of {chunk_size}");
            }
            bench.socket.fill(&mut bench.free, 250);
        }
        assert_eq!(bench.lost, 0);
        bench.close();
    });
}

#[test]
fn frames_of_any_size_come_in_and_leave_whole_and_in_order() {
    for chunk_size in [2048, 4096] {
        there_and_back(chunk_size, LinkMode::Native, 64);
    }
}

#[test]
fn so_they_do_in_generic_mode() {
    there_and_back(2048, LinkMode::Generic, 64);
}

#[test]
fn a_frame_is_finished_even_if_it_has_more_segments_than_were_asked_for() {
    for max in [1, 2, 5] {
        there_and_back(2048, LinkMode::Native, max);
    }
}

#[test]
fn a_transmit_ring_takes_all_of_a_frame_or_nothing() {
    let (here, _there, far) = joined("9000");
    here.within(|| {
        let mut bench = Bench::open(here.ifindex("near"), 2048, LinkMode::Native, 100);
        // Five segments each, 256 entries: 51 frames and one place that a small one takes.
        let mut taken = 0;
        loop {
            let frame = bench.jumbo_frame(&pattern(taken, 9014));
            if !bench.enqueue(frame) {
                break;
            }
            taken += 1;
        }
        assert_eq!((taken, bench.socket.outstanding().transmit), (51, 255));
        let small = bench.free.pop().unwrap();
        let small = write(&bench.steering, small, &pattern(taken, 60));
        assert!(bench.enqueue(small));
        bench.flush();
        let arrived = far.expect(52, |frame| number(frame).is_some());
        for (n, frame) in (0..).zip(arrived) {
            assert!(frame == pattern(n, if n == taken { 60 } else { 9014 }), "frame {n}");
        }
        // None, and what is no frame.
        assert!(!bench.socket.enqueue_segments(&mut Vec::new()));
        for spans in [[(0, 13), (0, 100)], [(0, 2048), (0, 0)], [(0, 2048), (1, 2048)]] {
            let mut segments = bench.free.split_off(bench.free.len() - 2);
            segments.iter_mut().zip(spans).for_each(|(segment, (head, len))| segment.set_span(head, len));
            assert!(!bench.socket.enqueue_segments(&mut segments), "{spans:?}");
            bench.free.append(&mut segments);
        }
        let mut foreign = bench.jumbo_free.split_off(bench.jumbo_free.len() - 1);
        foreign[0].set_span(0, 100);
        assert!(!bench.socket.enqueue_segments(&mut foreign));
        bench.jumbo_free.append(&mut foreign);
        bench.close();
    });
}

#[test]
fn a_frame_that_finds_too_few_chunks_is_lost_whole() {
    let (here, _there, far) = joined("9000");
    here.within(|| {
        // A frame of 9014 bytes takes six.
        let mut bench = Bench::open(here.ifindex("near"), 2048, LinkMode::Native, 7);
        for (n, len) in [(1, 9014), (2, 9014), (3, 60), (4, 60)] {
            far.send(&pattern(n, len));
        }
        assert_eq!(bench.numbers(2), [Some(1), Some(3)]);
        assert_eq!(bench.socket.statistics().unwrap().rx_dropped, 2);
        // And without jumbo memory the frame is the receiver's to count.
        let away = std::mem::take(&mut bench.jumbo_free);
        bench.socket.fill(&mut bench.free, 20);
        far.send(&pattern(5, 9014));
        far.send(&pattern(6, 60));
        assert_eq!((bench.numbers(1), bench.lost), (vec![Some(6)], 1));
        bench.jumbo_free = away;
        bench.close();
    });
}

#[test]
fn a_frame_longer_than_jumbo_memory_takes_is_lost_and_its_chunks_are_not() {
    let (here, _there, far) = joined("30000");
    here.within(|| {
        let mut bench = Bench::open(here.ifindex("near"), 4096, LinkMode::Native, 100);
        for (n, len) in [(1, LONGEST_JUMBO), (2, LONGEST_JUMBO + 1), (3, 30_000), (4, 60)] {
            far.send(&pattern(n, len as usize));
        }
        assert_eq!((bench.numbers(2), bench.lost), (vec![Some(1), Some(4)], 2));
        bench.close();
    });
}

#[test]
fn a_socket_that_did_not_ask_takes_what_fits_a_chunk_on_a_device_of_any_mtu() {
    let (here, _there, far) = joined("9000");
    here.within(|| {
        let (steering, _, mut free) =
            Steering::load(&SteeringConfig { chunks: CHUNKS, chunk_size: 2048 }).unwrap();
        let ifindex = here.ifindex("near");
        let _attachment = steering.attach(0, ifindex, Role::Access, LinkMode::Native).unwrap();
        let mut socket = Socket::open(steering.umem(), &config(ifindex, 0)).unwrap();
        assert_eq!(socket.segments(), 1);
        steering.set_socket(0, 0, socket.as_fd()).unwrap();
        socket.fill(&mut free, 100);
        far.send(&pattern(1, 9014));
        far.send(&pattern(2, 1792));
        let received = crate::sockets::receive(&steering, &mut socket, 1, &mut free);
        assert_eq!((received.len(), socket.statistics().unwrap().rx_dropped), (1, 1));
        let mut segments = free.split_off(free.len() - 2);
        segments.iter_mut().for_each(|segment| segment.set_span(0, 1000));
        assert!(!socket.enqueue_segments(&mut segments), "not asked for");
    });
}
