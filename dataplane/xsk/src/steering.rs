//! The XDP program: which frames of a device go to our sockets. Loads it, attaches it, sets its rules, reads its
//! counters. Used by the control thread only.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crate::{Burst, Chunk, Error, Umem, Unsuitable};

/// Sizes of the shared frame memory, which the program can read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SteeringConfig {
    /// How many chunks: a power of two.
    pub chunks: u32,
    /// Bytes per chunk: 2048 or 4096.
    pub chunk_size: u32,
}

/// What a port faces, which decides what the program takes from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The underlay: only tunnel packets for us ([`UplinkRules`]); everything else goes to the kernel.
    Uplink,
    /// A workload: every frame; without a socket it is dropped, never given to the host's own stack.
    Access,
}

/// What the program takes from uplinks. One set for all of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UplinkRules {
    /// Our underlay addresses, at most 4096: only packets to one of them are taken.
    pub addresses: Vec<IpAddr>,
    /// UDP destination ports that are VXLAN, at most [`crate::MAX_UDP_PORTS`].
    pub udp_ports: Vec<u16>,
    /// Whether GRE (IP protocol 47) is taken.
    pub gre: bool,
}

/// How the program is attached to a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkMode {
    /// In the driver.
    Native,
    /// In the kernel's generic receive path, on ready-made socket buffers: any device, slowly.
    Generic,
}

/// What the program did with the frames of one port since it was attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SteeringCounters {
    /// Given to a socket. (A full receive ring then shows in [`crate::Statistics`].)
    pub to_socket: u64,
    /// Left to the kernel, because they are not ours.
    pub to_kernel: u64,
    /// Ours, but no socket on their queue: to the kernel from an uplink, dropped from an access port.
    pub no_socket: u64,
}

/// The loaded program and its maps. Can be shared between threads; nothing here is for the hot path.
pub struct Steering {
    umem: Arc<Umem>,
}

impl Steering {
    /// Loads the program, and makes the shared frame memory that it can read, with every token there will be.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`], [`Error::Privilege`], [`Error::Memory`], [`Error::Program`] with the verifier's words.
    pub fn load(config: &SteeringConfig) -> Result<(Self, Arc<Umem>, Vec<Chunk>), Error> {
        let _ = config;
        unimplemented!()
    }

    /// The shared frame memory.
    #[must_use]
    pub fn umem(&self) -> &Arc<Umem> {
        &self.umem
    }

    /// Attaches the program to a device, as the port `slot`. It stays until the attachment is dropped or the process
    /// ends, however it ends.
    ///
    /// # Errors
    ///
    /// [`Error::ProgramPresent`] when the device already has an XDP program: it is left alone.
    /// [`Error::AttachRefused`] when the driver has no native XDP or refuses it now (the text says what it says).
    /// [`Error::DeviceMissing`], [`Error::Privilege`], [`Error::Configuration`] for a slot in use or the loopback device.
    pub fn attach(&self, slot: u16, ifindex: u32, role: Role, mode: LinkMode) -> Result<Attachment, Error> {
        let _ = (slot, ifindex, role, mode);
        unimplemented!()
    }

    /// Sends the frames of a port's queue to this socket from now on. The kernel forgets the socket by itself when it
    /// is closed.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a queue beyond [`crate::MAX_QUEUES`], [`Error::Map`].
    pub fn set_socket(&self, slot: u16, queue: u32, socket: BorrowedFd<'_>) -> Result<(), Error> {
        let _ = (slot, queue, socket);
        unimplemented!()
    }

    /// Replaces the rules of all uplinks, live. What stays in the set is taken without a gap.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] beyond the limits, [`Error::Map`].
    pub fn set_rules(&self, rules: &UplinkRules) -> Result<(), Error> {
        let _ = rules;
        unimplemented!()
    }

    /// Counters of a port.
    ///
    /// # Errors
    ///
    /// [`Error::Map`].
    pub fn counters(&self, slot: u16) -> Result<SteeringCounters, Error> {
        let _ = slot;
        unimplemented!()
    }

    /// The burst transmitter of a worker. It may be used from any one thread, which must be in the network namespace
    /// of the ports.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] when `worker` is not below [`crate::MAX_WORKERS`] or has one already;
    /// [`Error::BurstUnsupported`] when the kernel cannot (Linux 5.18 is needed).
    pub fn burst(&self, worker: u16) -> Result<Burst, Error> {
        let _ = worker;
        unimplemented!()
    }

    /// Whether frames can be burst to this device, as far as can be told without sending one.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn probe_burst(&self, ifindex: u32) -> Result<(), Unsuitable> {
        let _ = ifindex;
        unimplemented!()
    }
}

/// The program on one device. Dropping it detaches.
pub struct Attachment {
    slot: u16,
    ifindex: u32,
    mode: LinkMode,
}

impl Attachment {
    /// The port.
    #[must_use]
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// The device.
    #[must_use]
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// How it is attached.
    #[must_use]
    pub fn mode(&self) -> LinkMode {
        self.mode
    }
}

impl AsFd for Attachment {
    /// The `bpf_link`.
    fn as_fd(&self) -> BorrowedFd<'_> {
        unimplemented!()
    }
}
