//! Many ports that come and go at once: what the kernel takes for each adds up, and nobody else may wait for the sum.
//!
//! ```text
//!   p0 … p39, a1 ── node 1 (vtepd) ── underlay ── node 2 (vtepd) ── b1
//! ```

use std::time::Duration;

use vtep_tests::wait::SOON;
use vtep_tests::{Alone, Daemon, Pair, Segment, Variant, wait_until};

/// Their end takes the kernel some 2 s.
const PORTS: usize = 40;
/// Patient enough for a busy machine, and not for the end of all ports.
const WORDS: &str = "liveness = { interval = \"100ms\", multiplier = 15 }";

fn is_up(daemon: &Daemon<'_>) -> bool {
    daemon.list("remote show")[0]["liveness"]["state"] == "up"
}

/// Sessions are control's as ports are, and a peer that hears nothing for a second and a half takes that for a loss.
#[test]
fn many_ports_come_and_go_and_take_no_remote_away() {
    // Every port waits for the kernel's lock, which the XDP programs of other tests take, too.
    let _alone = Alone::on_the_machine();
    let net = Pair::new();
    let few = Segment::vxlan(100).key(WORDS).access(&net.a1).remote(&net.b);
    let names = (0..PORTS).map(|number| format!("p{number}"));
    let many = names.clone().fold(few.clone(), |segment, name| segment.device(&name, &net.a1.namespace));
    for name in names {
        net.a.namespace.ip(&format!("link add {name} type veth peer name w{name}"));
        net.a.namespace.ip(&format!("link set {name} up"));
        net.a.namespace.ip(&format!("link set w{name} up"));
    }
    let variant = Variant::ONE_WORKER;
    let (few, many) = (variant.config(&net.a, &[few]), variant.config(&net.a, &[many]));
    let near = Daemon::ready(&net.a, &many);
    let far = Segment::vxlan(100).key(WORDS).access(&net.b1).remote(&net.a);
    let far = Daemon::start(&net.b, variant, &[far]);
    wait_until("both know each other", Duration::from_secs(20), || is_up(&near) && is_up(&far));
    for config in [&few, &many] {
        near.rewrite(config);
        near.change("reload");
    }
    near.wait_for_ports();
    assert_eq!(near.list("port show").len(), PORTS + 2);
    // By the end of their devices, too.
    for number in 0..PORTS {
        net.a.namespace.ip(&format!("link del p{number}"));
    }
    wait_until("the ports notice", SOON, || near.port("p39")["state"] == "DOWN");
    for daemon in [&near, &far] {
        assert!(is_up(daemon) && !daemon.log().contains("withdrawn"), "{}", daemon.log());
    }
    net.a1.reaches(&net.b1);
}
