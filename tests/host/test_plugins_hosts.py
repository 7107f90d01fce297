# SPDX-License-Identifier: LGPL-2.1-or-later
"""A plugin whose networks are those of all hosts, on two of them: made on one, joined on both; it hears
of the hosts by discovery notices, which is how its frames find their way."""
import pytest

import cluster
import harness
import plugins
from names import found

GLOBAL = {"Scope": "global"}


@pytest.fixture
def pair(tmp_path):
    made = cluster.Cluster(tmp_path, "etcd", hosts=2, options=cluster.QUICK)
    running = []
    try:
        made.start()
        for host in made.hosts:
            running.append(plugins.Plugin(host, "wide", capabilities=GLOBAL, vxlan=host.underlay))
            host.plugin = running[-1]
        yield made
    finally:
        for plugin in running:
            plugin.close()
        made.close()


def resolves(view, name, *addresses):
    harness.wait_for(lambda: sorted(found(view, name)[1]) == sorted(addresses), "%s is %s" % (name, addresses))


def test_a_network_of_two_hosts(pair):
    one, two = pair.hosts
    one.subnet("net", "10.21.0.0/24", Driver="wide")
    harness.wait_for(lambda: any(n["Name"] == "net" for n in two.get("/networks")), "the other host lists it")
    assert two.inspect("net")["Driver"] == "wide" and two.inspect("net")["Scope"] == "global"
    one.sandbox("a", "net")
    two.sandbox("b", "net")
    # Docker does not tell the other hosts' plugins of a network either: they share what they need.
    assert one.plugin.calls("CreateNetwork") and not two.plugin.calls("CreateNetwork")
    for host in pair.hosts:
        harness.wait_for(lambda: {(d["DiscoveryData"]["Address"], d["DiscoveryData"]["Self"]) for d in
                                  host.plugin.calls("DiscoverNew")} == {
                                      (h.underlay, h is host) for h in pair.hosts}, "it is told of both hosts")
        assert {d["DiscoveryType"] for d in host.plugin.calls("DiscoverNew")} == {1}
    a, b = one.inside("a"), two.inside("b")
    assert one.address("a", "net") != two.address("b", "net")
    assert a.reaches(two.address("b", "net"))
    resolves(a, "b", two.address("b", "net"))
    resolves(b, "a", one.address("a", "net"))
    # A host that is gone is told of; names of its endpoints go as on an overlay network.
    two.kill9()
    harness.wait_for(lambda: two.underlay in [d["DiscoveryData"]["Address"] for d in
                                              one.plugin.calls("DiscoverDelete")], "it is told that one is gone")
    two.start()
    harness.wait_for(lambda: [d["DiscoveryData"]["Address"] for d in one.plugin.calls("DiscoverNew")].count(
        two.underlay) == 2, "and that it is back")
    # One that was started anew is told again.
    one.plugin.kill()
    one.plugin.forget()
    one.plugin.start()
    assert one.request("POST", "/cnm/v1/sandboxes", {"Name": "c", "Networks": [{"Network": "net"}]}).status == 201
    harness.wait_for(lambda: len(one.plugin.calls("DiscoverNew")) == 2, "it is told of the hosts again")
    for host, names in ((one, ("a", "c")), (two, ("b",))):
        for name in names:
            host.remove_sandbox(name)
    one.remove_network("net")
    harness.wait_for(lambda: not any(n["Name"] == "net" for n in two.get("/networks")), "it is gone there too")
    assert one.plugin.calls("DeleteNetwork")


def test_without_a_cluster(host):
    """Docker's words."""
    with plugins.running(host, "wide", capabilities=GLOBAL):
        host.refused("POST", "/networks/create", {"Name": "net", "Driver": "wide"}, 500,
                     matching='datastore for scope "global" is not initialized')


def test_an_invalid_scope(host):
    with plugins.running(host, "odd", capabilities={"Scope": "galactic"}):
        host.refused("POST", "/networks/create", {"Name": "net", "Driver": "odd"}, 503,
                     matching="expecting 'local' or 'global', got galactic")
