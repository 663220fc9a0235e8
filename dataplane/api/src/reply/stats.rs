//! Counters and measurements.

use serde::{Deserialize, Serialize};

#[cfg(test)]
use super::Fields;
use super::{Balance, Chunks};

replies! {
    /// How often a value occurred.
    #[derive(Copy, Eq, Default)]
    Bucket {
        /// The value, which stands for those within 1/128 of it.
        value: u64,
        /// How often.
        count: u64,
    }

    /// What values occurred. All fields are zero while none did.
    #[derive(Eq, Default)]
    Distribution {
        /// How many.
        count: u64,
        /// Their mean.
        mean: u64,
        /// Half of them are no larger.
        p50: u64,
        /// 90 % of them are no larger.
        p90: u64,
        /// 99 % of them are no larger.
        p99: u64,
        /// 99.9 % of them are no larger.
        p999: u64,
        /// The largest.
        max: u64,
        /// All of them in ascending order, when they were asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        buckets: Option<Vec<Bucket>>,
    }

    /// Nanoseconds by stage in the rounds that were timed, one in many, reading the clock not counted.
    #[derive(Copy, Eq, Default)]
    Cost {
        /// Rounds timed.
        rounds: u64,
        /// Frames in them.
        frames: u64,
        /// Taking frames from receive rings.
        receive: u64,
        /// The pipeline's first pass.
        parse: u64,
        /// Learning, proxy, lookup.
        decide: u64,
        /// Rewriting.
        deliver: u64,
        /// Transmit rings and bursts, their system calls included.
        transmit: u64,
        /// What belongs to no frame in particular.
        rest: u64,
    }

    /// One worker thread. Measurements are of the time since the start or the last [`FlushStats`](crate::FlushStats).
    #[derive(Eq)]
    WorkerStats {
        /// Its number, from 0.
        worker: u32,
        /// The CPU it is pinned to.
        #[serde(skip_serializing_if = "Option::is_none")]
        cpu: Option<u32>,
        /// Frames received, those that another worker handed over not counted.
        rx: u64,
        /// Copies made to flood a frame to several receivers.
        copies: u64,
        /// Frames handed to the kernel for sending.
        tx: u64,
        /// Frames dropped.
        dropped: u64,
        /// Frames for this switch itself.
        taken: u64,
        /// Frames between receive and transmit.
        in_flight: u64,
        /// Frames handed to another worker, which owns the egress queue.
        handed_over: u64,
        /// What the control thread was not told, because it was too slow or one port made too much of it.
        lost_events: u64,
        /// System calls for sending that the kernel refused because the device was gone or down.
        failed_flushes: u64,
        /// System calls that sent a burst.
        bursts: u64,
        /// System calls that sent what was in a transmit ring.
        flushes: u64,
        /// How it chooses between the two; absent where the kernel has no bursts.
        #[serde(skip_serializing_if = "Option::is_none")]
        burst: Option<BurstCosts>,
        /// Nanoseconds from taking a frame from its receive ring to the return of the system call that gave it to the
        /// kernel; of every frame that this worker sent.
        residence: Distribution,
        /// Frames received at once.
        batches: Distribution,
        /// What they cost.
        cost: Cost,
    }

    /// From how many frames on a worker bursts, and the costs, by its own measurements, that this comes from.
    #[derive(Copy, Eq)]
    BurstCosts {
        /// Frames of a round from which on they leave by burst, on ports whose `transmit` is `auto`.
        threshold: u64,
        /// Nanoseconds of one frame by ring.
        ring_ns: u64,
        /// Nanoseconds of one burst, whatever its size.
        call_ns: u64,
        /// Nanoseconds of each frame of a burst.
        frame_ns: u64,
    }

    /// Frames and bytes of one port.
    #[derive(Eq)]
    PortStats {
        /// The port.
        ifname: String,
        /// Frames received.
        rx_packets: u64,
        /// Bytes of those, Ethernet header included.
        rx_bytes: u64,
        /// Frames sent.
        tx_packets: u64,
        /// Bytes of those, Ethernet header included.
        tx_bytes: u64,
        /// Frames that came in here and were dropped.
        dropped: u64,
        /// Frames that were dropped before they were received, which are in none of the numbers above.
        kernel_dropped: u64,
        /// Frames that were left to the host, being no tunnel packets for us; of an uplink.
        #[serde(skip_serializing_if = "Option::is_none")]
        to_kernel: Option<u64>,
        /// Packets that came in here and were cut into fragments to fit the path to a remote.
        fragmented: u64,
        /// Packets that came in here and whose senders were told that they do not fit the path to a remote.
        too_big_told: u64,
    }

    /// Messages about path MTUs that came from routers on the underlay, by what was made of them.
    #[derive(Copy, Eq, Default)]
    PathMtuCounts {
        /// Believed.
        accepted: u64,
        /// Not believed: they do not quote enough of a packet to tell whose it was.
        unreadable: u64,
        /// Not believed: the packet quoted is of no tunnel of ours.
        foreign: u64,
        /// Not believed: the packet quoted would have fitted.
        implausible: u64,
        /// Not believed: no link has such an MTU (576 bytes for IPv4, 1280 for IPv6).
        below_floor: u64,
    }

    /// The counters.
    #[derive(Eq)]
    StatsReply {
        /// Of the whole daemon.
        balance: Balance,
        /// Of the whole daemon.
        chunks: Chunks,
        /// Of the whole daemon: those of jumbo memory.
        jumbo_chunks: Chunks,
        /// By number.
        workers: Vec<WorkerStats>,
        /// By name.
        ports: Vec<PortStats>,
        /// What routers have told.
        path_mtu: PathMtuCounts,
    }
}
