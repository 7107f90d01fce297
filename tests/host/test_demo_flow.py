# SPDX-License-Identifier: LGPL-2.1-or-later
"""The two-network example, played by the command cnm as a person types it."""
import re


def ids(result):
    assert re.fullmatch(r"[0-9a-f]{64}\n", result.out), repr(result)
    return result.out.strip()


def test_two_networks(host):
    backend = ids(host.cnm("network", "create", "backend", check=True))
    frontend = ids(host.cnm("network", "create", "frontend", check=True))
    listed = host.cnm("network", "ls", check=True).out.splitlines()
    assert listed[0].split() == ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]
    assert sorted(line.split()[1] for line in listed[1:]) == [
        "backend", "bridge", "frontend", "host", "none"]
    assert backend[:12] in "\n".join(listed) and frontend[:12] in "\n".join(listed)

    for name, network in (("con1", "backend"), ("con2", "backend"), ("con3", "frontend")):
        ids(host.cnm("sandbox", "create", name, "--net", network, check=True))
    two = host.address("con2", "backend")

    assert host.cnm("sandbox", "exec", "con1", "ping", "-c1", "-W2", "con2").rc == 0
    assert host.cnm("sandbox", "exec", "con1", "ping", "-c1", "-W2", two).rc == 0
    assert host.cnm("sandbox", "exec", "con3", "ping", "-c1", "-W1", two).rc != 0
    assert host.cnm("sandbox", "exec", "con3", "ping", "-c1", "-W1", "con2").rc != 0

    shown = host.cnm("sandbox", "exec", "con2", "ip", "addr", check=True).out
    assert two + "/" in shown and "eth0" in shown and "eth1" not in shown
    host.cnm("network", "connect", "frontend", "con2", check=True)
    shown = host.cnm("sandbox", "exec", "con2", "ip", "addr", check=True).out
    assert "eth0" in shown and "eth1" in shown
    assert host.address("con2", "frontend") + "/" in shown
    assert host.cnm("sandbox", "exec", "con2", "ping", "-c1", "-W2", "con3").rc == 0

    for name in ("bridge", "host", "none"):
        refused = host.cnm("network", "rm", name)
        assert refused.rc == 1
        assert "%s is a pre-defined network and cannot be removed" % name in refused.err
    refused = host.cnm("network", "rm", "backend")
    assert refused.rc == 1
    assert 'has active endpoints (name:"con1" id:"' in refused.err and 'name:"con2"' in refused.err

    host.cnm("network", "disconnect", "frontend", "con2", check=True)
    assert "eth1" not in host.cnm("sandbox", "exec", "con2", "ip", "addr", check=True).out
    for name in ("con1", "con2", "con3"):
        host.cnm("sandbox", "rm", name, check=True)
    for name in ("backend", "frontend"):
        assert host.cnm("network", "rm", name, check=True).out.strip() == name
    assert host.cnm("sandbox", "ls", "-q", check=True).out == ""
    assert host.cnm("doctor", check=True).out == ""


def test_several_at_once(host):
    host.cnm("network", "create", "a", check=True)
    host.cnm("network", "create", "b", check=True)
    host.cnm("sandbox", "create", "c", "--net", "a", "--net", "b", check=True)
    assert set(host.inside("c").links()) == {"eth0", "eth1"}
    host.compare = False  # one of the two is really removed
    removed = host.cnm("sandbox", "rm", "c", "nobody")
    assert removed.rc == 1 and "nobody" in removed.err
    assert host.get("/cnm/v1/sandboxes") == []


def test_network_rm_names_each_and_fails_on_the_missing(host):
    host.cnm("network", "create", "a", check=True)
    host.compare = False  # one of the two is really removed
    result = host.cnm("network", "rm", "a", "missing")
    assert result.rc == 1
    assert result.out.split() == ["a"]
    assert "network missing not found" in result.err


def test_exec_hands_back_the_exit_status_and_streams(host):
    host.sandbox("box")
    assert host.cnm("sandbox", "exec", "box", "sh", "-c", "exit 7").rc == 7
    result = host.cnm("sandbox", "exec", "box", "sh", "-c", "cat; echo err >&2", input="in")
    assert (result.out, result.err) == ("in", "err\n")
    missing = host.cnm("sandbox", "exec", "box", "no-such-program")
    assert missing.rc == 127 and "no-such-program" in missing.err
    assert host.cnm("sandbox", "exec", "nobox", "true").rc != 0


def test_help_and_unknown_words(host):
    assert "network" in host.cnm("--help", check=True).out
    assert "--subnet" in host.cnm("network", "create", "--help", check=True).out
    assert host.cnm("network", "frobnicate").rc != 0
    refused = host.cnm("network", "create", "--frobnicate", "x")
    assert refused.rc == 125 and "unknown flag: --frobnicate" in refused.err
