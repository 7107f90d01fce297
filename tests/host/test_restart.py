# SPDX-License-Identifier: LGPL-2.1-or-later
"""What outlives the daemon, and what outlives the machine."""

import pytest

import dump
import harness
import machine


@pytest.fixture
def furnished(host):
    host.network("a", EnableIPv6=True, Options={"com.docker.network.bridge.name": "bra"})
    host.subnet("b", "10.95.0.0/24", Internal=True)
    host.sandbox("one", "a", "b")
    host.sandbox("two", ("b", {"IPAMConfig": {"IPv4Address": "10.95.0.44"}, "Aliases": ["nick"]}))
    host.sandbox("three", "bridge")
    host.ok("POST", "/cnm/v1/endpoints", {"Name": "kept", "Network": "b"}, 201)
    return host


def without_boot(taken):
    out = dict(taken)
    out["files"] = [line for line in taken["files"] if "keeper.sock" not in line]
    return out


@pytest.mark.parametrize("kill", [False, True], ids=["clean", "kill"])
def test_everything_is_as_it_was(furnished, kill):
    before = furnished.dump()
    networks = furnished.get("/networks")
    sandboxes = furnished.get("/cnm/v1/sandboxes")
    for _ in range(3):
        furnished.restart(kill=kill)
        assert furnished.get("/networks") == networks
        assert furnished.get("/cnm/v1/sandboxes") == sandboxes
        furnished.wait_healed()
        assert not dump.difference(without_boot(before), without_boot(furnished.dump()))
    assert furnished.inside("one").reaches(furnished.address("two", "b"))


def test_sigterm_leaves_traffic_running(furnished):
    view, address = furnished.inside("one"), furnished.address("two", "b")
    furnished.stop()
    assert view.reaches(address)
    assert view.reaches(harness.LAN4)
    furnished.start()


def test_changes_while_it_was_away_are_mended(furnished):
    for damage in ("ip link del bra", "nft flush ruleset", "ip addr flush dev cnm0",
                   "for l in $(ls /sys/class/net | grep veth); do ip link del $l; done"):
        furnished.kill9()
        furnished.run("sh", "-c", damage)
        furnished.start()
        furnished.wait_healed()
        assert furnished.inside("one").reaches(furnished.address("two", "b")), damage
        assert furnished.inside("three").reaches(harness.LAN4), damage


def test_a_request_on_an_unchecked_object_sees_it_whole(furnished):
    furnished.kill9()
    furnished.run("ip", "link", "del", "bra")
    furnished.start()
    furnished.connect("a", "two")
    assert furnished.inside("two").reaches(furnished.address("one", "a"))


def test_reboot(furnished):
    address = next(e["IPv4Address"] for e in furnished.get("/cnm/v1/endpoints") if e["Name"] == "kept")
    networks = {n["Id"]: n["Name"] for n in furnished.get("/networks")}
    machine.reboot(furnished)
    furnished.start()
    furnished.wait_healed()
    assert {n["Id"]: n["Name"] for n in furnished.get("/networks")} == networks
    kept, = [e for e in furnished.get("/cnm/v1/endpoints") if e["Declared"]]
    assert kept["Name"] == "kept" and kept["IPv4Address"] == address and kept["Sandbox"] == ""
    assert [e for e in furnished.get("/cnm/v1/endpoints") if not e["Declared"]] == []
    assert furnished.link("bra")
    assert not [line for line in furnished.dump()["links"] if line.startswith("veth")]
    for sandbox in furnished.get("/cnm/v1/sandboxes"):
        assert sandbox["Networks"] == {}
    names = {s["Name"] for s in furnished.get("/cnm/v1/sandboxes")}
    if "one" in names:
        furnished.remove_sandbox("one")
    furnished.sandbox("one", "a")
    assert furnished.inside("one").reaches(harness.LAN4)


def test_reboot_of_the_middle_of_things(host):
    """The boot id changes while a declared endpoint is joined."""
    host.subnet("net", "10.96.0.0/24")
    host.sandbox("con")
    host.ok("POST", "/cnm/v1/endpoints", {"Name": "ep", "Network": "net", "EndpointConfig": {
        "IPAMConfig": {"IPv4Address": "10.96.0.9"}}}, 201)
    host.ok("POST", "/cnm/v1/endpoints/ep/join", {"Sandbox": "con"})
    machine.reboot(host)
    host.start()
    host.wait_healed()
    shown = host.get("/cnm/v1/endpoints/ep")
    assert shown["Sandbox"] == "" and shown["IPv4Address"] == "10.96.0.9/24"


def test_kept_order_of_creation(host):
    for name in ("z", "y", "x"):
        host.network(name)
    before = [n["Name"] for n in host.get("/networks")]
    host.restart()
    assert [n["Name"] for n in host.get("/networks")] == before


def test_the_second_sigterm_while_clients_wait(host):
    """A client of /events does not keep the daemon from ending."""
    client = host.popen(harness.program(harness.COMMAND), "events", stdout=-1)
    host.network("net")
    client.stdout.readline()
    host.stop()
    assert client.wait(harness.PATIENCE) is not None
    client.stdout.close()
    host.start()
