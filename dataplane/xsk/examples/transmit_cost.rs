//! What it costs to transmit batches of several sizes, by ring and by burst, in CPU time of this thread (which includes
//! the work of a veth's other end).
//!
//! `transmit_cost DEVICE LENGTH`

use std::error::Error;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use xsk::{Chunk, Device, DeviceConfig, Memory, Mode, Role, Steering, SteeringConfig};

/// Frames per measurement, as far as the batch size divides it.
const FRAMES: usize = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, length] = arguments.as_slice() else {
        return Err("usage: transmit_cost DEVICE LENGTH".into());
    };
    let (ifindex, length) =
        (std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex"))?.trim().parse()?, length.parse()?);
    let (steering, _, mut free) = Steering::load(&SteeringConfig { chunks: 4096, chunk_size: 2048 })?;
    let mut device = Device::open(
        &steering,
        &DeviceConfig {
            slot: 0,
            ifindex,
            role: Role::Access,
            queues: 1,
            ring_size: 1024,
            segments: false,
            best: Mode::Native,
            least: Mode::Generic,
            own_chunks: 2,
            own_memory: Memory::Anonymous,
            patience: Duration::from_secs(2),
        },
    )?;
    println!("{name}: {}, {length} bytes, burst: {:?}", device.mode, steering.probe_burst(ifindex));
    let socket = &mut device.sockets[0];
    let mut transmitter = steering.burst(0)?;
    for batch in [1, 2, 4, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024] {
        let rounds = FRAMES / batch;
        let (begin, mut refused) = (now(), 0);
        for _ in 0..rounds {
            socket.complete(&mut free);
            for _ in 0..batch {
                let mut chunk: Chunk = free.pop().ok_or("no chunk")?;
                chunk.set_span(256, length);
                free.extend(socket.enqueue(chunk).err());
            }
            refused += socket.flush().map_err(xsk::Error::from)?.dropped;
        }
        let ring = now() - begin;
        let (begin, mut lost) = (now(), 0);
        for _ in 0..rounds {
            for _ in 0..batch {
                let mut chunk = free.pop().ok_or("no chunk")?;
                chunk.set_span(256, length);
                free.extend(transmitter.push(0, chunk).err());
            }
            let report = transmitter.flush(&mut free);
            if let Some(refusal) = report.refusal {
                return Err(refusal.into());
            }
            lost += report.ports.iter().map(|port| port.dropped + port.refused).sum::<u32>();
        }
        let frames = (rounds * batch) as u64;
        let (ring, burst) = (ring / frames, (now() - begin) / frames);
        println!(
            "batch {batch:3}: ring {ring:5} ns per frame ({refused} not taken), burst {burst:5} ({lost})"
        );
    }
    Ok(())
}

/// Nanoseconds of CPU time that this thread has used.
fn now() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
