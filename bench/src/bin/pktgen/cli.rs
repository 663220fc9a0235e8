//! The command line.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use vtep_bench::pktgen::{Device, Encapsulation, Hosts, Outer, Size, Traffic};
use wire::{Mac, Vni};

/// Generates frames in the kernel and sends them out of a device, counts them at another, and measures latency between
/// the two. As root, on Linux 5.18 or later.
#[derive(Debug, Parser)]
#[command(name = "pktgen", version)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Prints the result as one line of JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Ends after so many seconds; without it at Ctrl-C.
    #[arg(long, global = true, value_name = "S", value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sends frames out of a device.
    Generate {
        /// Where they leave: NAMESPACE/DEVICE, or DEVICE here. The peer of a veth needs an XDP program or GRO.
        from: Device,
        /// Where they should arrive, to be counted.
        #[arg(long)]
        to: Option<Device>,
        #[command(flatten)]
        load: LoadArguments,
        #[command(flatten)]
        traffic: TrafficArguments,
    },
    /// Counts a generator's frames at a device, and drops them.
    Sink {
        /// Where they arrive: NAMESPACE/DEVICE, or DEVICE here.
        at: Device,
        /// Counts and drops all frames, whoever sent them.
        #[arg(long)]
        every: bool,
    },
    /// Measures the latency of probes from one device to another, beside a load.
    Latency {
        /// Where frames leave: NAMESPACE/DEVICE, or DEVICE here.
        from: Device,
        /// Where they arrive, on the same machine.
        to: Device,
        /// Probes per second.
        #[arg(long, default_value = "1k", value_parser = rate)]
        probes: f64,
        /// The flow of all probes; without it they take turns with the load.
        #[arg(long)]
        probe_flow: Option<u32>,
        #[command(flatten)]
        load: LoadArguments,
        #[command(flatten)]
        traffic: TrafficArguments,
    },
}

/// How much to send.
#[derive(Debug, Args)]
pub(crate) struct LoadArguments {
    /// Frames per second, such as 1500000, 250k or 1.5M; without it as many as possible (with latency: none).
    #[arg(long, value_name = "FPS", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// The CPU that sends.
    #[arg(long, default_value_t = 0)]
    pub(crate) cpu: usize,
}

/// What frames look like.
#[derive(Debug, Args)]
pub(crate) struct TrafficArguments {
    /// Bytes of a frame without frame check sequence and tunnel headers, from 60 to some 3,400, which is what one page of
    /// the kernel's holds; or `imix`: 7 of 60, 4 of 590, 1 of 1514.
    #[arg(long, default_value = "60", value_parser = size)]
    size: Size,
    /// Flows (UDP ports).
    #[arg(long, default_value_t = 1)]
    flows: u32,
    /// Hosts that send.
    #[arg(long, default_value_t = 1)]
    sources: u32,
    /// Hosts that are sent to.
    #[arg(long, default_value_t = 1)]
    destinations: u32,
    /// MAC address of the first host that sends.
    #[arg(long, default_value = "02:00:00:00:00:00")]
    source_mac: Mac,
    /// MAC address of the first host that is sent to.
    #[arg(long, default_value = "02:00:01:00:00:00")]
    destination_mac: Mac,
    /// Address of the first host that sends.
    #[arg(long, default_value = "10.0.0.1")]
    source: Ipv4Addr,
    /// Address of the first host that is sent to.
    #[arg(long, default_value = "10.128.0.1")]
    destination: Ipv4Addr,
    /// Tunnel headers.
    #[arg(long, value_enum, default_value_t = Tunnel::None)]
    encap: Tunnel,
    /// VNI of VXLAN.
    #[arg(long, default_value = "100", value_parser = vni)]
    vni: Vni,
    /// UDP destination port of VXLAN.
    #[arg(long, default_value_t = 4789)]
    port: u16,
    /// Key of GRE.
    #[arg(long)]
    key: Option<u32>,
    /// Address of the sending VTEP, IPv4 or IPv6.
    #[arg(long, default_value = "192.0.2.1")]
    outer_source: IpAddr,
    /// Address of the receiving VTEP.
    #[arg(long, default_value = "192.0.2.2")]
    outer_destination: IpAddr,
    /// MAC address of the sending VTEP.
    #[arg(long, default_value = "02:00:00:00:01:01")]
    outer_source_mac: Mac,
    /// MAC address of the receiving VTEP or its next hop.
    #[arg(long, default_value = "02:00:00:00:01:02")]
    outer_destination_mac: Mac,
}

/// Tunnel headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Tunnel {
    None,
    Vxlan,
    Gre,
}

impl TrafficArguments {
    /// The traffic they say.
    pub(crate) fn traffic(&self) -> Traffic {
        let outer = Outer {
            source_mac: self.outer_source_mac,
            destination_mac: self.outer_destination_mac,
            source: self.outer_source,
            destination: self.outer_destination,
        };
        let encapsulation = match self.encap {
            Tunnel::None => Encapsulation::Plain,
            Tunnel::Vxlan => Encapsulation::Vxlan { outer, vni: self.vni, port: self.port },
            Tunnel::Gre => Encapsulation::Gre { outer, key: self.key },
        };
        let sources = Hosts { first_mac: self.source_mac, first_address: self.source, count: self.sources };
        let destinations = Hosts {
            first_mac: self.destination_mac,
            first_address: self.destination,
            count: self.destinations,
        };
        Traffic { size: self.size, flows: self.flows, sources, destinations, encapsulation }
    }
}

fn size(text: &str) -> Result<Size, String> {
    match text {
        "imix" => Ok(Size::Imix),
        _ => text.parse().map(Size::Fixed).map_err(|_| "give a number of bytes, or imix".to_owned()),
    }
}

fn vni(text: &str) -> Result<Vni, String> {
    let number = text.parse().ok().and_then(Vni::new);
    number.ok_or_else(|| format!("give a number up to {}", Vni::MAX))
}

/// A number with an optional `k` or `M`.
fn rate(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1e3),
        None => text.strip_suffix('M').map_or((text, 1.0), |number| (number, 1e6)),
    };
    let value = number.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
    value.map(|value| value * unit).ok_or_else(|| "give a number such as 200, 250k or 1.5M".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let value = text.parse().ok().and_then(|value| Duration::try_from_secs_f64(value).ok());
    value.ok_or_else(|| "give a number of seconds such as 10 or 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn rates() {
        assert_eq!(rate("1.5M"), Ok(1_500_000.0));
        assert_eq!(rate("250k"), Ok(250_000.0));
        assert_eq!(rate("0"), Ok(0.0));
        for text in ["", "k", "-1", "NaN", "inf", "1G"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn traffic_as_said() {
        let line = "pktgen generate ns/dev --size imix --flows 7 --encap gre --key 9 --outer-source ::1 \
                    --outer-destination ::2 --destinations 1000";
        let arguments = Arguments::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Generate { from, traffic, .. } = arguments.command else { panic!("another command") };
        let traffic = traffic.traffic();
        assert_eq!(from, Device::new("ns", "dev"));
        assert_eq!((traffic.size, traffic.flows, traffic.destinations.count), (Size::Imix, 7, 1000));
        let Encapsulation::Gre { outer, key } = traffic.encapsulation else { panic!("another tunnel") };
        assert_eq!((key, outer.source), (Some(9), "::1".parse().unwrap()));
    }
}
