# SPDX-License-Identifier: LGPL-2.1-or-later
"""The two-network example with containers, by each client."""
import re

import pytest

import containers

pytest_plugins = ["container_fixtures"]


def address(host, name, network):
    return host.container(name)["NetworkSettings"]["Networks"][network]["IPAddress"]


def interfaces(client, name):
    """{name: address/length} as the container sees it"""
    shown = client.say("exec", name, "ip", "-o", "-4", "addr")
    return dict(re.findall(r"^\d+: (eth\d+)\s+inet (\S+)", shown, re.M))


def test_two_networks(engine, client):
    for name in ("backend", "frontend"):
        assert re.fullmatch(r"[0-9a-f]{64}\n", client.say("network", "create", name))
    listed = client.say("network", "ls")
    assert {line.split()[1] for line in listed.splitlines()[1:]} == {
        "backend", "bridge", "frontend", "host", "none"}
    for name, network in (("con1", "backend"), ("con2", "backend"), ("con3", "frontend")):
        made = client("run", "-dit", "--name", name, "--net", network, "busybox", check=True).out
        assert re.fullmatch(r"[0-9a-f]{64}\n", made)
    two = address(engine, "con2", "backend")

    assert "1 packets received" in client.say("exec", "con1", "ping", "-c1", "-W5", "con2")
    assert "1 packets received" in client.say("exec", "con1", "ping", "-c1", "-W5", two)
    assert client("exec", "con3", "ping", "-c1", "-W1", two).rc == 1
    unknown = client("exec", "con3", "ping", "-c1", "-W1", "con2")
    assert unknown.rc == 1 and "bad address" in unknown.err

    assert set(interfaces(client, "con2")) == {"eth0"}
    client("network", "connect", "frontend", "con2", check=True)
    shown = interfaces(client, "con2")
    assert shown["eth0"].split("/")[0] == two
    assert shown["eth1"].split("/")[0] == address(engine, "con2", "frontend")
    assert "1 packets received" in client.say("exec", "con2", "ping", "-c1", "-W5", "con3")
    assert "1 packets received" in client.say("exec", "con1", "ping", "-c1", "-W5", "con2")

    busy = client("network", "rm", "backend")
    assert busy.rc == 1 and "has active endpoints" in busy.err
    client("network", "disconnect", "frontend", "con2", check=True)
    assert set(interfaces(client, "con2")) == {"eth0"}
    assert client("exec", "con2", "ping", "-c1", "-W1", "con3").rc == 1

    listed = client.say("ps").splitlines()
    assert re.split(r"\s{2,}", listed[0].strip()) == [
        "CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert {line.split()[-1] for line in listed[1:]} == {"con1", "con2", "con3"}
    assert all(' "sh" ' in line and " busybox " in line for line in listed[1:])
    assert client.say("rm", "-f", "con1", "con2", "con3").split() == ["con1", "con2", "con3"]
    assert client.say("network", "rm", "backend", "frontend").split() == ["backend", "frontend"]
    assert client.say("ps", "-aq") == ""


def test_packets_of_a_container_leave_by_the_uplink(engine, client):
    client.run("--name", "con", "busybox", *containers.HOLD)
    assert client("exec", "con", "ping", "-c1", "-W5", "192.0.2.1").rc == 0


def test_run_to_the_end_in_a_network(engine, client):
    """A container that is there for one command."""
    client.say("network", "create", "backend")
    client.run("--name", "con1", "--net", "backend", "busybox", *containers.HOLD)
    shown = client("run", "--rm", "--net", "backend", "busybox", "ping", "-c1", "-W5", "con1", check=True)
    assert "1 packets received" in shown.out and shown.err == ""
    assert client.say("ps", "-a", "--format", "{{.Names}}") == "con1\n"


@pytest.mark.parametrize("runtime", ["runc", "crun"])
@containers.cnm_only
def test_either_runtime(request, tmp_path, runtime):
    with containers.host_with_containers(request, tmp_path, runtime=runtime) as host:
        client = containers.client_of(host, "cnm")
        assert host.request("GET", "/info").json["DefaultRuntime"] == runtime
        client.say("network", "create", "net1")
        client.run("-it", "--name", "con1", "--net", "net1", "busybox")
        assert client("exec", "con1", "sh", "-c", "exit 5").rc == 5
        result = client("run", "-i", "--net", "net1", "--memory", "64m", "--pids-limit", "50", "busybox", "sh",
                        "-c", "ping -c1 -W5 con1 >/dev/null && cat; echo e >&2; exit 42", input="in")
        assert (result.rc, result.out, result.err) == (42, "in", "e\n")
        with client.terminal("run", "-it", "--rm", "busybox") as term:
            term.expect("/ # ")
            term.send("stty size; exit 3\r")
            term.expect("24 80")
            assert term.end()[0] == 3
        assert client("run", "busybox", "no-such-program").rc == 127
        assert client("run", "busybox", "/etc/passwd").rc == 126
        host.restart(kill=True)
        assert client("exec", "con1", "true").rc == 0
        assert client("stop", "-t", "0", "con1").rc == 0
        assert host.container("con1")["State"]["ExitCode"] == 137
        host.tidy()
