//! Forwards between two devices on one thread, as they are: what receive and either way to transmit cost by themselves.
//!
//! `forward DEVICE DEVICE ring|burst [SECONDS]` prints the rate once a second.

use std::error::Error;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use xsk::{Chunk, Device, DeviceConfig, Memory, Mode, Role, Socket, Steering, SteeringConfig};

/// Frames taken at once.
const BATCH: usize = 256;
const RING: u32 = 2048;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [first, second, way, rest @ ..] = arguments.as_slice() else {
        return Err("usage: forward DEVICE DEVICE ring|burst [SECONDS]".into());
    };
    let seconds = rest.first().map_or(Ok(6), |text| text.parse())?;
    let (steering, _, mut free) = Steering::load(&SteeringConfig { chunks: 8192, chunk_size: 2048 })?;
    let mut devices = Vec::new();
    for (slot, name) in (0..).zip([first, second]) {
        let ifindex = std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex"))?.trim().parse()?;
        let mut device = Device::open(
            &steering,
            &DeviceConfig {
                slot,
                ifindex,
                role: Role::Access,
                queues: 1,
                ring_size: RING,
                segments: false,
                best: Mode::Native,
                least: Mode::Generic,
                own_chunks: 2,
                own_memory: Memory::Anonymous,
                patience: Duration::from_secs(2),
            },
        )?;
        println!("{name}: {}, burst: {:?}", device.mode, steering.probe_burst(ifindex));
        device.sockets[0].fill(&mut free, RING);
        devices.push(device);
    }
    let sockets: Vec<Socket> = devices.iter_mut().flat_map(|device| device.sockets.drain(..)).collect();
    let ports = sockets.try_into().map_err(|_| "two sockets")?;
    forward(&steering, ports, way == "burst", free, Duration::from_secs(seconds))
}

fn forward(
    steering: &Steering,
    mut sockets: [Socket; 2],
    by_burst: bool,
    mut free: Vec<Chunk>,
    time: Duration,
) -> Result<(), Box<dyn Error>> {
    let mut burst = steering.burst(0)?;
    let mut batch = Vec::with_capacity(BATCH);
    let (mut received, mut lost) = (0u64, 0u64);
    let (begin, mut last, mut before) = (Instant::now(), Instant::now(), 0);
    for turn in 0u32.. {
        if turn.is_multiple_of(256) && last.elapsed() >= Duration::from_secs(1) {
            let rate = (received - before) as f64 / last.elapsed().as_secs_f64() / 1e6;
            println!("{rate:.3} Mpps, {lost} not taken");
            (last, before) = (Instant::now(), received);
            if begin.elapsed() >= time {
                break;
            }
        }
        let mut idle = true;
        for side in 0..2 {
            let other = 1 - side;
            sockets[side].complete(&mut free);
            sockets[side].fill(&mut free, RING);
            let count = sockets[side].receive(&mut batch, BATCH);
            if count == 0 {
                continue;
            }
            (received, idle) = (received + count as u64, false);
            if by_burst {
                for chunk in batch.drain(..) {
                    free.extend(burst.push(other as u16, chunk).err());
                }
                let report = burst.flush(&mut free);
                if let Some(refusal) = report.refusal {
                    return Err(refusal.into());
                }
                lost += report.ports.iter().map(|port| u64::from(port.dropped + port.refused)).sum::<u64>();
            } else {
                for chunk in batch.drain(..) {
                    if let Err(chunk) = sockets[other].enqueue(chunk) {
                        lost += 1;
                        free.push(chunk);
                    }
                }
                lost += u64::from(sockets[other].flush().map_err(xsk::Error::from)?.dropped);
            }
        }
        if idle {
            let mut fds =
                sockets.each_ref().map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN));
            poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        }
    }
    Ok(())
}
