# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stock docker clients' network commands, unchanged, against cnmd: by the client on the PATH and by
that of Docker 20.10."""
import functools
import json
import re

import pytest

import harness


@pytest.fixture(params=["path", "20.10"])
def docker(request, docker):
    """The fixture of conftest.py, for each client."""
    return docker if request.param == "path" else functools.partial(docker, client=harness.DOCKER_20)


def test_version_and_info(host, docker):
    assert docker("version", check=True).rc == 0
    shown = docker("info", "--format", "{{json .Plugins.Network}}", check=True)
    assert {"bridge", "host", "null"} <= set(json.loads(shown.out))


def test_create_ls_inspect_rm(host, docker):
    network = docker("network", "create", "net1", check=True).out.strip()
    assert re.fullmatch("[0-9a-f]{64}", network)
    names = docker("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}", check=True)
    assert sorted(names.out.splitlines()) == [
        "bridge bridge local", "host host local", "net1 bridge local", "none null local"]
    assert docker("network", "ls", "-q", "--no-trunc", "-f", "name=net1",
                  check=True).out.strip() == network
    shown, = docker("network", "inspect", "net1", check=True).json
    assert shown["Id"] == network and shown["Containers"] == {}
    assert shown["IPAM"]["Config"][0]["Gateway"].endswith(".1")
    assert docker("network", "inspect", "-f", "{{.Name}} {{.EnableIPv6}}", network[:12],
                  check=True).out.strip() == "net1 false"
    assert docker("network", "rm", "net1", check=True).out.strip() == "net1"
    gone = docker("network", "inspect", "net1")
    assert gone.rc == 1 and ("network net1 not found" in gone.err or "No such network: net1" in gone.err)


def test_every_create_flag(host, docker):
    docker("network", "create", "-d", "bridge", "--subnet", "10.11.0.0/16", "--ip-range",
           "10.11.5.0/24", "--gateway", "10.11.0.1", "--aux-address", "printer=10.11.5.9",
           "--ipv6", "--subnet", "fd00:11::/64", "--label", "who=me", "--internal", "--attachable",
           "-o", "com.docker.network.bridge.name=brx", "-o", "com.docker.network.driver.mtu=1400",
           "full", check=True)
    shown, = docker("network", "inspect", "full", check=True).json
    assert shown["Internal"] and shown["Attachable"] and shown["EnableIPv6"]
    assert shown["Labels"] == {"who": "me"}
    four = [c for c in shown["IPAM"]["Config"] if c["Subnet"] == "10.11.0.0/16"][0]
    assert four["IPRange"] == "10.11.5.0/24" and four["Gateway"] == "10.11.0.1"
    assert four["AuxiliaryAddresses"] == {"printer": "10.11.5.9"}
    assert shown["Options"]["com.docker.network.bridge.name"] == "brx"
    assert host.link("brx")["mtu"] == 1400


def test_connect_disconnect(host, docker):
    host.network("a")
    host.subnet("b", "10.12.0.0/24")
    host.sandbox("con", "a")
    docker("network", "connect", "--ip", "10.12.0.77", "--alias", "other", "b", "con", check=True)
    shown, = docker("network", "inspect", "b", check=True).json
    (entry,) = shown["Containers"].values()
    assert entry["Name"] == "con" and entry["IPv4Address"] == "10.12.0.77/24"
    assert host.inside("con").links()["eth1"][0] == "10.12.0.77/24"
    again = docker("network", "connect", "b", "con")
    assert again.rc == 1
    assert "endpoint with name con already exists in network b" in again.err
    docker("network", "disconnect", "b", "con", check=True)
    assert set(host.inside("con").links()) == {"eth0"}
    missing = docker("network", "connect", "b", "nobody")
    assert missing.rc == 1 and "No such container: nobody" in missing.err


def test_prune(host, docker):
    host.network("used")
    host.network("unused", Labels={"a": "b"})
    host.sandbox("con", "used")
    kept = docker("network", "prune", "-f", "--filter", "label=c", check=True)
    assert "unused" not in kept.out
    pruned = docker("network", "prune", "-f", check=True)
    assert "unused" in pruned.out and "Deleted Networks" in pruned.out
    assert {n["Name"] for n in host.get("/networks")} == {"bridge", "host", "none", "used"}


def test_refusals(host, docker):
    for name in ("bridge", "host", "none"):
        refused = docker("network", "rm", name)
        assert refused.rc == 1
        assert "%s is a pre-defined network and cannot be removed" % name in refused.err
    refused = docker("network", "create", "bridge")
    assert "operation is not permitted on predefined bridge network" in refused.err
    docker("network", "create", "one", check=True)
    refused = docker("network", "create", "one")
    assert "network with name one already exists" in refused.err
    refused = docker("network", "create", "--subnet", "10.13.0.1/16", "two")
    assert "invalid subnet 10.13.0.1/16: it should be 10.13.0.0/16" in refused.err
    refused = docker("network", "create", "-d", "nosuch", "two")
    assert refused.rc == 1 and 'plugin "nosuch" not found' in refused.err


def test_events(host, docker):
    started = host.run("date", "+%s").out.strip()
    host.network("seen")
    host.sandbox("con", "seen")
    host.remove_sandbox("con")
    host.remove_network("seen")
    until = host.run("date", "+%s.%N").out.strip()
    lines = docker("events", "--since", started, "--until", until, "--filter", "type=network",
                   "--format", "{{.Action}} {{.Actor.Attributes.name}}", check=True)
    assert [line for line in lines.out.splitlines() if "seen" in line] == [
        "create seen", "connect seen", "disconnect seen", "destroy seen"]
