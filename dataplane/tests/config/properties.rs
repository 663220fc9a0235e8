//! Properties of configurations made at random: what is written is read back, differences lead where they should, a
//! change that is made leaves a right configuration, and no file whatever ends in a panic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use dataplane::config::{
    self, BindingConfig, Busy, Change, Config, EncapsulationConfig, FdbConfig, FdbDestination, FdbKind,
    FloodConfig, GreKey, GroupConfig, GroupMember, GuardConfig, LivenessConfig, LivenessWish, LocalAddresses,
    LogTarget, ModeWish, MssClamp, NeighbourConfig, PortConfig, PortPolicy, PortRole, PortTuning,
    RemoteConfig, TransmitWish, TrunkConfig, TrunkTuning, TrunkVlan, TunnelConfig, VniConfig, WorkerConfig,
    XdpMode, owner, render,
};
use dataplane::plan::{Severity, diff, restarts, validate};
use forward::entropy::SourcePorts;
use forward::marking::{DontFragment, EcnMode, Marking, Octet};
use forward::tables::InnerTags;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use wire::{Mac, Vlan, Vni};

// A small world, so that things meet.

fn vni() -> impl Strategy<Value = Vni> {
    (1u32..6).prop_map(|value| Vni::new(value).unwrap())
}

fn underlay() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        12 => (1u8..6).prop_map(|host| IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))),
        4 => (1u16..6).prop_map(|host| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host))),
        1 => Just(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        1 => Just(IpAddr::V4(Ipv4Addr::BROADCAST)),
    ]
}

fn locals() -> impl Strategy<Value = LocalAddresses> {
    vec(underlay(), 1..3).prop_map(|addresses| {
        LocalAddresses::of(addresses.iter().copied()).unwrap_or(LocalAddresses::one(addresses[0]))
    })
}

fn mac() -> impl Strategy<Value = Mac> {
    (0u8..4, 1u8..6).prop_map(|(first, last)| Mac([if first == 0 { 1 } else { 2 }, 0, 0, 0, 0, last]))
}

fn encapsulation() -> impl Strategy<Value = EncapsulationConfig> {
    prop_oneof![
        Just(EncapsulationConfig::VXLAN),
        (5000u16..5012).prop_map(|port| EncapsulationConfig::Vxlan { port }),
        prop_oneof![Just(GreKey::Vni), Just(GreKey::Absent), (1u32..6).prop_map(GreKey::Number)]
            .prop_map(|key| EncapsulationConfig::Gre { key }),
        Just(EncapsulationConfig::Nvgre),
        (4754u16..4756, 1u32..4)
            .prop_map(|(port, key)| EncapsulationConfig::GreUdp { port, key: GreKey::Number(key) }),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(vec!["up", "a", "b", "c", "d"]).prop_map(str::to_owned),
        1 => "[ -~]{0,8}",
    ]
}

prop_compose! {
    fn tuning()(
        unicast in option::weighted(0.1, any::<bool>()),
        multicast in option::weighted(0.1, any::<bool>()),
        broadcast in option::weighted(0.1, any::<bool>()),
        isolated in option::weighted(0.1, any::<bool>()),
        fastleave in option::weighted(0.1, any::<bool>()),
        storm_limit in option::weighted(0.1, 0u32..4),
    ) -> PortTuning {
        let trunk = TrunkTuning::default();
        PortTuning { unicast, multicast, broadcast, isolated, fastleave, storm_limit, trunk }
    }
}

fn vlan() -> impl Strategy<Value = Vlan> {
    (1u16..6).prop_map(|value| Vlan::new(value).unwrap())
}

fn vlans() -> impl Strategy<Value = Vec<TrunkVlan>> {
    vec((vlan(), vni()).prop_map(|(vlan, vni)| TrunkVlan { vlan, vni }), 0..4)
}

/// Of which VNIs have VLANs of their own or share one; of these most are right.
fn trunk() -> impl Strategy<Value = TrunkConfig> {
    (vlans(), option::of(vlan()), any::<bool>()).prop_map(|(vlans, native, is_any)| {
        let mut trunk = TrunkConfig::new(vlans, native);
        if !is_any {
            trunk.vlans.dedup_by_key(|row| row.vlan);
            trunk.vlans.sort_unstable_by_key(|row| row.vni);
            trunk.vlans.dedup_by_key(|row| row.vni);
            trunk = TrunkConfig::new(trunk.vlans, native).without(|_| true);
        }
        trunk
    })
}

/// A change of what a port faces as well as of what is flooded.
fn retuning() -> impl Strategy<Value = PortTuning> {
    let trunk = (option::of(vlans()), option::of(option::of(vlan())))
        .prop_map(|(vlans, native)| TrunkTuning { vlans, native });
    (tuning(), trunk).prop_map(|(tuning, trunk)| PortTuning { trunk, ..tuning })
}

prop_compose! {
    fn guard()(
        trusted in prop_oneof![4 => Just(false), 1 => Just(true)],
        locked in prop_oneof![4 => Just(false), 1 => Just(true)],
        bind in prop_oneof![4 => Just(Vec::new()), 1 => vec((mac(), vec(underlay(), 0..3)), 0..3)],
        learn_limit in select(vec![GuardConfig::LEARN_LIMIT, 0, 8]),
    ) -> GuardConfig {
        let bind = bind.into_iter().map(|(mac, addresses)| BindingConfig { mac, addresses }).collect();
        GuardConfig { trusted, locked, bind, learn_limit }
    }
}

prop_compose! {
    fn port()(
        name in name(),
        device in name(),
        role in prop_oneof![
            Just(PortRole::Uplink),
            vni().prop_map(|vni| PortRole::Access { vni }),
            trunk().prop_map(PortRole::Trunk),
        ],
        mode in select(vec![ModeWish::Auto, ModeWish::Only(XdpMode::Native), ModeWish::Only(XdpMode::ZeroCopy)]),
        require in option::of(select(vec![XdpMode::Generic, XdpMode::Native, XdpMode::ZeroCopy])),
        queues in option::of(1u32..40),
        ring_size in select(vec![64, 2048, 16_384, 1000]),
        transmit in select(vec![TransmitWish::Auto, TransmitWish::Ring, TransmitWish::Burst]),
        namespace in option::of(select(vec!["blue", "/proc/1/ns/net", "a/b", ""]).prop_map(str::to_owned)),
        (tuning, guard) in (tuning(), guard()),
    ) -> PortConfig {
        let policy = tuning.of(PortPolicy::default());
        PortConfig { name, device, role, mode, require, queues, ring_size, transmit, namespace, policy, guard }
    }
}

fn tunnel() -> impl Strategy<Value = TunnelConfig> {
    let plain = Just(TunnelConfig::default());
    let range = (1u16.., any::<u16>())
        .prop_map(|(one, other)| SourcePorts::new(one.min(other.max(1)), one.max(other)));
    let any = (vec(5000u16..5012, 0..3), range, any::<u64>(), any::<bool>(), any::<bool>()).prop_map(
        |(further_ports, source_ports, bits, gre_checksum, gre_sequence)| TunnelConfig {
            further_ports,
            source_ports: source_ports.unwrap(),
            reserved_bits: bits & wire::vxlan::RESERVED,
            gre_checksum,
            gre_sequence,
        },
    );
    prop_oneof![2 => plain, 1 => any]
}

fn marking() -> impl Strategy<Value = Marking> {
    let octet = || prop_oneof![Just(Octet::Inherited), any::<u8>().prop_map(Octet::Fixed)];
    let df = select(vec![DontFragment::Set, DontFragment::Unset, DontFragment::Inherited]);
    let ecn = select(vec![EcnMode::Normal, EcnMode::Reset, EcnMode::Compatibility]);
    (octet(), octet(), df, ecn).prop_map(|(tos, ttl, df, ecn)| Marking { tos, ttl, df, ecn })
}

prop_compose! {
    fn asked()(
        interval in prop_oneof![8 => 50u32..60_001, 1 => any::<u32>()],
        multiplier in prop_oneof![8 => 1u8..10, 1 => any::<u8>()],
        recovery in 0u16..1100,
        paths in 0u8..70,
        path_mtu: bool,
    ) -> LivenessConfig {
        LivenessConfig { interval, multiplier, recovery, paths, path_mtu }
    }
}

fn liveness() -> impl Strategy<Value = LivenessWish> {
    prop_oneof![
        4 => Just(LivenessWish::Off),
        1 => Just(LivenessWish::On(LivenessConfig::default())),
        1 => asked().prop_map(LivenessWish::On),
    ]
}

prop_compose! {
    fn domain()(
        vni in vni(),
        local in locals(),
        encapsulation in encapsulation(),
        learning: bool,
        ageing in prop_oneof![0u32..5000, any::<u32>()],
        arp_proxy: bool,
        nd_proxy: bool,
        marking in marking(),
        udp_checksum in option::weighted(0.2, any::<bool>()),
        (unicast, multicast, broadcast) in any::<(bool, bool, bool)>(),
        (move_limit, learn_limit) in (0u32..7, select(vec![VniConfig::LEARN_LIMIT, 8])),
        (mcast_snooping, mcast_group) in mcast(),
        liveness in liveness(),
        tunnel in tunnel(),
        inner_tags in select(vec![InnerTags::Carried, InnerTags::Dropped]),
        mss_clamp in prop_oneof![
            Just(MssClamp::Off),
            Just(MssClamp::Path),
            MssClamp::BYTES.prop_map(MssClamp::Bytes),
        ],
    ) -> VniConfig {
        let flood = FloodConfig { unicast, multicast, broadcast };
        VniConfig {
            vni, local, encapsulation, learning, ageing, arp_proxy, nd_proxy, marking, udp_checksum, flood, mcast_snooping, mcast_group, move_limit, liveness, tunnel, inner_tags,
            mss_clamp, learn_limit,
        }
    }
}

prop_compose! {
    fn remote()(
        vni in vni(),
        address in underlay(),
        encapsulation in option::of(encapsulation()),
        flood: bool,
        udp_checksum in option::weighted(0.2, any::<bool>()),
        storm_limit in prop_oneof![Just(FloodConfig::STORM_LIMIT), any::<u32>()],
        learn_limit in select(vec![RemoteConfig::LEARN_LIMIT, 8]),
        liveness in option::weighted(0.2, liveness()),
    ) -> RemoteConfig {
        RemoteConfig { vni, address, encapsulation, flood, udp_checksum, storm_limit, liveness, learn_limit }
    }
}

fn group_name() -> impl Strategy<Value = String> {
    prop_oneof![8 => select(vec!["pair", "trio"]).prop_map(str::to_owned), 1 => "[ -~]{0,8}"]
}

prop_compose! {
    fn group()(
        vni in vni(),
        name in group_name(),
        members in vec((underlay(), prop_oneof![8 => 1u16..257, 1 => any::<u16>()], any::<bool>()), 0..4),
        flood: bool,
    ) -> GroupConfig {
        let member = |(remote, weight, backup)| GroupMember { remote, weight, backup };
        GroupConfig { vni, name, members: members.into_iter().map(member).collect(), flood }
    }
}

fn mcast() -> impl Strategy<Value = (bool, Option<IpAddr>)> {
    let groups = ["239.1.1.1", "ff05::100"].map(|text| text.parse().unwrap());
    (any::<bool>(), option::weighted(0.2, select(groups.to_vec())))
}

fn change() -> impl Strategy<Value = Change> {
    let destination = prop_oneof![
        name().prop_map(FdbDestination::Port),
        underlay().prop_map(FdbDestination::Remote),
        group_name().prop_map(FdbDestination::Group),
    ];
    let owner = || select(vec![owner::CONFIGURATION, owner::CONTROL, "evpn", "evpn"]).prop_map(str::to_owned);
    let kind = select(vec![FdbKind::Static, FdbKind::External, FdbKind::Sticky]);
    let entry = (vni(), mac(), destination, kind, owner())
        .prop_map(|(vni, mac, destination, kind, owner)| FdbConfig { vni, mac, destination, kind, owner });
    let host = || {
        let four = (0u8..6).prop_map(|host| IpAddr::from([10 * u8::from(host > 0), 0, 0, host]));
        let six =
            (0u16..6).prop_map(|host| IpAddr::from([0x2001 * u16::from(host > 0), 0, 0, 0, 0, 0, 0, host]));
        prop_oneof![four, six]
    };
    let neighbour = (vni(), host(), mac(), any::<bool>(), owner())
        .prop_map(|(vni, address, mac, router, owner)| NeighbourConfig { vni, address, mac, router, owner });
    prop_oneof![
        4 => port().prop_map(Change::AddPort),
        1 => name().prop_map(Change::RemovePort),
        2 => (name(), retuning()).prop_map(|(name, tuning)| Change::TunePort { name, tuning }),
        1 => (name(), guard()).prop_map(|(name, guard)| Change::GuardPort { name, tuning: guard.into() }),
        6 => (domain(), any::<bool>()).prop_map(|(vni, replace)| Change::SetVni { vni, replace }),
        1 => vni().prop_map(Change::RemoveVni),
        6 => (remote(), any::<bool>()).prop_map(|(remote, replace)| Change::SetRemote { remote, replace }),
        1 => (vni(), underlay()).prop_map(|(vni, address)| Change::RemoveRemote { vni, address }),
        6 => (group(), any::<bool>()).prop_map(|(group, replace)| Change::SetGroup { group, replace }),
        1 => (vni(), group_name()).prop_map(|(vni, name)| Change::RemoveGroup { vni, name }),
        6 => (entry, any::<bool>()).prop_map(|(entry, replace)| Change::SetFdb { entry, replace }),
        1 => (vni(), mac()).prop_map(|(vni, mac)| Change::RemoveFdb { vni, mac }),
        3 => (neighbour, any::<bool>()).prop_map(|(neighbour, replace)| Change::SetNeighbour { neighbour, replace }),
        1 => (vni(), host()).prop_map(|(vni, address)| Change::RemoveNeighbour { vni, address }),
    ]
}

prop_compose! {
    fn settings()(
        chunks in select(vec![256u32, 1024, 16_384, 65_536]),
        chunk_size in select(vec![2048u32, 4096]),
        jumbo_chunks in select(vec![0u32, 64, 1024, 4096]),
        socket in "/[ -~]{1,40}",
        socket_group in option::of("[a-z\"\\\\]{1,8}"),
        log_target in select(vec![LogTarget::Auto, LogTarget::Stderr, LogTarget::Journald]),
        cpus in proptest::collection::btree_set(any::<u32>(), 0..4),
        busy in select(vec![Busy::Adaptive, Busy::Always]),
    ) -> Config {
        let mut config = Config::default();
        config.umem.chunks = chunks;
        config.umem.chunk_size = chunk_size;
        config.umem.jumbo_chunks = jumbo_chunks;
        config.daemon.socket = socket.into();
        config.daemon.socket_group = socket_group;
        config.daemon.log_target = log_target;
        config.workers = cpus.into_iter().map(|cpu| WorkerConfig { cpu: Some(cpu), busy }).collect();
        config
    }
}

/// A configuration without errors: the changes that are not refused.
fn right() -> impl Strategy<Value = Config> {
    (settings(), vec(change(), 0..120)).prop_map(|(mut config, changes)| {
        for change in &changes {
            // What is refused is not wanted.
            let _ = config.apply(change);
        }
        config
    })
}

/// Ten VNIs with a port and one common peer, which use five GRE keys and nine UDP ports, one more than there may be.
fn crowded() -> impl Strategy<Value = Config> {
    let wish = prop_oneof![
        3 => (5000u16..5009).prop_map(|port| EncapsulationConfig::Vxlan { port }),
        2 => (1u32..6).prop_map(|key| EncapsulationConfig::Gre { key: GreKey::Number(key) }),
    ];
    vec(wish, 10).prop_map(|wishes| {
        let mut config = Config::default();
        for (value, encapsulation) in (1..).zip(wishes) {
            let vni = Vni::new(value).unwrap();
            let address = |host| IpAddr::V4(Ipv4Addr::new(192, 0, 2, host));
            let domain = VniConfig { encapsulation, ..VniConfig::new(vni, address(1)) };
            let port = PortConfig::new(format!("p{value}"), format!("p{value}"), PortRole::Access { vni });
            for change in [
                Change::SetVni { vni: domain, replace: false },
                Change::AddPort(port),
                Change::SetRemote { remote: RemoteConfig::new(vni, address(2)), replace: false },
            ] {
                // What is one too many is left out.
                let _ = config.apply(&change);
            }
        }
        let vlans = config.vnis.iter().map(|vni| vni.vni);
        let vlans =
            vlans.map(|vni| TrunkVlan { vlan: Vlan::new(vni.value() as u16).unwrap(), vni }).collect();
        config.ports.insert(PortConfig::new("t", "t", PortRole::Trunk(TrunkConfig::new(vlans, None))));
        config
    })
}

fn errors(config: &Config) -> Vec<String> {
    let faults = validate(config).into_iter().filter(|fault| fault.severity == Severity::Error);
    faults.map(|fault| fault.what).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_change_is_made_and_right_or_refused_and_nothing(start in settings(), changes in vec(change(), 0..80)) {
        let mut config = start;
        for change in &changes {
            let before = config.clone();
            match config.apply(change) {
                Ok(()) => prop_assert_eq!(errors(&config), Vec::<String>::new(), "after {:?}", change),
                Err(refusal) => {
                    prop_assert!(!refusal.what.is_empty() && !refusal.remedy.is_empty());
                    prop_assert_eq!(&config, &before);
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back(config in right()) {
        let text = render(&config);
        match config::parse(Path::new("rendered"), &text) {
            Ok((again, _)) => prop_assert_eq!(again, config, "{}", text),
            Err(faults) => prop_assert!(false, "{}\n{}", faults, text),
        }
    }

    #[test]
    fn a_difference_leads_from_one_to_the_other(old in right(), new in right()) {
        let new = Config { daemon: old.daemon.clone(), umem: old.umem, workers: old.workers.clone(), ..new };
        prop_assume!(errors(&new).is_empty());
        prop_assert_eq!(restarts(&old, &new), vec![]);
        let changes = diff(&old, &new);
        let mut at = old;
        for change in &changes {
            if let Err(refusal) = at.apply(change) {
                prop_assert!(false, "{:?} of {:?}: {}", change, changes, refusal);
            }
        }
        prop_assert_eq!(at, new);
    }

    #[test]
    fn a_difference_leads_through_tunnels_in_each_other_s_way(old in crowded(), new in crowded()) {
        let new = Config { umem: old.umem, ..new };
        let mut at = old.clone();
        for change in &diff(&old, &new) {
            if let Err(refusal) = at.apply(change) {
                prop_assert!(false, "{:?}: {}", change, refusal);
            }
        }
        prop_assert_eq!(at, new);
    }

    #[test]
    fn no_difference_is_no_change(config in right()) {
        prop_assert_eq!(diff(&config, &config), vec![]);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..400)) {
        read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_damage_makes_it_panic(
        config in right(),
        cuts in vec((any::<prop::sample::Index>(), 0usize..12, "[\\[\\]a-z0-9\"'=\n., \u{1}\u{e9}{}#-]{0,6}"), 1..8),
    ) {
        let mut text: Vec<char> = render(&config).chars().collect();
        for (at, length, with) in cuts {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, with.chars());
        }
        read(&text.into_iter().collect::<String>());
    }

    #[test]
    fn tables_and_keys_at_random_do_not_make_it_panic(
        lines in vec(
            prop_oneof![
                select(vec!["daemon", "umem", "worker", "port", "vni", "remote", "group", "fdb", "neighbour", "x"])
                    .prop_flat_map(|table| select(vec![format!("[{table}]"), format!("[[{table}]]")])),
                (
                    select(vec![
                        "name", "vni", "id", "local", "remotes", "key", "udp_port", "encapsulation", "mac", "port",
                        "remote", "chunks", "ageing", "members", "liveness", "ring_size", "address", "role", "vlans", "native",
                    ]),
                    select(vec![
                        "1", "\"a\"", "\"192.0.2.1\"", "[]", "[\"192.0.2.2\", 1]", "\"gre\"", "0", "-1", "1e9",
                        "\"02:00:00:00:00:01\"", "\"uplink\"", "{a = 1}", "true", "[{vlan = 1, vni = 1}]", "{interval = \"1s\", paths = 3}", "[{remote = \"192.0.2.2\", weight = 2}]", "99999999999999999999999999", "1979-05-27",
                        "0xffffffff", "\"10000000000000 years\"", "inf",
                    ]),
                )
                    .prop_map(|(key, value)| format!("{key} = {value}")),
            ],
            0..40,
        ),
    ) {
        read(&lines.join("\n"));
    }
}

/// Reads a text, which is right or told why not; both are sayable.
fn read(text: &str) {
    match config::parse(Path::new("fuzz"), text) {
        Ok((config, warnings)) => {
            assert!(warnings.iter().all(|fault| fault.severity == Severity::Warning));
            assert_eq!(errors(&config), Vec::<String>::new(), "{text}");
        }
        Err(faults) => {
            assert!(faults.iter().any(|fault| fault.severity == Severity::Error));
            assert!(!faults.to_string().is_empty());
        }
    }
}
