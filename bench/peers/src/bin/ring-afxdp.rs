//! The afxdp crate (a libbpf of 2021): `ring-afxdp DEVICE SECONDS`.

use std::error::Error;

use afxdp::PENDING_LEN;
use afxdp::buf::Buf;
use afxdp::buf_mmap::BufMmap;
use afxdp::mmap_area::{MmapArea, MmapAreaOptions};
use afxdp::socket::{Socket, SocketOptions};
use afxdp::umem::Umem;
use arraydeque::{ArrayDeque, Wrapping};
use ring_peers::{Arguments, BATCH, CHUNK, CHUNKS, RING, Watch, swap_addresses};

/// What the crate keeps with each buffer: nothing here.
#[derive(Clone, Copy, Debug, Default)]
struct Nothing;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read()?;
    let (area, mut free) =
        MmapArea::new(CHUNKS as usize, CHUNK as usize, MmapAreaOptions { huge_tlb: false })
            .map_err(|error| format!("frame memory: {error:?}"))?;
    let (umem, mut completion, mut fill) =
        Umem::new(area, RING, RING).map_err(|error| format!("registering frame memory: {error:?}"))?;
    let options = SocketOptions { copy_mode: true, ..SocketOptions::default() };
    let (_socket, mut receive, mut transmit) =
        Socket::new(umem, &arguments.device, 0, RING, RING, options).map_err(|error| format!("{error:?}"))?;
    let failed = |error: &dyn std::fmt::Debug| format!("{error:?}");
    let mut missing = RING as usize;
    let mut batch: Box<ArrayDeque<[BufMmap<'_, Nothing>; PENDING_LEN], Wrapping>> = Box::default();
    let mut watch = Watch::start(arguments.time);
    while watch.goes_on() {
        let transmitted = completion.service(&mut free, RING as usize).map_err(|error| failed(&error))?;
        if missing > 0 {
            missing -= fill.fill(&mut free, missing).map_err(|error| failed(&error))?;
        }
        let received = receive.try_recv(&mut batch, BATCH, Nothing).map_err(|error| failed(&error))?;
        missing += received;
        for buffer in batch.iter_mut() {
            swap_addresses(buffer.get_data_mut());
        }
        transmit.try_send(&mut batch, BATCH).map_err(|error| failed(&error))?;
        watch.count(received, transmitted);
    }
    watch.report();
    Ok(())
}
