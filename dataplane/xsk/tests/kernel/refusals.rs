//! What the host refuses, and in which words.

use std::env;
use std::process::Command;
use std::time::Duration;

use xsk::{
    Device, DeviceConfig, Error, LinkMode, Memory, Mode, Role, Socket, Steering, SteeringConfig, Umem,
    UmemConfig,
};

use crate::lab::{Namespace, veth};
use crate::sockets::{config, load};

#[test]
fn a_queue_in_use_is_named() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    here.within(|| {
        let (steering, _free) = load();
        let _holder = Socket::open(steering.umem(), &config(here.ifindex("near"), 0)).unwrap();
        let error = Socket::open(steering.umem(), &config(here.ifindex("near"), 0)).err().unwrap();
        assert!(matches!(error, Error::QueueBusy { queue: 0, .. }), "{error}");
        assert!(error.to_string().contains("queue 0 of near is in use by another AF_XDP socket"), "{error}");
    });
}

#[test]
fn missing_devices_queues_and_slots_are_named() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    here.within(|| {
        let (steering, _free) = load();
        let ifindex = here.ifindex("near");
        let text = |error: Option<Error>| error.unwrap().to_string();
        let error = text(Socket::open(steering.umem(), &config(4000, 0)).err());
        assert_eq!(error, "device with index 4000: binding an AF_XDP socket: no such device");
        let error = text(steering.attach(0, 4000, Role::Access, LinkMode::Native).err());
        assert_eq!(error, "device with index 4000: attaching the XDP program: no such device");
        assert!(matches!(xsk::receive_queues(4000), Err(Error::DeviceMissing { .. })));
        assert!(matches!(xsk::transmit_dropped(4000), Err(Error::DeviceMissing { .. })));
        assert_eq!(text(Socket::open(steering.umem(), &config(ifindex, 5)).err()), "near has no queue 5");
        let error = text(Socket::open(steering.umem(), &config(ifindex, 64)).err());
        assert_eq!(error, "queues are numbered from 0 to 63, not 64");
        let mut odd = config(ifindex, 0);
        odd.ring_size = 1000;
        let error = text(Socket::open(steering.umem(), &odd).err());
        assert_eq!(error, "a ring has a power of two of entries, from 2 to 16384, not 1000");
        let error = text(steering.attach(1024, ifindex, Role::Access, LinkMode::Native).err());
        assert_eq!(error, "ports are numbered below 1024, not 1024");
        let error = text(steering.attach(0, 1, Role::Access, LinkMode::Generic).err());
        assert_eq!(error, "the loopback device cannot be a port");
        let _attachment = steering.attach(0, ifindex, Role::Access, LinkMode::Native).unwrap();
        let error = text(steering.attach(1, ifindex, Role::Access, LinkMode::Native).err());
        assert_eq!(error, "port 1 or device near is attached already");
    });
}

#[test]
fn without_privileges_the_missing_ones_are_named() {
    const CHILD: &str = "XSK_TEST_UNPRIVILEGED";
    if env::var_os(CHILD).is_some() {
        let (umem, _chunks) =
            Umem::new(&UmemConfig { chunks: 64, chunk_size: 2048, memory: Memory::Anonymous }).unwrap();
        println!("LOAD {}", Steering::load(&SteeringConfig { chunks: 64, chunk_size: 2048 }).err().unwrap());
        println!("OPEN {}", Socket::open(&umem, &config(1, 0)).err().unwrap());
        return;
    }
    let output = Command::new("setpriv")
        .args(["--bounding-set=-all", "--inh-caps=-all", "--"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "refusals::without_privileges_the_missing_ones_are_named", "--nocapture"])
        .env(CHILD, "yes")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    const NEEDS: &str =
        "not permitted; the process needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON";
    assert!(text.contains(&format!("LOAD loading the XDP program: {NEEDS}")), "{text}");
    assert!(text.contains(&format!("OPEN opening an AF_XDP socket: {NEEDS}")), "{text}");
}

#[test]
fn a_device_that_is_refused_leaves_neither_program_nor_sockets() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 2);
    here.within(|| {
        let (steering, _free) = load();
        let ifindex = here.ifindex("near");
        let config = DeviceConfig {
            slot: 0,
            ifindex,
            role: Role::Uplink,
            queues: 3,
            ring_size: 64,
            segments: false,
            best: Mode::Native,
            least: Mode::Generic,
            own_chunks: 64,
            own_memory: Memory::Anonymous,
            patience: Duration::from_secs(2),
        };
        let error = Device::open(&steering, &config).err().unwrap();
        assert_eq!(error.to_string(), "near has no queue 2");
        assert!(!here.has_program("near"));
        let opened = Device::open(&steering, &DeviceConfig { queues: 2, ..config }).unwrap();
        assert_eq!(opened.sockets.len(), 2);
    });
}

#[test]
fn too_little_lockable_memory_is_an_error_with_a_remedy() {
    const CHILD: &str = "XSK_TEST_LOCKED_MEMORY";
    if env::var_os(CHILD).is_some() {
        let (umem, _chunks) =
            Umem::new(&UmemConfig { chunks: 64, chunk_size: 4096, memory: Memory::Anonymous }).unwrap();
        println!("OPEN {}", Socket::open(&umem, &config(1, 0)).err().unwrap());
        return;
    }
    let output = Command::new("prlimit")
        .args(["--memlock=65536:65536", "setpriv", "--bounding-set=-ipc_lock,-sys_resource", "--"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "refusals::too_little_lockable_memory_is_an_error_with_a_remedy", "--nocapture"])
        .env(CHILD, "yes")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("OPEN registration with an AF_XDP socket of 262144 bytes of frame memory: "),
        "{text}"
    );
    assert!(
        text.contains("raise RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=infinity) or grant CAP_IPC_LOCK"),
        "{text}"
    );
}
