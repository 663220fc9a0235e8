//! Who may send what: from the configuration to what the pipeline holds frames against, and a word in the log when
//! somebody tries.

use std::collections::BTreeMap;
use std::net::IpAddr;

use forward::ids::PortId;
use forward::protection::{Binding, Claims, Guard, LearningLimits, Protection};
use forward::verdict::DropReason;

use wire::{Mac, Vni};

use super::alarm::Told;
use super::book::LEARNED_PER_VNI;
use super::state::State;
use crate::config::{BindingConfig, GuardConfig, PortRole};

/// Seconds between two warnings of one kind about one port.
const REPEAT: u32 = 1;

/// Looks for misplaced entries that are to find nothing, a second apart, before no more are expected.
pub(super) const MISPLACED_LOOKS: u8 = 2;

/// Reasons that somebody should hear of: whoever sends such frames is misconfigured or means harm. `ISOLATED` and `FLOOD_OFF`
/// are not among them: they are what was asked for, and any workload's every broadcast may meet them.
const REFUSALS: [DropReason; 24] = [
    DropReason::MacInvalidSource,
    DropReason::VxlanInvalidHeader,
    DropReason::VxlanVniNotFound,
    DropReason::GreVersion,
    DropReason::GreFlags,
    DropReason::GreInvalidHeader,
    DropReason::UdpChecksum,
    DropReason::GreChecksum,
    DropReason::IpChecksum,
    DropReason::OuterFragment,
    DropReason::IpTunnelEcn,
    DropReason::FrameTooShort,
    DropReason::VlanTagged,
    DropReason::VlanNotAllowed,
    DropReason::PeerNotAllowed,
    DropReason::VxlanEntryExists,
    DropReason::SpoofedSource,
    DropReason::LockedPort,
    DropReason::TunnelFromWorkload,
    DropReason::RogueRouter,
    DropReason::RogueDhcp,
    DropReason::Ipv6HeaderChain,
    DropReason::StormLimit,
    DropReason::BfdInvalid,
];

/// What was last seen and said of each port.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    told: BTreeMap<(PortId, &'static str), Told>,
    /// Of each VNI, the neighbours that found no room.
    neighbours: BTreeMap<Vni, Told>,
}

impl Refusals {
    /// Notes a count; returns how many are news, if it is time to tell.
    fn note(&mut self, port: PortId, reason: &'static str, count: u64, now: u32) -> Option<u64> {
        self.told.entry((port, reason)).or_default().news(count, now, REPEAT)
    }

    /// Forgets ports that are not there any more.
    fn retain(&mut self, ports: &[PortId]) {
        self.told.retain(|(port, _), _| ports.contains(port));
    }
}

/// What was published last of how much may be learned and whose an address is, and whether entries that were learned before
/// may be against it: then the next tick looks.
#[derive(Debug, Default)]
pub(super) struct Enforced {
    /// Learning limits.
    pub(super) limits: LearningLimits,
    /// There may be more learned entries than they allow.
    pub(super) may_exceed_limits: bool,
    /// What bindings say whose it is.
    claims: Claims,
    /// There may be learned entries where none may be; so many more looks, one with each tick.
    pub(super) misplaced_looks: u8,
}

impl State {
    /// What the pipeline holds frames against. If limits or bindings differ from before, what is against them is to be
    /// forgotten.
    pub(super) fn protection(&mut self) -> Protection {
        let protection = self.protection_of_configuration();
        if self.enforced.claims != protection.claims {
            self.enforced.claims = protection.claims.clone();
            self.enforced.misplaced_looks = MISPLACED_LOOKS;
        }
        if self.enforced.limits != protection.limits {
            self.enforced.limits = protection.limits.clone();
            self.enforced.may_exceed_limits = true;
        }
        protection
    }

    fn protection_of_configuration(&self) -> Protection {
        let access = self.config.ports.iter().filter(|port| port.role != PortRole::Uplink);
        let access = access.filter_map(|port| Some((self.port_id(&port.name)?, &port.guard)));
        let guards = access.clone().map(|(port, config)| (port, guard(config)));
        let remotes = self.config.remotes.iter();
        let remotes = remotes
            .filter_map(|remote| Some((self.remote_id(remote.vni, remote.address)?, remote.learn_limit)));
        let domains = self.config.vnis.iter();
        Protection {
            guards: guards.collect(),
            claims: self.claims(),
            limits: LearningLimits {
                ports: access.map(|(port, guard)| (port, guard.learn_limit)).collect(),
                remotes: remotes.collect(),
                domains: domains
                    .filter_map(|vni| Some((self.domain_id(vni.vni)?, vni.learn_limit)))
                    .collect(),
            },
        }
    }

    /// What bindings make the own of ports, in each of their domains.
    fn claims(&self) -> Claims {
        let mut claims = Claims::default();
        for port in &self.config.ports {
            let bindings: Vec<Binding> = port.guard.bind.iter().map(bound).collect();
            for domain in port.role.vnis().filter_map(|vni| self.domain_id(vni)) {
                for binding in &bindings {
                    let _ = claims.macs.insert((domain, binding.mac));
                    claims.addresses.extend(binding.claimed().map(|address| (domain, address)));
                }
            }
        }
        claims
    }

    /// Whether a protocol address may be that of an Ethernet address, as far as bindings go.
    fn admits_neighbour(&self, vni: Vni, address: IpAddr, mac: Mac) -> bool {
        let is_claimed = self
            .domain_id(vni)
            .is_some_and(|domain| self.enforced.claims.addresses.contains(&(domain, address)));
        let ports = || self.config.ports.iter().filter(|port| port.role.vnis().any(|of| of == vni));
        let bindings = || ports().flat_map(|port| &port.guard.bind);
        !is_claimed || bindings().any(|config| config.mac == mac && bound(config).has(address))
    }

    /// Forgets what is learned where it must not be: an address that is bound elsewhere, or anything at a remote that does not
    /// answer. Looks again until it finds nothing, as a worker may still learn by the tables before.
    pub(super) fn forget_misplaced(&mut self) {
        if self.enforced.misplaced_looks == 0 {
            return;
        }
        let published = self.fleet.current();
        let tables = &published.tables;
        let mut forgotten = self.fdb.flush(|key, entry| {
            self.is_learned(key, entry)
                && (tables.is_withdrawn(entry.place) || !tables.admits(key, entry.place))
        });
        let mut book = std::mem::take(&mut self.book);
        let neighbours = book.retain(|vni, address, seen| self.admits_neighbour(vni, address, seen.mac));
        self.book = book;
        self.stale.tables |= neighbours != 0;
        forgotten += neighbours;
        if forgotten == 0 {
            self.enforced.misplaced_looks -= 1;
        } else {
            self.enforced.misplaced_looks = MISPLACED_LOOKS;
            tracing::info!(
                forgotten,
                "learned addresses are forgotten: bound elsewhere, or at a withdrawn remote"
            );
        }
    }

    /// Tells of frames that were refused since it was last told: at most once a second for each port and reason.
    pub(super) fn watch_refusals(&mut self, now: u32) {
        let ports: Vec<(PortId, String)> =
            self.ports.iter().map(|(name, port)| (port.id, name.clone())).collect();
        self.refusals.retain(&ports.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        for (id, name) in &ports {
            let counts = self.counts(*id);
            for reason in REFUSALS {
                let count = counts.drops_for(reason);
                if let Some(frames) = self.refusals.note(*id, reason.name(), count, now) {
                    let (reason, help) = (reason.name(), reason.help());
                    tracing::warn!(port = name, reason, frames, help, "frames refused");
                }
            }
            let strangers = self.steering.counters(id.0).map_or(0, |counters| counters.strangers);
            if let Some(frames) = self.refusals.note(*id, STRANGERS.0, strangers, now) {
                tracing::warn!(
                    port = name,
                    reason = STRANGERS.0,
                    frames,
                    help = STRANGERS.1,
                    "frames refused"
                );
            }
            if let Some(frames) = self.refusals.note(*id, "unlearned", counts.unlearned, now) {
                let help =
                    "`vtep-ctl vni show` and `port show` tell which limit is reached; frames are forwarded";
                tracing::warn!(port = name, frames, help, "addresses not learned");
            }
        }
    }

    /// Tells of VNIs whose neighbours found no room since it was last told, and who has most of them there.
    pub(super) fn watch_neighbours(&mut self, now: u32) {
        let vnis: Vec<Vni> = self.config.vnis.iter().map(|config| config.vni).collect();
        self.refusals.neighbours.retain(|vni, _| vnis.contains(vni));
        for vni in vnis {
            let told = self.refusals.neighbours.entry(vni).or_default();
            let Some(unlearned) = told.news(self.book.unlearned_in(vni), now, REPEAT) else { continue };
            let (most_at, neighbours) = self
                .book
                .largest_in(vni)
                .map_or_else(|| ("nobody".to_owned(), 0), |(place, share)| (self.describe(place), share));
            tracing::warn!(
                vni = vni.value(),
                unlearned,
                limit = LEARNED_PER_VNI,
                most_at,
                neighbours,
                help = "whoever has most has to make room; `vtep-ctl port guard NAME bind` holds a workload to its addresses",
                "neighbours not learned, or forgotten to make room"
            );
        }
    }
}

/// What the XDP program drops of those that are no peers: name and help.
pub(super) const STRANGERS: (&str, &str) =
    ("PEER_UNKNOWN", "The outer source is no remote of any VNI; the XDP program dropped the packet.");

fn guard(config: &GuardConfig) -> Guard {
    let bindings = config.bind.iter().map(bound).collect();
    Guard { trusted: config.trusted, locked: config.locked, bindings }
}

fn bound(config: &BindingConfig) -> Binding {
    Binding { mac: config.mac, addresses: config.addresses.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_refusals_is_a_line_a_second_for_each_reason() {
        let mut refusals = Refusals::default();
        let port = PortId(3);
        assert_eq!(refusals.note(port, "A", 0, 100), None);
        assert_eq!(refusals.note(port, "A", 5, 101), Some(5));
        assert_eq!(refusals.note(port, "B", 1, 101), Some(1));
        assert_eq!(refusals.note(port, "A", 9, 101), None, "it was told in this second");
        let told: Vec<_> = (102..105)
            .flat_map(|now| [now * 10, now * 10 + 5].map(|count| (now, u64::from(count))))
            .filter_map(|(now, count)| refusals.note(port, "A", count, now))
            .collect();
        assert_eq!(told, [1020 - 5, 10, 10], "what was left out once is told the next time");
        assert_eq!(refusals.note(port, "A", 1045, 105), Some(5));
        assert_eq!(refusals.note(port, "A", 1045, 200), None, "it has ended");
        refusals.retain(&[]);
        assert!(refusals.told.is_empty());
    }
}
