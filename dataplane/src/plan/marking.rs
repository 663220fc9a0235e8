//! Checks of what outer headers say beside addresses.

use forward::marking::{Marking, Octet};
use wire::Vni;

use super::fault::{Fault, Subject};

pub(super) fn check(vni: Vni, marking: &Marking, faults: &mut Vec<Fault>) {
    if marking.ttl == Octet::Fixed(0) {
        faults.push(Fault::invalid(
            Subject::Vni(vni),
            "ttl",
            format!("packets of VNI {vni} with a TTL of 0 would not leave the host"),
            format!("use a number from 1 to 255, such as {}, or \"inherit\"", Marking::TTL),
        ));
    }
    if let Octet::Fixed(tos) = marking.tos
        && tos & 3 != 0
    {
        faults.push(Fault::invalid(
            Subject::Vni(vni),
            "tos",
            format!("the lower two bits of TOS {tos} of VNI {vni} are those of ECN, which each packet sets by itself"),
            format!("use {} for DSCP {}, and `ecn` for how ECN is set", tos & 0xfc, tos >> 2),
        ));
    }
}
