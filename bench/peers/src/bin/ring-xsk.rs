//! The xsk crate: `ring-xsk DEVICE SECONDS`, or `ring-xsk-burst` to transmit by burst instead of the ring.

use std::error::Error;
use std::time::Duration;

use ring_peers::{Arguments, BATCH, CHUNK, CHUNKS, RING, Watch, swap_addresses};
use xsk::{Device, DeviceConfig, Memory, Mode, Role, Steering, SteeringConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read()?;
    let by_burst = std::env::args().next().is_some_and(|program| program.ends_with("-burst"));
    let ifindex = std::fs::read_to_string(format!("/sys/class/net/{}/ifindex", arguments.device))?;
    let (steering, umem, mut free) = Steering::load(&SteeringConfig { chunks: CHUNKS, chunk_size: CHUNK })?;
    let mut device = Device::open(
        &steering,
        &DeviceConfig {
            slot: 0,
            ifindex: ifindex.trim().parse()?,
            role: Role::Access,
            queues: 1,
            ring_size: RING,
            segments: false,
            best: Mode::Native,
            least: Mode::Native,
            own_chunks: 2,
            own_memory: Memory::Anonymous,
            patience: Duration::from_secs(2),
        },
    )?;
    let mut burst = steering.burst(0)?;
    let socket = device.sockets.first_mut().ok_or("a device has a queue")?;
    let mut batch = Vec::with_capacity(BATCH);
    let mut watch = Watch::start(arguments.time);
    while watch.goes_on() {
        let mut transmitted = socket.complete(&mut free);
        socket.fill(&mut free, RING);
        let received = socket.receive(&mut batch, BATCH);
        for mut chunk in batch.drain(..) {
            let room = umem.room(&mut chunk);
            swap_addresses(&mut room.bytes[usize::from(*room.head)..]);
            let refused = if by_burst { burst.push(0, chunk) } else { socket.enqueue(chunk) };
            free.extend(refused.err());
        }
        if by_burst && received > 0 {
            let report = burst.flush(&mut free);
            if let Some(refusal) = report.refusal {
                return Err(refusal.into());
            }
            let lost: u32 = report.ports.iter().map(|port| port.dropped + port.refused).sum();
            transmitted += received - lost as usize;
        } else if received > 0 {
            transmitted = transmitted.saturating_sub(socket.flush().map_err(xsk::Error::from)?.dropped as usize);
        }
        watch.count(received, transmitted);
    }
    watch.report();
    Ok(())
}
