#!/usr/bin/env python3
"""Calls every method of org.vtep.control with an independent Varlink client, the PyPI package `varlink`.

    varlink-client.py SOCKET DEVICE

SOCKET is the control socket of a running vtepd, DEVICE a network device that it may have as a port for a moment (one
end of a veth will do). What is set up here is VNI 16000001 and a port "varlink-test"; both are gone at the end. The
exit status is 1 when an answer is not as the interface says, with what was wrong on standard error.
"""

import sys

import varlink

INTERFACE = "org.vtep.control"
VNI = 16000001
PORT = "varlink-test"
MAC = "02:00:5e:10:00:01"
PEER = "192.0.2.250"
WORKLOAD = "10.77.0.1"

called = set()


def main(socket, device):
    with varlink.Client(f"unix:{socket}") as client:
        info = client.get_interfaces()
        assert INTERFACE in info, f"GetInfo does not name {INTERFACE}: {list(info)}"
        # The client parses the interface from what introspection says; a text that is not Varlink fails here.
        description = client.get_interface(INTERFACE).description
        assert "A VNI, which is a bridge domain." in description, "the description has lost its comments"
        with client.open(INTERFACE) as connection:
            try:
                exercise(connection, device)
            finally:
                clean_up(connection)
            methods = {member.name for member in connection._interface.members.values() if hasattr(member, "in_type")}
            assert called == methods, f"not called: {methods - called}"
        unknown(client)
    print(f"{len(called)} methods answer as {INTERFACE} says")


def exercise(connection, device):
    call = lambda method, /, **arguments: answer(connection, method, **arguments)
    status = call("Status")
    for field in ("version", "pid", "uptime", "socket", "workers", "ports", "chunks", "balance", "degraded"):
        assert field in status, f"Status lacks {field}: {status}"
    balanced(status["balance"], status["chunks"])

    local = next((vni["local"] for vni in call("ShowVnis")["vnis"]), ["192.0.2.249"])
    call("SetVni", vni=VNI, local=local, learning=False, ttl="9")
    refused(connection, "AlreadyExists", "SetVni", vni=VNI, local=local)
    call("SetVni", vni=VNI, local=local, ageing=60, replace=True)
    (vni,) = call("ShowVnis", vni=VNI)["vnis"]
    expect(vni, vni=VNI, local=local, encap="vxlan", udp_port=4789, learning=True, ageing=60, arp_proxy=True, nd_proxy=True, ttl="64")
    expect(vni, mcast_snooping=True, move_limit=5, flood=True, mcast_flood=True, bcast_flood=True)

    call("SetRemote", dst=PEER, vni=VNI, flood=False)
    call("SetRemote", dst=PEER, vni=VNI, replace=True)
    (remote,) = call("ShowRemotes", vni=VNI)["remotes"]
    expect(remote, dst=PEER, vni=VNI, encap="vxlan", local=local[0], flood=True, storm_limit=100000)
    assert remote["state"] in ("reachable", "unresolved", "noroute"), remote

    vlans = [{"vlan": 10, "vni": VNI}]
    call("AddPort", name=PORT, device=device, role="trunk", vlans=vlans)
    call("SetPort", name=PORT, native=10)
    (port,) = call("ShowPorts", name=PORT)["ports"]
    expect(port, role="trunk", vlans=vlans, native=10)
    refused(connection, "InvalidArgument", "SetPort", name=PORT, native=11)
    call("RemovePort", name=PORT)

    call("AddPort", name=PORT, device=device, role="access", vni=VNI)
    (port,) = call("ShowPorts", name=PORT)["ports"]
    expect(port, ifname=PORT, device=device, role="access", vni=VNI, ring_size=2048)
    assert port["transmit"]["configured"] == "auto" and port["state"] in ("UP", "DOWN"), port
    call("SetPort", name=PORT, mcast_flood=False, isolated=True, fastleave=True, storm_limit=500)
    (port,) = call("ShowPorts", name=PORT)["ports"]
    expect(port, flood=True, mcast_flood=False, bcast_flood=True, isolated=True, fastleave=True, storm_limit=500)
    refused(connection, "InUse", "RemoveVni", vni=VNI)
    bind = [{"mac": MAC, "addresses": [WORKLOAD]}]
    guard = {"trusted": True, "locked": False, "bind": bind, "learn_limit": 8}
    call("GuardPort", name=PORT, guard=guard)
    (port,) = call("ShowPorts", name=PORT)["ports"]
    expect(port, guard=guard, learned=0, unlearned=0)
    call("GuardPort", name=PORT, guard={"locked": True})
    (port,) = call("ShowPorts", name=PORT)["ports"]
    expect(port, guard={**guard, "locked": True})
    call("GuardPort", name=PORT, guard={"trusted": False, "locked": False, "bind": [], "learn_limit": 8192})

    members = [{"dst": PEER, "weight": 2}]
    call("SetGroup", name="pair", vni=VNI, members=members)
    (group,) = call("ShowGroups", vni=VNI)["groups"]
    expect(group, name="pair", vni=VNI, flood=False)
    assert [(member["dst"], member["weight"]) for member in group["members"]] == [(PEER, 2)], group
    call("RemoveGroup", name="pair", vni=VNI)
    assert call("ShowMdb", vni=VNI)["entries"] == [], "a group that nobody joined"

    call("SetFdb", mac=MAC, vni=VNI, dst=PEER)
    call("SetFdb", mac=MAC, vni=VNI, dev=PORT, replace=True)
    entry = call("GetFdb", mac=MAC, vni=VNI)["entry"]
    expect(entry, mac=MAC, vni=VNI, ifname=PORT, state="permanent")
    assert entry in call("ShowFdb", vni=VNI, kind="static")["entries"], entry
    assert call("ShowFdb", vni=VNI, mac="02:00:5e:10:00:02")["entries"] == []
    assert call("FlushFdb", vni=VNI) == {"flushed": 0}, "a static entry was flushed"
    refused(connection, "StaleVersion", "RemoveFdb", mac=MAC, vni=VNI, version=entry["version"] - 1)
    refused(connection, "OwnedByAnother", "RemoveFdb", mac=MAC, vni=VNI, owner="varlink")
    call("RemoveFdb", mac=MAC, vni=VNI, version=entry["version"])
    refused(connection, "NotFound", "GetFdb", mac=MAC, vni=VNI)
    entries = [{"mac": MAC, "vni": VNI, "dev": PORT, "kind": "external"}]
    assert call("ReplaceFdb", owner="varlink", entries=entries)["added"] == 1
    (entry,) = call("ShowFdb", owner="varlink")["entries"]
    expect(entry, owner="varlink", kind="external", flags=["extern_learn"], moves=0)
    assert call("ReplaceFdb", owner="varlink", entries=[])["removed"] == 1

    call("SetNeighbour", dst=WORKLOAD, lladdr=MAC, vni=VNI)
    call("SetNeighbour", dst=WORKLOAD, lladdr="02:00:5e:10:00:03", vni=VNI, replace=True)
    (neighbour,) = call("ShowNeighbours", vni=VNI)["neighbours"]
    expect(neighbour, dst=WORKLOAD, lladdr="02:00:5e:10:00:03", vni=VNI, state="permanent")
    assert call("FlushNeighbours", vni=VNI) == {"flushed": 0}, "a static neighbour was flushed"
    assert neighbour["moves"] == 1 and neighbour["moved_from"] == MAC, neighbour
    call("RemoveNeighbour", dst=WORKLOAD, vni=VNI)
    neighbours = [{"dst": WORKLOAD, "lladdr": MAC, "vni": VNI}]
    assert call("ReplaceNeighbours", owner="varlink", neighbours=neighbours)["added"] == 1
    assert call("ReplaceNeighbours", owner="varlink", neighbours=[])["removed"] == 1
    assert call("ShowNeighbours", vni=VNI)["neighbours"] == []

    stats = call("ShowStats", port=PORT)
    balanced(stats["balance"], stats["chunks"])
    assert [port["ifname"] for port in stats["ports"]] == [PORT], stats
    assert stats["workers"], "no worker is shown"
    for worker in call("ShowStats", buckets=True)["workers"]:
        for name in ("residence", "batches"):
            of = worker[name]
            assert of["count"] == sum(bucket["count"] for bucket in of["buckets"]), (name, of)
    call("FlushStats")
    for drop in call("ShowDrops", all=True)["drops"]:
        assert drop["reason"].isupper() and drop["help"] and drop["count"] >= 0, drop

    call("RemovePort", name=PORT)
    refused(connection, "NotFound", "ShowPorts", name=PORT)
    call("RemoveRemote", dst=PEER, vni=VNI)
    call("RemoveVni", vni=VNI)
    reload(connection)
    wrong_arguments(connection)


def reload(connection):
    """A daemon without a file refuses to read it again, with a typed error as for anything else."""
    called.add("Reload")
    try:
        reply = connection.Reload()
        assert reply["changes"] >= 0 and isinstance(reply["restart"], list), reply
    except varlink.VarlinkError as error:
        typed(error, error.error())


def wrong_arguments(connection):
    error = refused(connection, "InvalidArgument", "RemoveVni", vni=1 << 24)
    assert error["argument"] == "vni" and "16777216" in error["what"], error
    error = refused(connection, "InvalidArgument", "SetNeighbour", dst="nowhere", lladdr=MAC, vni=VNI)
    assert error["argument"] == "dst" and "nowhere" in error["what"], error
    error = refused(connection, "InvalidArgument", "ShowFdb", dev="a", dst="192.0.2.1")
    assert error["argument"] == "dst", error


def answer(connection, method, /, **arguments):
    called.add(method)
    try:
        return getattr(connection, method)(**arguments)
    except varlink.VarlinkError as error:
        raise AssertionError(f"{method}({arguments}) is refused: {error}") from error


def refused(connection, name, method, /, **arguments):
    """Calls a method that must be refused, and returns the error's parameters."""
    try:
        reply = getattr(connection, method)(**arguments)
    except varlink.VarlinkError as error:
        return typed(error, f"{INTERFACE}.{name}")
    raise AssertionError(f"{method}({arguments}) is not refused: {reply}")


def typed(error, name):
    parameters = error.parameters()
    assert error.error() == name, f"{name} was expected: {error}"
    assert parameters.get("what") and parameters.get("remedy"), f"no sentence or remedy: {error}"
    return parameters


def unknown(client):
    """Methods and interfaces that do not exist have Varlink's own errors, and the connection goes on."""
    try:
        client.get_interface("org.example.nowhere")
        raise AssertionError("an interface that does not exist is described")
    except varlink.InvalidParameter:
        pass
    assert INTERFACE in client.get_interfaces()


def expect(found, **fields):
    for name, value in fields.items():
        assert found.get(name) == value, f"{name} is {found.get(name)!r} and not {value!r}: {found}"


def balanced(balance, chunks):
    for number in list(balance.values()) + list(chunks.values()):
        assert isinstance(number, int) and number >= 0, (balance, chunks)
    assert set(balance) == {"rx", "copies", "tx", "dropped", "taken", "in_flight"}, balance
    assert set(chunks) == {"free", "rings", "flight", "total"}, chunks


def clean_up(connection):
    for method, arguments in (("RemovePort", {"name": PORT}), ("RemoveVni", {"vni": VNI})):
        try:
            getattr(connection, method)(**arguments)
        except varlink.VarlinkError:
            pass  # It is gone already.


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: varlink-client.py SOCKET DEVICE")
    try:
        main(*sys.argv[1:])
    except AssertionError as error:
        sys.exit(f"varlink-client: {error}")
