//! The Rust types against the interface's text.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use varlink_parser::{IDL, VStruct, VStructOrEnum, VType, VTypeExt};

use crate::reply::Fields;
use crate::*;

fn interface() -> IDL<'static> {
    IDL::try_from(DESCRIPTION).unwrap()
}

/// A value of a type of the interface; `full` tells whether optional fields are present.
fn sample(idl: &IDL<'_>, name: &str, kind: &VTypeExt<'_>, full: bool) -> Option<Value> {
    Some(match kind {
        VTypeExt::Option(inner) if full => sample(idl, name, inner, full)?,
        VTypeExt::Option(_) => return None,
        VTypeExt::Array(inner) => json!([sample(idl, name, inner, full)?]),
        VTypeExt::Dict(_) => unreachable!("the interface has no maps"),
        VTypeExt::Plain(VType::Bool) => json!(true),
        VTypeExt::Plain(VType::Int) => json!(7),
        VTypeExt::Plain(VType::String) => json!(match name {
            "mac" | "lladdr" | "address" => "02:00:00:00:00:01",
            "dst" | "local" | "remotes" | "router" | "mcast_group" | "grp" => "192.0.2.1",
            "mode" => "native",
            _ => "text",
        }),
        VTypeExt::Plain(VType::Typename(target)) => match &idl.typedefs[target].elt {
            VStructOrEnum::VStruct(fields) => sample_struct(idl, fields, full),
            VStructOrEnum::VEnum(words) => json!(words.elts[0]),
        },
        VTypeExt::Plain(_) => unreachable!("the interface has no floats, objects or types without a name"),
    })
}

fn sample_struct(idl: &IDL<'_>, fields: &VStruct<'_>, full: bool) -> Value {
    let filled = fields
        .elts
        .iter()
        .filter_map(|field| Some((field.name.to_owned(), sample(idl, field.name, &field.vtype, full)?)));
    Value::Object(filled.collect::<Map<_, _>>())
}

fn names(fields: &VStruct<'_>) -> BTreeSet<String> {
    fields.elts.iter().map(|field| field.name.to_owned()).collect()
}

/// The type has the fields that the interface says, takes what the interface allows, and writes just that.
fn agrees<T: Serialize + DeserializeOwned + Fields>(idl: &IDL<'_>, name: &str, fields: &VStruct<'_>) {
    assert_eq!(
        T::FIELDS.iter().map(|&field| field.to_owned()).collect::<BTreeSet<_>>(),
        names(fields),
        "{name}"
    );
    for full in [true, false] {
        let value = sample_struct(idl, fields, full);
        let typed: T =
            serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{name} {value}: {error}"));
        assert_eq!(serde_json::to_value(typed).unwrap(), value, "{name}");
    }
}

fn record<T: Serialize + DeserializeOwned + Fields>(idl: &IDL<'_>, name: &str) {
    let VStructOrEnum::VStruct(fields) = &idl.typedefs[name].elt else { panic!("{name} is no record") };
    agrees::<T>(idl, name, fields);
}

fn method<M: Method + Fields>(idl: &IDL<'_>)
where
    M::Reply: Fields,
{
    let method = &idl.methods[M::NAME];
    agrees::<M>(idl, M::NAME, &method.input);
    agrees::<M::Reply>(idl, M::NAME, &method.output);
    assert!(!method.doc.is_empty(), "{} is not documented", M::NAME);
}

macro_rules! methods_agree {
    ($idl:expr, $($name:ident)*) => {{
        $(method::<$name>(&$idl);)*
        BTreeSet::from([$($name::NAME),*])
    }};
}

#[test]
fn methods_are_those_of_the_interface() {
    let idl = interface();
    let tested = methods_agree!(idl, Status ShowPorts AddPort SetPort GuardPort RemovePort ShowVnis SetVni RemoveVni ShowRemotes SetRemote
        RemoveRemote ShowGroups SetGroup RemoveGroup ShowFdb SetFdb GetFdb RemoveFdb ReplaceFdb FlushFdb ShowNeighbours
        SetNeighbour RemoveNeighbour
        ReplaceNeighbours FlushNeighbours ShowMdb ShowStats FlushStats ShowDrops Reload);
    assert_eq!(tested, idl.methods.keys().copied().collect());
    assert_eq!(tested, Request::METHODS.iter().copied().collect());
}

#[test]
fn records_are_those_of_the_interface() {
    let idl = interface();
    assert_eq!(idl.name, INTERFACE);
    record::<Chunks>(&idl, "Chunks");
    record::<Balance>(&idl, "Balance");
    record::<Queue>(&idl, "Queue");
    record::<Transmit>(&idl, "Transmit");
    record::<Port>(&idl, "Port");
    record::<Vni>(&idl, "Vni");
    record::<PortRange>(&idl, "PortRange");
    record::<Remote>(&idl, "Remote");
    record::<Liveness>(&idl, "Liveness");
    record::<LivenessPath>(&idl, "LivenessPath");
    record::<LivenessItem>(&idl, "LivenessItem");
    record::<PathMtu>(&idl, "PathMtu");
    record::<PathMtuCounts>(&idl, "PathMtuCounts");
    record::<FdbEntry>(&idl, "FdbEntry");
    record::<Neighbour>(&idl, "Neighbour");
    record::<Group>(&idl, "Group");
    record::<GroupMember>(&idl, "GroupMember");
    record::<GroupMemberItem>(&idl, "GroupMemberItem");
    record::<Binding>(&idl, "Binding");
    record::<TrunkVlan>(&idl, "TrunkVlan");
    record::<Tags>(&idl, "Tags");
    record::<FdbItem>(&idl, "FdbItem");
    record::<MdbEntry>(&idl, "MdbEntry");
    record::<NeighbourItem>(&idl, "NeighbourItem");
    record::<Bucket>(&idl, "Bucket");
    record::<Distribution>(&idl, "Distribution");
    record::<Cost>(&idl, "Cost");
    record::<WorkerStats>(&idl, "WorkerStats");
    record::<BurstCosts>(&idl, "BurstCosts");
    record::<PortStats>(&idl, "PortStats");
    record::<Drop>(&idl, "Drop");
}

#[test]
fn words_are_those_of_the_interface() {
    let idl = interface();
    let words = |name: &str| match &idl.typedefs[name].elt {
        VStructOrEnum::VEnum(words) => words.elts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        VStructOrEnum::VStruct(_) => panic!("{name} is no enumeration"),
    };
    macro_rules! agree {
        ($($name:ident)*) => {$(
            assert_eq!($name::ALL.iter().map(|value| value.word()).collect::<Vec<_>>(), words(stringify!($name)));
            for value in $name::ALL {
                assert_eq!(value.word().parse(), Ok(*value));
                assert_eq!(serde_json::to_value(value).unwrap(), value.word());
            }
            assert_eq!("nonsense".parse::<$name>(), Err(words(stringify!($name)).join(" | ")));
        )*};
    }
    agree!(PortRole XdpMode Pages ModeWish TransmitWish TransmitPath PortState Encapsulation RemoteState MtuSource LivenessState MemberState EntryState EntryKind MdbKind);
}

#[test]
fn refusals_are_those_of_the_interface() {
    let idl = interface();
    assert_eq!(
        RefusalKind::ALL.iter().map(|kind| kind.name()).collect::<BTreeSet<_>>(),
        idl.errors.keys().copied().collect()
    );
    for kind in RefusalKind::ALL {
        let refusal = match kind {
            RefusalKind::InvalidArgument => Refusal::argument("vni", "what is wrong", "what to do"),
            _ => Refusal::new(*kind, "what is wrong", "what to do"),
        };
        let parameters = refusal.parameters();
        let given = parameters.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(given, names(&idl.errors[kind.name()].parm));
        assert_eq!(Refusal::from_error(&refusal.error_name(), Some(&parameters)), Some(refusal));
    }
    assert_eq!(Refusal::from_error("org.varlink.service.MethodNotFound", None), None);
    assert_eq!(Refusal::from_error("org.vtep.control.Nonsense", None), None);
}

#[test]
fn decoder_names_the_parameter_at_fault() {
    let fault = |method: &str, parameters: Value| match Request::decode(method, Some(parameters)) {
        Err(InvalidRequest::Parameter { name, what }) => (name, what),
        other => panic!("{other:?}"),
    };
    let (name, what) = fault("RemoveVni", json!({ "vni": "a" }));
    assert_eq!((name.as_str(), what.as_str()), ("vni", r#"invalid type: string "a", expected i64"#));
    let (name, what) = fault("RemoveVni", json!({}));
    assert_eq!((name.as_str(), what.as_str()), ("vni", "missing field `vni`"));
    let (name, what) = fault("SetVni", json!({ "vni": 1, "local": ["::1"], "tll": 3 }));
    assert_eq!(name, "tll");
    assert!(what.starts_with("unknown field `tll`, expected one of `vni`, `local`"), "{what}");
    let (name, what) = fault("AddPort", json!({ "name": "a", "role": "downlink" }));
    assert_eq!(
        (name.as_str(), what.as_str()),
        ("role", "unknown variant `downlink`, expected one of `uplink`, `access`, `trunk`")
    );
    assert_eq!(fault("ShowFdb", json!([1])).0, "parameters");
    assert_eq!(Request::decode("Nonsense", None), Err(InvalidRequest::UnknownMethod));
    assert_eq!(Request::decode("Status", None), Ok(Request::Status(Status {})));
}
