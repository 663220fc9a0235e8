//! Frames for one stage at a time. Every stage can be repeated on the same frames: where the one before has moved a
//! frame's head, it is put back, which costs two stores.

use std::hint::black_box;

use etherparse::SlicedPacket;
use forward::frame::Frame;
use forward::limits::BATCH;
use forward::link::Place;
use forward::parse::{self, Headers};
use forward::proxy;
use forward::rewrite;
use forward::signature::KnownTunnels;
use forward::tables::InnerTags;
use forward::trust::Trust;
use forward::verdict::DropReason;

use super::overlay::{ACCESS, DOMAIN, Overlay, UDP_PORT};
use super::traffic::{Mix, Traffic};

/// Bytes before a frame and of its chunk.
const HEADROOM: u16 = 256;
const CHUNK: usize = 2048;

/// A frame in a chunk, and what is known of it.
#[derive(Clone, Debug)]
struct Loaded {
    room: Box<[u8]>,
    original: Vec<u8>,
    headers: Headers,
    place: Place,
}

impl Loaded {
    /// Calls `stage` with the frame as it came in.
    #[inline]
    fn frame<T>(&mut self, stage: impl FnOnce(&mut Frame<'_>, &Headers, Place) -> T) -> T {
        let (mut head, mut len) = (HEADROOM, self.original.len() as u16);
        let mut frame = Frame { room: &mut self.room, head: &mut head, len: &mut len };
        stage(&mut frame, &self.headers, self.place)
    }

    /// Puts the bytes back that a stage has changed.
    #[inline]
    fn restore(&mut self) {
        let start = usize::from(HEADROOM);
        self.room[start..start + self.original.len()].copy_from_slice(&self.original);
    }
}

/// 64 frames.
#[derive(Clone, Debug)]
pub struct Batch(Vec<Loaded>);

impl Batch {
    /// The next frames of a mix over an overlay.
    ///
    /// # Panics
    /// If a frame is not what the mix says.
    #[must_use]
    pub fn new(overlay: &Overlay, mix: Mix) -> Self {
        let mut traffic = Traffic::new(overlay, mix, 3);
        let load = |_| {
            let mut original = traffic.next_frame().to_vec();
            let mut room = vec![0; CHUNK].into_boxed_slice();
            let start = usize::from(HEADROOM);
            room[start..start + original.len()].copy_from_slice(&original);
            let inner = if mix == Mix::Decapsulate { &mut original[50..] } else { &mut original[..] };
            let mut headers = Headers::NONE;
            parse::inner(inner, DOMAIN, InnerTags::Carried, Trust::FULL, &mut headers)
                .expect("a frame of a workload");
            let fdb = overlay.tables.fdb();
            let place = fdb.place(&fdb.probe(headers.destination)).unwrap_or(Place::Port(ACCESS));
            Loaded { room, original, headers, place }
        };
        Self((0..BATCH).map(load).collect())
    }

    /// Parses plain frames: addresses, flow, and whether the checksum is left to a device. Tells how many were well
    /// formed.
    #[inline(never)]
    pub fn parse(&mut self) -> usize {
        let trust = Trust::of_workload(&[UDP_PORT]);
        let parse = |loaded: &mut Loaded| {
            loaded.frame(|frame, _, _| {
                let mut headers = Headers::NONE;
                let parsed = parse::inner(frame.bytes_mut(), DOMAIN, InnerTags::Carried, trust, &mut headers);
                black_box(&headers);
                parsed.is_ok()
            })
        };
        self.0.iter_mut().map(parse).map(usize::from).sum()
    }

    /// As [`Batch::parse`] by etherparse, which checks more lengths but computes no flow and no sum: its slices, and out
    /// of them the addresses and ports.
    #[inline(never)]
    pub fn parse_by_etherparse(&mut self) -> usize {
        let parse = |loaded: &mut Loaded| {
            loaded.frame(|frame, _, _| {
                let Ok(packet) = SlicedPacket::from_ethernet(frame.bytes()) else { return false };
                black_box((packet.link, packet.net, packet.transport));
                true
            })
        };
        self.0.iter_mut().map(parse).map(usize::from).sum()
    }

    /// Encapsulates parsed frames whose remote is known: checks the MTU and pushes the outer header.
    #[inline(never)]
    pub fn encapsulate(&mut self, overlay: &Overlay) -> usize {
        let encapsulate = |(loaded, identification): (&mut Loaded, u16)| {
            loaded.frame(|frame, headers, place| {
                let Place::Remote(remote) = place else { return Err(DropReason::PortUnknown) };
                let egress = rewrite::ordinarily_to_remote(&overlay.tables, headers, remote);
                let egress = egress.ok_or(DropReason::PacketTooBig)?;
                black_box(egress.push(frame, headers.outgoing(identification)))
            })
        };
        self.0.iter_mut().zip(0..).map(encapsulate).map(|out| usize::from(out.is_ok())).sum()
    }

    /// Checks the outer headers of tunnel packets, finds whom each comes from, and strips them.
    #[inline(never)]
    pub fn decapsulate(&mut self, overlay: &Overlay) -> usize {
        let mut known = KnownTunnels::new();
        let mut decapsulate = |loaded: &mut Loaded| {
            loaded.frame(|frame, headers, _| {
                if let Some((origin, end)) = known.recognise(frame.bytes()) {
                    black_box((origin, frame.narrow(KnownTunnels::INNER, end)));
                    return true;
                }
                let mut headers = *headers;
                black_box(parse::tunnelled(frame, overlay.tables.tunnels(), &mut known, &mut headers)).is_ok()
            })
        };
        self.0.iter_mut().map(&mut decapsulate).map(usize::from).sum()
    }

    /// Answers parsed ARP requests: reads the message, looks whether its sender is news, looks up the target, and makes
    /// the answer in place. The request's 60 bytes are copied back each time.
    #[inline(never)]
    pub fn answer(&mut self, overlay: &Overlay) -> usize {
        let answer = |loaded: &mut Loaded| {
            loaded.restore();
            loaded.frame(|frame, headers, place| answered(overlay, frame, headers, place).is_some())
        };
        self.0.iter_mut().map(answer).map(usize::from).sum()
    }
}

#[inline]
fn answered(overlay: &Overlay, frame: &mut Frame<'_>, headers: &Headers, place: Place) -> Option<()> {
    let (tables, domain) = (&overlay.tables, overlay.tables.domain(DOMAIN)?);
    let message = proxy::Message::read(headers.resolution?, headers, frame.bytes())?;
    black_box(message.claim().and_then(|claim| claim.news(domain, tables.neighbours(), place)));
    let neighbour = message.answer(headers, domain, tables.neighbours(), tables.fdb(), ACCESS)?;
    message.write_answer(frame, headers, &neighbour)
}
