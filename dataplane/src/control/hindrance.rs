//! What keeps packets from a remote, or some of them: told to whoever asks, and once in the log when it begins.

use std::collections::BTreeMap;
use std::net::IpAddr;

use wire::Vni;

use super::path_mtu::FLOOR_IPV6;
use super::paths::Way;
use super::state::State;
use crate::config::{Keyed, PortRole, RemoteConfig};

/// Remotes that are told of one by one, in the status or at once in the log; of the others only their number is. A lost
/// uplink hinders all there are.
const TOLD: usize = 8;

/// What was last told of each remote, in words.
pub(super) type Hindrances = BTreeMap<(Vni, IpAddr), String>;

impl State {
    /// Why packets do not reach a remote, or not all of them, if so.
    pub(super) fn hindrance(&self, remote: &RemoteConfig) -> Option<String> {
        let local = self.config.local_towards(remote.vni, remote.address)?;
        self.no_way(local, remote.address).or_else(|| narrowness(self.path_mtu_view(local, remote)?))
    }

    /// Why there is no way from one of our addresses to a remote: the kernel has none, or one by a device that is no
    /// uplink.
    fn no_way(&self, local: IpAddr, remote: IpAddr) -> Option<String> {
        let ifindex = match self.paths.way(local, remote)? {
            Way::None(why) => return Some(why.clone()),
            Way::Unresolved { ifindex, .. } | Way::Ready { ifindex, .. } => *ifindex,
        };
        if self.uplink(ifindex).is_some() {
            return None;
        }
        let link = self.underlay.link_by_index(ifindex);
        let device =
            link.map_or_else(|| format!("the device with index {ifindex}"), |link| link.name.clone());
        let why = match self.config.ports.iter().find(|port| port.device == device) {
            Some(port) if port.role == PortRole::Uplink => {
                format!("whose port {0} cannot send; see `vtep-ctl port show {0}`", port.name)
            }
            Some(port) => format!("where port {} faces workloads; move the route to an uplink", port.name),
            None => format!("which is no port; `vtep-ctl port add NAME dev {device} uplink`"),
        };
        Some(format!("the route to {remote} leaves by {device}, {why}"))
    }

    fn hindrances(&self) -> Hindrances {
        let remotes = self.config.remotes.iter();
        remotes.filter_map(|remote| Some((remote.key(), self.hindrance(remote)?))).collect()
    }

    /// What keeps packets from remotes, one sentence for each of the first and one for the others.
    pub(super) fn hindrance_sentences(&self) -> Vec<String> {
        sentences(&self.hindrances())
    }

    /// Tells of hindrances that were not there before.
    pub(super) fn tell_hindrances(&mut self) {
        let now = self.hindrances();
        let news = now.iter().filter(|(key, why)| self.hindrances.get(key) != Some(why));
        let news: Hindrances = news.map(|(key, why)| (*key, why.clone())).collect();
        for why in sentences(&news) {
            tracing::warn!(why, "not every packet reaches its remote");
        }
        self.hindrances = now;
    }
}

/// Why larger IPv6 packets do not fit a path and nobody is told, if so: IPv6 demands 1280 bytes of each link and has no word
/// for less (RFC 8200 section 5).
fn narrowness(path: api::PathMtu) -> Option<String> {
    let (floor, inner) = (u32::from(FLOOR_IPV6), path.inner?);
    let missing = floor.checked_sub(inner).filter(|missing| *missing != 0)?;
    let wanted = path.mtu + missing;
    Some(format!(
        "IPv6 packets of more than {inner} bytes are dropped, and their senders cannot be told, as IPv6 has no path MTU below \
         {floor}; make the way there take packets of {wanted} bytes, or help TCP alone by `mss_clamp` of the VNI"
    ))
}

fn sentences(hindrances: &Hindrances) -> Vec<String> {
    let told = hindrances.iter().take(TOLD);
    let mut sentences: Vec<String> =
        told.map(|((vni, remote), why)| format!("remote {remote} in VNI {vni}: {why}")).collect();
    if let Some(others) = hindrances.len().checked_sub(TOLD).filter(|others| *others != 0) {
        sentences.push(format!("{others} more remotes; see `vtep-ctl remote show`"));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_path_with_less_than_ipv6_demands_says_how_much_is_missing() {
        let path = |inner| {
            let (source, nobody) = (api::MtuSource::Link, None);
            narrowness(api::PathMtu { mtu: 1320, inner, source, router: None, age: nobody, expires: nobody })
        };
        assert_eq!((path(None), path(Some(1280))), (None, None));
        let why = path(Some(1270)).unwrap();
        assert!(why.contains("more than 1270 bytes") && why.contains("packets of 1330 bytes"), "{why}");
    }

    #[test]
    fn a_few_are_told_of_in_full_and_the_others_counted() {
        let hindered = |remotes: u8| -> Hindrances {
            let remote = |number| IpAddr::V4(Ipv4Addr::new(192, 0, 2, number));
            (1..=remotes)
                .map(|number| ((Vni::new(100).unwrap(), remote(number)), "it rains".to_owned()))
                .collect()
        };
        assert!(sentences(&hindered(0)).is_empty());
        assert_eq!(sentences(&hindered(1)), ["remote 192.0.2.1 in VNI 100: it rains"]);
        assert_eq!(sentences(&hindered(8)).len(), 8);
        let many = sentences(&hindered(200));
        assert_eq!((many.len(), many[8].as_str()), (9, "192 more remotes; see `vtep-ctl remote show`"));
    }
}
