//! Frame memory on large pages: the kernel registers it, and frames go through it.

use std::fs;

use xsk::{Error, Memory, Pages, Steering, SteeringConfig, Umem, UmemConfig};

use crate::lab::{Namespace, veth, wait_for};
use crate::packets::{number, numbered};
use crate::raw::Raw;
use crate::sockets::{CHUNKS, assert_complete, open, read, receive};

/// Where the number of reserved 2 MiB pages stands.
const RESERVE: &str = "/proc/sys/vm/nr_hugepages";

/// Some more reserved pages than before, until it is dropped.
struct Reserve {
    before: u64,
}

impl Reserve {
    fn with(pages: u64) -> Self {
        let count = || fs::read_to_string(RESERVE).unwrap().trim().parse::<u64>().unwrap();
        let before = count();
        fs::write(RESERVE, (before + pages).to_string()).unwrap();
        let reserve = Self { before };
        assert_eq!(count(), before + pages, "the kernel has no contiguous memory for 2 MiB pages");
        reserve
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        let _ = fs::write(RESERVE, self.before.to_string());
    }
}

#[test]
fn frames_go_through_memory_from_the_reserve() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    let far = there.within(|| Raw::open(there.ifindex("far")));
    // The shared memory takes two, 2048 chunks of 2048 bytes.
    let _reserve = Reserve::with(4);
    here.within(|| {
        let config = SteeringConfig { chunks: CHUNKS, chunk_size: 2048 };
        let (steering, umem, mut free) = Steering::load_for_rings(&config).unwrap();
        assert_eq!(umem.pages(), Pages::HugeTlb);
        let (attachment, mut sockets) = open(&steering, 0, here.ifindex("near"), 1, &mut free);
        let socket = &mut sockets[0];
        for n in 0..80 {
            far.send(&numbered(n, 60 + n as usize * 10));
        }
        for (n, mut chunk) in (0..).zip(receive(&steering, socket, 80, &mut free)) {
            assert_eq!(read(&steering, &mut chunk), numbered(n, 60 + n as usize * 10));
            umem.room(&mut chunk).bytes[256 + 14] = 1;
            socket.enqueue(chunk).unwrap();
        }
        assert_eq!(socket.flush().unwrap().dropped, 0);
        for (n, frame) in (0..).zip(far.expect(80, |frame| number(frame).is_some())) {
            assert_eq!(number(&frame), Some((1 << 24) + n));
        }
        wait_for("completions", || {
            socket.complete(&mut free);
            socket.outstanding().transmit == 0
        });
        drop(attachment);
        for socket in sockets {
            free.extend(socket.close());
        }
        assert_complete(&steering, &free);
    });
}

/// A program that cannot read the memory must not be asked to burst from it.
#[test]
fn memory_for_rings_alone_takes_no_bursts() {
    let config = SteeringConfig { chunks: CHUNKS, chunk_size: 2048 };
    let (steering, _, _chunks) = Steering::load_for_rings(&config).unwrap();
    assert!(!steering.bursts());
    assert!(matches!(steering.burst(0), Err(Error::BurstUnsupported(_))));
    let (steering, umem, _chunks) = Steering::load(&config).unwrap();
    assert!(steering.bursts() && umem.pages() == Pages::Base);
}

/// More than the reserve has is no error: the memory lies elsewhere.
#[test]
fn without_a_reserve_memory_is_had_all_the_same() {
    let config = UmemConfig { chunks: 1 << 14, chunk_size: 4096, memory: Memory::LargestPages };
    let (umem, chunks) = Umem::new(&config).unwrap();
    assert_eq!(chunks.len(), 1 << 14);
    assert!(umem.pages() != Pages::HugeTlb || fs::read_to_string(RESERVE).unwrap().trim() != "0");
}
