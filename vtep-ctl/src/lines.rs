//! What there is to be, one line each as `add` has it, for a replacement of all that an owner wrote.

use std::io::{self, BufRead};

use api::Request;

use crate::grammar;
use crate::words::Usage;

/// Why the lines were not taken.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// They cannot be read.
    Input(io::Error),
    /// One of them is not understood.
    Line {
        /// Its number, from 1.
        number: usize,
        /// What is wrong with it.
        usage: Usage,
    },
}

/// Puts the lines of `input` into a request that is to have them; any other request stays as it is. Empty lines and
/// what follows a `#` are passed over.
pub(crate) fn fill(request: &mut Request, input: impl BufRead) -> Result<(), Unreadable> {
    match request {
        Request::ReplaceFdb(request) => request.entries = read(input, grammar::fdb_line)?,
        Request::ReplaceNeighbours(request) => request.neighbours = read(input, grammar::neigh_line)?,
        _ => {}
    }
    Ok(())
}

fn read<T>(input: impl BufRead, parse: fn(&[String]) -> Result<T, Usage>) -> Result<Vec<T>, Unreadable> {
    let mut items = Vec::new();
    for (index, line) in input.lines().enumerate() {
        let line = line.map_err(Unreadable::Input)?;
        let words = line.split('#').next().unwrap_or_default();
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        if !words.is_empty() {
            items.push(parse(&words).map_err(|usage| Unreadable::Line { number: index + 1, usage })?);
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<Request, Unreadable> {
        let mut request =
            Request::ReplaceFdb(api::ReplaceFdb { owner: "x".into(), vni: None, entries: Vec::new() });
        fill(&mut request, text.as_bytes()).map(|()| request)
    }

    #[test]
    fn lines_are_those_of_add() {
        let text = "# east\n02:00:00:00:00:01 vni 100 dev east\n\n  02:00:00:00:00:02 dst 192.0.2.2 vni 7 sticky # there\n";
        let Ok(Request::ReplaceFdb(request)) = filled(text) else { panic!("another request") };
        let [first, second] = &request.entries[..] else { panic!("{request:?}") };
        assert_eq!((first.dev.as_deref(), first.vni, first.kind), (Some("east"), 100, None));
        assert_eq!((second.dst.as_deref(), second.kind), (Some("192.0.2.2"), Some(api::EntryKind::Sticky)));
        assert_eq!(second.mac, "02:00:00:00:00:02");
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, line, what) in [
            (
                "02:00:00:00:00:01 vni 1 dev a\n02:00:00:00:00:02 vni 1\n",
                2,
                "none of dev, dst and group is given",
            ),
            ("\n02 vni 1 dev a\n", 2, "MAC \"02\" is not understood"),
            ("02:00:00:00:00:02 vni 1 dev a owner b\n", 1, "\"owner\" is not understood"),
        ] {
            let Err(Unreadable::Line { number, usage }) = filled(text) else {
                panic!("{text:?} is understood")
            };
            assert_eq!((number, usage.what.as_str()), (line, what));
            let said = usage.to_string();
            assert!(
                said.contains("usage: a line is MAC vni N (dev PORT") && !said.contains("vtep-ctl"),
                "{said}"
            );
        }
    }
}
