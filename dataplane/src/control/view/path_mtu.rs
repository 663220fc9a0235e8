//! How wide the way to a remote is, and how that is known.

use std::net::IpAddr;

use api::{MtuSource, PathMtu};
use wire::ethernet;

use super::super::path_mtu::expires_in;
use super::super::paths::Way;
use super::super::state::State;
use crate::config::RemoteConfig;

impl State {
    /// The path MTU of a remote that is ready to be sent to.
    pub(in crate::control) fn path_mtu_view(&self, local: IpAddr, remote: &RemoteConfig) -> Option<PathMtu> {
        let pair = (local, remote.address);
        let Some(Way::Ready { ifindex, mtu: of_route, .. }) = self.paths.way(pair.0, pair.1) else {
            return None;
        };
        let of_link = self.underlay.link_by_index(*ifindex)?.mtu;
        let told = self.path_mtus.told(pair);
        let known = [
            Some((of_link, MtuSource::Link)),
            of_route.map(|mtu| (mtu, MtuSource::Route)),
            told.map(|told| (u32::from(told.mtu), MtuSource::Router)),
            self.liveness.narrowed(remote.vni, remote.address).map(|mtu| (u32::from(mtu), MtuSource::Probe)),
        ];
        let (mtu, source) = known.into_iter().flatten().min_by_key(|(mtu, _)| *mtu)?;
        let told = told.filter(|_| source == MtuSource::Router);
        let published = self.fleet.current();
        let longest = self
            .remote_id(remote.vni, remote.address)
            .and_then(|id| published.tables.remote(id))
            .map(|egress| u32::from(egress.longest()).saturating_sub(ethernet::LENGTH as u32));
        Some(PathMtu {
            mtu,
            inner: longest.filter(|longest| *longest != 0),
            source,
            router: told.map(|told| told.router),
            age: told.map(|told| self.now().saturating_sub(told.at)),
            expires: told.map(|told| expires_in(told, self.now())),
        })
    }
}
