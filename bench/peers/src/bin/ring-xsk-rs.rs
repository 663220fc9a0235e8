//! The xsk-rs crate (libxdp): `ring-xsk-rs DEVICE SECONDS`.
#![expect(unsafe_code, reason = "the crate leaves it to its user that a descriptor is used once")]

use std::collections::VecDeque;
use std::error::Error;
use std::ffi::CString;
use std::num::NonZeroU32;

use ring_peers::{Arguments, BATCH, CHUNK, CHUNKS, RING, Watch, swap_addresses};
use xsk_rs::config::{BindFlags, FrameSize, Interface, QueueSize, SocketConfig, UmemConfig};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

struct Queues {
    receive: RxQueue,
    transmit: TxQueue,
    fill: FillQueue,
    completion: CompQueue,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read()?;
    let ring = QueueSize::new(RING)?;
    let memory = UmemConfig::builder()
        .frame_size(FrameSize::new(CHUNK)?)
        .fill_queue_size(ring)
        .comp_queue_size(ring)
        .build()?;
    let chunks = NonZeroU32::new(CHUNKS).ok_or("no chunks")?;
    let (umem, free) = Umem::new(memory, chunks, false)?;
    let config = SocketConfig::builder()
        .rx_queue_size(ring)
        .tx_queue_size(ring)
        .bind_flags(BindFlags::XDP_COPY | BindFlags::XDP_USE_NEED_WAKEUP)
        .build();
    let device = Interface::new(CString::new(arguments.device.as_str())?);
    // SAFETY: this is the first and only socket of the frame memory, on a device and queue that nobody else uses.
    let (transmit, receive, queues) = unsafe { Socket::new(config, &umem, &device, 0)? };
    let (fill, completion) = queues.ok_or("the first socket has both queues")?;
    let watch = Watch::start(arguments.time);
    forward(&umem, Queues { receive, transmit, fill, completion }, free.into(), watch)
}

fn forward(
    umem: &Umem,
    mut queues: Queues,
    mut free: VecDeque<FrameDesc>,
    mut watch: Watch,
) -> Result<(), Box<dyn Error>> {
    let mut descriptors = vec![FrameDesc::default(); RING as usize];
    let mut batch = vec![FrameDesc::default(); BATCH];
    let mut held = 0;
    while watch.goes_on() {
        // SAFETY: a descriptor that comes out of a ring is nobody else's until it goes into the next one.
        let transmitted = unsafe { queues.completion.consume(&mut descriptors) };
        free.extend(&descriptors[..transmitted]);
        let count = free.len().min(RING as usize - held);
        if count > 0 {
            let (first, _) = free.as_slices();
            let first = &first[..count.min(first.len())];
            // SAFETY: free descriptors are in no ring, and leave the list below.
            let filled = unsafe { queues.fill.produce(first) };
            free.drain(..filled);
            held += filled;
        }
        // SAFETY: as above.
        let received = unsafe { queues.receive.consume(&mut batch) };
        held -= received;
        for descriptor in &mut batch[..received] {
            // SAFETY: the descriptor was just received, so its frame is ours alone.
            let mut data = unsafe { umem.data_mut(descriptor) };
            swap_addresses(data.contents_mut());
        }
        if received > 0 {
            // SAFETY: received descriptors of this frame memory, used no more after this.
            let sent = unsafe { queues.transmit.produce_and_wakeup(&batch[..received])? };
            free.extend(&batch[sent..received]);
        }
        watch.count(received, transmitted);
    }
    watch.report();
    Ok(())
}
