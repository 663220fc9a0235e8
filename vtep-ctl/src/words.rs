//! Words of a command line after its verb: first the positional ones, then keywords with a value each and words that
//! stand alone, in any order, as iproute2 has them. Every error names the word and what was expected in its place.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The shape of what may follow a verb.
#[derive(Debug)]
pub(crate) struct Shape {
    /// What the positional words are, all required unless `optional`.
    pub(crate) positional: &'static [&'static str],
    /// Whether the positional words may be left out.
    pub(crate) optional: bool,
    /// Keywords and what their values are.
    pub(crate) keywords: &'static [(&'static str, &'static str)],
    /// Words that stand alone.
    pub(crate) flags: &'static [&'static str],
}

impl Shape {
    /// What may follow, for people.
    pub(crate) fn expected(&self) -> String {
        let keywords = self.keywords.iter().map(|(keyword, value)| format!("{keyword} {value}"));
        let all: Vec<String> = keywords.chain(self.flags.iter().map(ToString::to_string)).collect();
        if all.is_empty() { "nothing more".to_owned() } else { all.join(" | ") }
    }
}

/// A command line that cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Usage {
    /// What is wrong, naming the word.
    pub(crate) what: String,
    /// What would be right in its place.
    pub(crate) expected: String,
    /// How the whole is written, one line for each form.
    pub(crate) usage: Vec<String>,
}

impl Usage {
    pub(crate) fn new(what: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { what: what.into(), expected: expected.into(), usage: Vec::new() }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}\n  expected: {}", self.what, self.expected)?;
        let lines = self.usage.iter().flat_map(|usage| wrapped(usage));
        lines.enumerate().try_for_each(|(index, line)| {
            write!(out, "\n  {} {line}", if index == 0 { "usage:" } else { "      " })
        })
    }
}

/// A usage line in lines of a terminal's width; what stands in brackets stays together.
fn wrapped(usage: &str) -> Vec<String> {
    const WIDTH: usize = 90;
    let mut lines = vec![String::new()];
    let (mut depth, mut word) = (0, String::new());
    for character in usage.chars().chain([' ']) {
        match character {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            _ => {}
        }
        if character != ' ' || depth > 0 {
            word.push(character);
            continue;
        }
        match lines.last_mut() {
            Some(line) if line.is_empty() => *line = std::mem::take(&mut word),
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(&std::mem::take(&mut word));
            }
            _ => lines.push(format!("  {}", std::mem::take(&mut word))),
        }
    }
    lines
}

/// What was given, by position or keyword.
#[derive(Debug, Default)]
pub(crate) struct Given {
    values: BTreeMap<&'static str, String>,
    flags: Vec<&'static str>,
}

impl Given {
    /// Sorts words by their shape.
    pub(crate) fn collect(shape: &Shape, words: &[String]) -> Result<Self, Usage> {
        let mut given = Self::default();
        let mut words = words.iter();
        for name in shape.positional {
            match words.next() {
                Some(word) => drop(given.values.insert(name, word.clone())),
                None if shape.optional => return Ok(given),
                None => return Err(Usage::new(format!("{name} is missing"), *name)),
            }
        }
        while let Some(word) = words.next() {
            if let Some((keyword, value)) = shape.keywords.iter().find(|(keyword, _)| keyword == word) {
                let next =
                    words.next().ok_or_else(|| Usage::new(format!("{keyword} lacks its value"), *value))?;
                if given.values.insert(keyword, next.clone()).is_some() {
                    return Err(Usage::new(
                        format!("{keyword} is given twice"),
                        format!("one {keyword} {value}"),
                    ));
                }
            } else if let Some(flag) = shape.flags.iter().find(|flag| *flag == word) {
                given.flags.push(flag);
            } else {
                return Err(Usage::new(format!("{word:?} is not understood"), shape.expected()));
            }
        }
        Ok(given)
    }

    /// Whether any of a shape's keywords was given.
    pub(crate) fn says_something(&self, shape: &Shape) -> bool {
        shape.keywords.iter().any(|(keyword, _)| self.values.contains_key(keyword))
    }

    /// Whether a word that stands alone was given.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    /// A value as it was written.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    /// The value of a positional word, which `collect` has seen to be there, or of a keyword that is required.
    pub(crate) fn required(&self, name: &str) -> Result<String, Usage> {
        self.text(name).ok_or_else(|| Usage::new(format!("{name} is missing"), name))
    }

    /// A whole number of at most `max`.
    pub(crate) fn number(&self, name: &str, max: u64) -> Result<Option<i64>, Usage> {
        self.number_in(name, 0..=max)
    }

    /// A whole number in a range.
    pub(crate) fn number_in(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<i64>, Usage> {
        let parsed = |text: &str| {
            let number = text.parse::<u64>().ok().filter(|number| range.contains(number))?;
            i64::try_from(number).ok()
        };
        let (least, most) = (range.start(), range.end());
        self.checked(name, parsed, || format!("{name} and a whole number from {least} to {most}"))
    }

    /// A VNI.
    pub(crate) fn vni(&self) -> Result<Option<i64>, Usage> {
        self.number("vni", 0x00ff_ffff)
    }

    /// A VNI that must be there.
    pub(crate) fn required_vni(&self) -> Result<i64, Usage> {
        self.vni()?.ok_or_else(|| Usage::new("the VNI is missing", "vni N"))
    }

    /// A MAC address.
    pub(crate) fn mac(&self, name: &str) -> Result<Option<String>, Usage> {
        let parsed = |text: &str| text.parse::<api::Mac>().ok().map(|mac| mac.to_string());
        self.checked(name, parsed, || {
            "a MAC address: six hexadecimal octets such as 02:00:00:00:00:01".to_owned()
        })
    }

    /// An IP address.
    pub(crate) fn address(&self, name: &str) -> Result<Option<String>, Usage> {
        let parsed = |text: &str| text.parse::<IpAddr>().ok().map(|address| address.to_string());
        self.checked(name, parsed, || "an IP address such as 192.0.2.1, without a prefix length".to_owned())
    }

    /// IP addresses with commas between them.
    pub(crate) fn addresses(&self, name: &str) -> Result<Option<Vec<String>>, Usage> {
        let parsed = |text: &str| {
            let one = |text: &str| text.parse::<IpAddr>().ok().map(|address| address.to_string());
            text.split(',').map(one).collect()
        };
        self.checked(name, parsed, || {
            "IP addresses such as 192.0.2.1,2001:db8::1, without a prefix length or spaces".to_owned()
        })
    }

    /// Ethernet addresses with the protocol addresses that go with each: `MAC,IP,IP/MAC`; an empty list for `none`.
    pub(crate) fn bindings(&self, name: &str) -> Result<Option<Vec<api::Binding>>, Usage> {
        let parsed = |text: &str| match text {
            "none" => Some(Vec::new()),
            text => text.split('/').map(binding).collect(),
        };
        self.checked(name, parsed, || {
            "none | MAC[,IP...], several behind another with a slash, such as 02:00:00:00:00:01,10.0.0.1,fd00::1"
                .to_owned()
        })
    }

    /// `on` or `off`.
    pub(crate) fn switch(&self, name: &str) -> Result<Option<bool>, Usage> {
        let parsed = |text: &str| match text {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        self.checked(name, parsed, || "on | off".to_owned())
    }

    /// A GRE key.
    pub(crate) fn key(&self) -> Result<Option<String>, Usage> {
        let parsed = |text: &str| {
            let fits = matches!(text, "vni" | "none") || text.parse::<u32>().is_ok();
            fits.then(|| text.to_owned())
        };
        self.checked("key", parsed, || format!("vni | none | a number from 0 to {}", u32::MAX))
    }

    /// UDP ports with commas between them.
    pub(crate) fn ports(&self, name: &str) -> Result<Option<Vec<i64>>, Usage> {
        let parsed = |text: &str| text.split(',').map(udp_port).collect();
        self.checked(name, parsed, || {
            "UDP ports from 1 to 65535 such as 4789,8472, without spaces".to_owned()
        })
    }

    /// A range of UDP ports.
    pub(crate) fn range(&self, name: &str) -> Result<Option<api::PortRange>, Usage> {
        let parsed = |text: &str| {
            let (low, high) = text.split_once('-')?;
            let (low, high) = (udp_port(low)?, udp_port(high)?);
            (low <= high).then_some(api::PortRange { low, high })
        };
        self.checked(name, parsed, || {
            "two UDP ports from 1 to 65535, the lower one first, such as 49152-65535, without spaces"
                .to_owned()
        })
    }

    /// An octet of outer headers that is `least` at least, or `inherit`.
    pub(crate) fn octet(&self, name: &str, least: u8) -> Result<Option<String>, Usage> {
        let is_number = |text: &str| text.parse().is_ok_and(|octet: u8| octet >= least);
        let parsed = |text: &str| (text == "inherit" || is_number(text)).then(|| text.to_owned());
        self.checked(name, parsed, || format!("inherit | a number from {least} to 255"))
    }

    /// What is done about the maximum segment size.
    pub(crate) fn clamp(&self) -> Result<Option<String>, Usage> {
        let parsed = |text: &str| {
            let is_number = text.parse().is_ok_and(|bytes| (88..=65_495).contains(&bytes));
            (is_number || matches!(text, "on" | "off")).then(|| text.to_owned())
        };
        self.checked("mss-clamp", parsed, || "on | off | a number from 88 to 65495".to_owned())
    }

    /// One of a few words; the type's error lists them.
    pub(crate) fn word<T: FromStr<Err = String>>(&self, name: &str) -> Result<Option<T>, Usage> {
        let Some(text) = self.values.get(name) else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|expected| Usage::new(format!("{name} {text:?} is not understood"), expected))
    }

    /// A word that `parsed` understands, if it is given.
    ///
    /// # Errors
    /// [`Usage`] with what is `expected` instead.
    pub(crate) fn checked<T>(
        &self,
        name: &str,
        parsed: impl Fn(&str) -> Option<T>,
        expected: impl Fn() -> String,
    ) -> Result<Option<T>, Usage> {
        let Some(text) = self.values.get(name) else { return Ok(None) };
        let value = parsed(text)
            .ok_or_else(|| Usage::new(format!("{name} {text:?} is not understood"), expected()))?;
        Ok(Some(value))
    }
}

/// A UDP port that packets may be sent to.
fn udp_port(text: &str) -> Option<i64> {
    text.parse::<u16>().ok().filter(|port| *port != 0).map(i64::from)
}

fn binding(text: &str) -> Option<api::Binding> {
    let mut words = text.split(',');
    let mac = words.next()?.parse::<api::Mac>().ok()?.to_string();
    let addresses = words.map(|word| word.parse::<IpAddr>().ok().map(|address| address.to_string()));
    Some(api::Binding { mac, addresses: addresses.collect::<Option<_>>()? })
}
