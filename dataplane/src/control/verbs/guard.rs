//! What an access port's frames are held against: from the protocol to the configuration and back.

use api::{Binding, Guard, Refusal};

use super::arguments;
use crate::config::{BindingConfig, GuardConfig, GuardTuning, PortConfig, PortRole};

/// As the protocol shows it; of an access port.
#[must_use]
pub fn of(port: &PortConfig) -> Option<Guard> {
    let GuardConfig { trusted, locked, ref bind, learn_limit } = port.guard;
    let binding = |binding: &BindingConfig| {
        let addresses = binding.addresses.iter().map(ToString::to_string).collect();
        Binding { mac: binding.mac.to_string(), addresses }
    };
    (port.role != PortRole::Uplink).then(|| Guard {
        trusted: Some(trusted),
        locked: Some(locked),
        bind: Some(bind.iter().map(binding).collect()),
        learn_limit: Some(learn_limit.into()),
    })
}

/// As a change of the configuration.
pub(super) fn tuning(guard: &Guard) -> Result<GuardTuning, Refusal> {
    let bind = guard.bind.as_ref().map(|bind| bind.iter().map(binding).collect::<Result<_, Refusal>>());
    let limit = guard.learn_limit.map(|limit| arguments::whole("learn_limit", limit, 0..=u32::MAX));
    Ok(GuardTuning {
        trusted: guard.trusted,
        locked: guard.locked,
        bind: bind.transpose()?,
        learn_limit: limit.transpose()?,
    })
}

fn binding(binding: &Binding) -> Result<BindingConfig, Refusal> {
    let addresses = binding.addresses.iter().map(|text| arguments::address("bind", text));
    let mac = arguments::mac("bind", &binding.mac)?;
    Ok(BindingConfig { mac, addresses: addresses.collect::<Result<_, _>>()? })
}

#[cfg(test)]
mod tests {
    use api::{RefusalKind, Request};
    use serde_json::json;

    use super::*;
    use crate::control::verbs::carry_out;
    use crate::control::verbs::ledger::{Ledger, sample};

    fn ask(ledger: &mut Ledger, name: &str, guard: &serde_json::Value) -> Result<(), Refusal> {
        let parameters = json!({ "name": name, "guard": guard });
        carry_out(Request::decode("GuardPort", Some(parameters)).unwrap(), ledger).map(|_| ())
    }

    #[test]
    fn every_argument_arrives_and_is_shown() {
        let mut ledger = sample();
        let guard = json!({ "trusted": true, "locked": true, "learn_limit": 9,
            "bind": [{ "mac": "02:00:00:00:00:01", "addresses": ["10.0.0.1"] }] });
        ask(&mut ledger, "east", &guard).unwrap();
        let port = ledger.config.ports.get("east").unwrap().clone();
        let GuardConfig { trusted, locked, learn_limit, ref bind } = port.guard;
        assert_eq!((trusted, locked, learn_limit, bind.len()), (true, true, 9, 1));
        assert_eq!(serde_json::to_value(of(&port)).unwrap(), guard);
    }

    #[test]
    fn what_is_not_given_stays_as_it_is() {
        let mut ledger = sample();
        let bind = json!([{ "mac": "02:00:00:00:00:01", "addresses": [] }]);
        let mut shown = json!({ "trusted": true, "locked": true, "learn_limit": 9, "bind": bind });
        ask(&mut ledger, "east", &shown).unwrap();
        let steps = [
            ("trusted", json!(false)),
            ("learn_limit", json!(0)),
            ("locked", json!(false)),
            ("bind", json!([])),
            ("locked", json!(true)),
        ];
        for (key, value) in steps {
            ask(&mut ledger, "east", &json!({})).unwrap();
            ask(&mut ledger, "east", &json!({ key: value })).unwrap();
            shown[key] = value;
            let port = ledger.config.ports.get("east").unwrap();
            assert_eq!(serde_json::to_value(of(port)).unwrap(), shown);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let mut ledger = sample();
        for (port, guard, argument) in [
            ("east", json!({ "bind": [{ "mac": "02:00:00:00:00:01", "addresses": ["x"] }] }), "bind"),
            ("east", json!({ "bind": [{ "mac": "x", "addresses": [] }] }), "bind"),
            ("east", json!({ "learn_limit": -1 }), "learn_limit"),
            ("uplink0", json!({ "trusted": true }), "trusted"),
        ] {
            let refusal = ask(&mut ledger, port, &guard).unwrap_err();
            assert_eq!(refusal.argument.as_deref(), Some(argument), "{refusal:?}");
        }
        assert_eq!(ask(&mut ledger, "nobody", &json!({})).unwrap_err().kind, RefusalKind::NotFound);
    }
}
