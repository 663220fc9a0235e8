//! The ladder of modes.

use std::time::Duration;

use xsk::{Device, DeviceConfig, LinkMode, Memory, Mode, Role, Socket};

use crate::lab::{Namespace, veth};
use crate::packets::numbered;
use crate::raw::Raw;
use crate::sockets::{assert_complete, load, receive};

fn device(ifindex: u32, best: Mode, least: Mode) -> DeviceConfig {
    DeviceConfig {
        slot: 0,
        ifindex,
        role: Role::Access,
        queues: 1,
        ring_size: 256,
        segments: false,
        best,
        least,
        own_chunks: 1024,
        own_memory: Memory::Anonymous,
        patience: Duration::from_secs(2),
    }
}

#[test]
fn a_veth_refuses_zero_copy_says_why_and_becomes_native() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    let far = there.within(|| Raw::open(there.ifindex("far")));
    here.within(|| {
        let (steering, mut free) = load();
        let config = device(here.ifindex("near"), Mode::ZeroCopy, Mode::Generic);
        let mut opened = Device::open(&steering, &config).unwrap();
        assert_eq!((opened.mode, opened.sockets[0].mode()), (Mode::Native, Mode::Native));
        assert_eq!(opened.attachment.mode(), LinkMode::Native);
        assert!(opened.own.is_none());
        let refusals: Vec<String> = opened.refused.iter().map(ToString::to_string).collect();
        assert_eq!(refusals.len(), 1, "{refusals:?}");
        assert!(refusals[0].starts_with("zerocopy: queue 0 of near: zero-copy refused: "), "{refusals:?}");
        let socket = &mut opened.sockets[0];
        socket.fill(&mut free, 100);
        far.send(&numbered(1, 64));
        let received = receive(&steering, socket, 1, &mut free);
        free.extend(received);
        free.extend(opened.sockets.into_iter().flat_map(Socket::close));
        assert_complete(&steering, &free);
    });
}

#[test]
fn a_device_without_native_xdp_becomes_generic() {
    let (here, there) = (Namespace::new(), Namespace::new());
    here.run(&["ip", "link", "add", "near", "type", "bridge"]);
    veth(&here, "port", &there, "far", 1);
    here.run(&["ip", "link", "set", "port", "master", "near"]);
    here.run(&["ip", "link", "set", "near", "up"]);
    let far = there.within(|| Raw::open(there.ifindex("far")));
    here.within(|| {
        let (steering, mut free) = load();
        let config = device(here.ifindex("near"), Mode::ZeroCopy, Mode::Generic);
        let mut opened = Device::open(&steering, &config).unwrap();
        assert_eq!((opened.mode, opened.sockets[0].mode()), (Mode::Generic, Mode::Generic));
        assert_eq!(opened.refused.len(), 2);
        let native = opened.refused[1].to_string();
        assert!(native.starts_with("native: device near: native XDP refused: "), "{native}");
        assert!(native.ends_with("the driver has no native XDP, or not in its present state"), "{native}");
        let socket = &mut opened.sockets[0];
        socket.fill(&mut free, 100);
        // To everybody, so that the bridge takes it up itself.
        let mut frame = numbered(1, 64);
        frame[..6].fill(255);
        far.send(&frame);
        let received = receive(&steering, socket, 1, &mut free);
        free.extend(received);
        free.extend(opened.sockets.into_iter().flat_map(Socket::close));
        assert_complete(&steering, &free);
        drop(opened.attachment);
        // And if less is not wanted, it is an error that says why.
        let config = device(here.ifindex("near"), Mode::ZeroCopy, Mode::Native);
        let error = Device::open(&steering, &config).err().unwrap();
        assert!(matches!(error, xsk::Error::AttachRefused { mode: LinkMode::Native, .. }), "{error}");
        assert!(!here.has_program("near"));
    });
}

#[test]
fn zero_copy_or_nothing_leaves_nothing_behind() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    here.within(|| {
        let (steering, free) = load();
        let config = device(here.ifindex("near"), Mode::ZeroCopy, Mode::ZeroCopy);
        let error = Device::open(&steering, &config).err().unwrap();
        assert!(matches!(error, xsk::Error::ZeroCopyRefused { .. }), "{error}");
        assert!(!here.has_program("near"));
        let config = device(here.ifindex("near"), Mode::Native, Mode::Native);
        drop(Device::open(&steering, &config).unwrap());
        assert_complete(&steering, &free);
    });
}
