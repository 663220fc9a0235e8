//! The command line: flags by clap, the words of each command by the grammar.

use std::path::PathBuf;
use std::time::Duration;

use api::Request;
use clap::{Parser, Subcommand};

use crate::grammar;
use crate::words::Usage;

/// Controls vtepd, a userspace VXLAN and GRE switch.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, infer_subcommands = true, disable_help_subcommand = true)]
#[command(
    after_help = "Words are iproute2's: `list` and `ls` mean `show`, `delete` means `del`, and `show` may be
left out (`fdb vni 100`), but not before a name or a number (`port show NAME`).
Exit status: 0 done, 1 failed, 2 command not understood."
)]
pub(crate) struct Arguments {
    /// The daemon's control socket
    #[arg(long, global = true, env = "VTEP_SOCKET", value_name = "PATH", default_value = api::DEFAULT_SOCKET)]
    pub(crate) socket: PathBuf,
    /// Print JSON
    #[arg(short, long, global = true)]
    pub(crate) json: bool,
    /// Print JSON for people: indented
    #[arg(short, long, global = true)]
    pub(crate) pretty: bool,
    /// Show again every so many seconds (1), with rates of what moves; for show and get
    #[arg(long, global = true, value_name = "SECONDS", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "1", value_parser = seconds)]
    pub(crate) watch: Option<Duration>,
    #[command(subcommand)]
    object: Object,
}

/// The words after an object, up to the grammar.
#[derive(Debug, clap::Args)]
struct Words {
    #[arg(value_name = "WORD", allow_negative_numbers = true)]
    words: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Object {
    /// The daemon as a whole
    #[command(after_help = usages("status"))]
    Status(Words),
    /// Devices that frames come from and go to
    #[command(after_help = usages("port"))]
    Port(Words),
    /// Bridge domains
    #[command(after_help = usages("vni"))]
    Vni(Words),
    /// Peers in the underlay
    #[command(after_help = usages("remote"))]
    Remote(Words),
    /// Groups of remotes that an address is behind
    #[command(after_help = usages("group"))]
    Group(Words),
    /// Forwarding entries: which MAC address is where
    #[command(after_help = usages("fdb"))]
    Fdb(Words),
    /// Neighbours that ARP requests and neighbour solicitations are answered with
    #[command(alias = "neighbour", alias = "neighbor", after_help = usages("neigh"))]
    Neigh(Words),
    /// Multicast listeners, routers and queriers
    #[command(after_help = usages("mdb"))]
    Mdb(Words),
    /// Counters and measurements of workers and ports, and their balance
    #[command(after_help = usages("stats"))]
    Stats(Words),
    /// Frames that went nowhere, by reason
    #[command(after_help = usages("drops"))]
    Drops(Words),
    /// Read the configuration file again and apply the difference
    #[command(after_help = usages("reload"))]
    Reload(Words),
}

impl Arguments {
    /// The request that the words mean.
    ///
    /// # Errors
    /// When they mean none.
    pub(crate) fn request(&self) -> Result<Request, Usage> {
        let (object, words) = match &self.object {
            Object::Status(words) => ("status", words),
            Object::Port(words) => ("port", words),
            Object::Vni(words) => ("vni", words),
            Object::Remote(words) => ("remote", words),
            Object::Group(words) => ("group", words),
            Object::Fdb(words) => ("fdb", words),
            Object::Neigh(words) => ("neigh", words),
            Object::Mdb(words) => ("mdb", words),
            Object::Stats(words) => ("stats", words),
            Object::Drops(words) => ("drops", words),
            Object::Reload(words) => ("reload", words),
        };
        let mut request = grammar::parse(object, &words.words)?;
        if let (Some(_), false, Request::ShowStats(stats)) =
            (self.watch, self.json || self.pretty, &mut request)
        {
            // Percentiles of what came between two showings need all that came.
            stats.buckets = Some(true);
        }
        if self.watch.is_some() && !crate::answer::is_shown(&request) {
            return Err(Usage::new(
                "--watch is given with a command that changes something",
                "--watch with show or get",
            ));
        }
        Ok(request)
    }
}

/// How an object's commands are written.
fn usages(object: &str) -> String {
    let lines: Vec<String> = grammar::forms(object).map(|form| format!("  {}", form.usage())).collect();
    let notes = grammar::notes(object);
    format!("Commands:\n{}{}{notes}", lines.join("\n"), if notes.is_empty() { "" } else { "\n\n" })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.1..=86_400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("give 0.1 to 86400 seconds".to_owned())
    }
}
