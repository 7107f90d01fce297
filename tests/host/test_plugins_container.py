# SPDX-License-Identifier: LGPL-2.1-or-later
"""Containers on networks of plugins, by the stock client and by cnm's."""
import pytest

import containers
import harness
import plugins

pytest_plugins = ["container_fixtures"]
client = containers.fixture_of("docker", "cnm")


@pytest.fixture
def plugin(engine):
    with plugins.running(engine, "plug") as made:
        yield made


def pings(client):
    """Soon: the plugin's bridge takes a moment to forward."""
    harness.wait_for(lambda: client("exec", "one", "ping", "-c1", "-W1", "two").rc == 0, "one reaches two")


def test_a_life(engine, client, plugin):
    """Stopped and started: what the plugin knows of ends and begins; the address stays."""
    client("network", "create", "-d", "plug", "--subnet", "10.7.0.0/24", "net", check=True)
    client.run("--name", "one", "--net", "net", "busybox", *containers.HOLD)
    client.run("--name", "two", "--net", "net", "busybox", *containers.HOLD)
    pings(client)
    assert client("exec", "one", "ping", "-c1", "-W5", harness.LAN4).rc == 0, "by way of the gateway network"
    client("stop", "-t0", "one", check=True)
    plugin.forget()
    address = engine.container("two")["NetworkSettings"]["Networks"]["net"]["IPAddress"]
    client("restart", "-t0", "two", check=True)
    assert plugin.methods() == ["Leave", "DeleteEndpoint", "CreateEndpoint", "Join"]
    assert plugin.calls("DeleteEndpoint")[0]["EndpointID"] != plugin.calls("CreateEndpoint")[0]["EndpointID"]
    assert engine.container("two")["NetworkSettings"]["Networks"]["net"]["IPAddress"] == address
    client("start", "one", check=True)
    pings(client)
    plugin.forget()
    client("rm", "-f", "one", "two", check=True)
    assert plugin.methods() == ["Leave", "DeleteEndpoint"] * 2
    client("network", "rm", "net", check=True)
    engine.remove_network("docker_gwbridge")


def test_the_plugin_is_away(engine, client, plugin):
    """What runs goes on and can be stopped; what would need the plugin is refused; both end when it is back."""
    client("network", "create", "-d", "plug", "--subnet", "10.7.0.0/24", "net", check=True)
    client.run("--name", "one", "--net", "net", "busybox", *containers.HOLD)
    client.run("--name", "two", "--net", "net", "busybox", *containers.HOLD)
    plugin.kill()
    pings(client)
    client("stop", "-t0", "two", check=True)
    refused = client("start", "two")
    assert refused.rc != 0 and "Connection refused" in refused.err, repr(refused)
    assert engine.status("two") == "exited"
    plugin.start()
    client("start", "two", check=True)
    pings(client)
    client("rm", "-f", "one", "two", check=True)
    client("network", "rm", "net", check=True)
    engine.remove_network("docker_gwbridge")
    begun = {c["EndpointID"] for c in plugin.calls("CreateEndpoint")}
    harness.wait_for(lambda: begun <= {c["EndpointID"] for c in plugin.calls("DeleteEndpoint")},
                     "the plugin is told of the end of each")
