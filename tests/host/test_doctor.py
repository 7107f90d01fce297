# SPDX-License-Identifier: LGPL-2.1-or-later
"""cnm doctor names every difference, and mends them when told to."""
import json

import pytest

import dump
import harness


@pytest.fixture
def sick(host):
    """The daemon cannot heal while it is stopped; doctor then sees what was done."""
    host.network("net", Options={"com.docker.network.bridge.name": "brx"})
    host.sandbox("con", "net")
    host.before = harness.lasting(host.dump())
    return host


def test_healthy(sick):
    result = sick.cnm("doctor", check=True)
    assert (result.out, result.err) == ("", "")


def test_shape_of_a_difference(sick):
    """Caught in the act: doctor compares before the monitors have healed, or finds it healed."""
    for _ in range(50):
        sick.run("ip", "addr", "flush", "dev", "brx")
        found = sick.doctor()
        if found:
            break
        sick.wait_healed()
    for difference in found:
        assert set(difference) == {"Action", "Kind", "Where", "Key", "Want", "Have", "Owner"}
        assert difference["Action"] in ("add", "change", "remove")
    sick.wait_healed()


def test_repair_by_command(sick):
    sick.run("sh", "-c", "ip link del brx; nft flush ruleset; ip link del cnm0")
    result = sick.cnm("doctor", "--repair")
    assert result.rc == 0, repr(result)
    assert not dump.difference(sick.before, harness.lasting(sick.dump()))


def test_a_stray_link_with_our_mark_is_removed(sick):
    alias = json.loads(sick.run("ip", "-j", "link", "show", "dev", "brx").out)[0]["ifalias"]
    prefix = alias.rsplit(":", 1)[0]
    sick.run("ip", "link", "add", "stray", "type", "bridge")
    sick.run("ip", "link", "set", "dev", "stray", "alias", prefix + ":" + "0" * 64)
    sick.doctor(repair=True)
    harness.wait_for(lambda: not sick.link("stray"), "the stray link is gone")


def test_a_link_of_another_instance_is_not(sick):
    sick.run("ip", "link", "add", "stray", "type", "bridge")
    sick.run("ip", "link", "set", "dev", "stray", "alias", "cnm:another:" + "0" * 64)
    sick.doctor(repair=True)
    assert sick.link("stray")
    sick.run("ip", "link", "del", "stray")


def test_a_stray_element_is_removed(sick):
    listing = sick.run("nft", "-j", "list", "ruleset").json
    name = next(e["set"]["name"] for e in listing["nftables"]
                if "set" in e and e["set"]["family"] == "inet" and e["set"]["type"] == "ifname"
                and any("brx" in str(item) for item in e["set"].get("elem", [])))
    table = next(e["set"]["table"] for e in listing["nftables"]
                 if "set" in e and e["set"]["name"] == name)
    sick.run("nft", "add", "element", "inet", table, name, "{", "ghost0", "}")
    sick.doctor(repair=True)
    assert "ghost0" not in sick.run("nft", "list", "set", "inet", table, name).out


def test_without_a_daemon(bare_host):
    result = bare_host.run(harness.program(harness.COMMAND), "doctor", check=False)
    assert result.rc == 1 and "/run/cnm/cnm.sock" in result.err
