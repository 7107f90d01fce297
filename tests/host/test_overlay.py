# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks of several hosts: hosts with daemons of their own on one segment, with each kind of store."""
import json
import threading
import time

import pytest

import cluster
import harness
import stores
from cluster import knows
from names import found


@pytest.fixture(params=stores.KINDS)
def three(request, tmp_path):
    yield from started(cluster.Cluster(tmp_path, request.param))


@pytest.fixture
def pair(tmp_path):
    yield from started(cluster.Cluster(tmp_path, "etcd", hosts=2))


def started(made):
    try:
        made.start()
        yield made
    finally:
        made.close()


def overlay(host, name, subnet, **more):
    return host.subnet(name, subnet, Driver="overlay", **more)


def resolves(view, name, *addresses):
    """Soon; to none of them: not any more."""
    harness.wait_for(lambda: sorted(found(view, name)[1]) == sorted(addresses), lambda: "%s is %s, and not %r" % (
        name, addresses, found(view, name)))


def peers(host, network):
    """What the kernel has of a network's place: {(MAC, host)} and {(address, MAC)}."""
    place = [n for n in host.run("ls", "/run/netns").words if n.startswith("ov-" + network[:10])][0]
    fdb = json.loads(host.run("ip", "netns", "exec", place, "bridge", "-j", "fdb", "show", "dev", "vxlan0").out)
    neighbours = json.loads(host.run("ip", "-n", place, "-j", "neigh", "show", "dev", "vxlan0").out)
    return ({(e["mac"], e["dst"]) for e in fdb if "dst" in e and e["mac"] != "00:00:00:00:00:00"},
            {(e["dst"], e["lladdr"]) for e in neighbours if "lladdr" in e})


def store_notes(host):
    """What doctor says of the store."""
    host.doctor()
    return [note for note in host.notes if "store" in note]


def test_one_network(three):
    """Made on one host it is on all; sandboxes reach one another by address and by name; who leaves is gone
    everywhere, and what it had is free."""
    a, b, c = three.hosts
    network = overlay(a, "blue", "10.44.0.0/24")
    views, at = [], []
    for number, host in enumerate(three.hosts):
        knows(host, "blue", None)
        assert host.inspect("blue")["Id"] == network and host.inspect("blue")["Scope"] == "global"
        host.sandbox("s%d" % number, ("blue", {"Aliases": ["nick%d" % number]}))
        at.append(host.address("s%d" % number, "blue"))
        views.append(host.inside("s%d" % number))
    assert len(set(at)) == 3
    for host, view in zip(three.hosts, views):
        for number in range(3):
            knows(host, "blue", "s%d" % number)
            resolves(view, "s%d" % number, at[number])
            resolves(view, "nick%d.blue" % number, at[number])
            assert view.reaches(at[number])
    c.disconnect("blue", "s2")
    for host, view in ((a, views[0]), (b, views[1])):
        knows(host, "blue", "s2", there=False)
        resolves(view, "s2")
    b.sandbox("again", ("blue", {"IPAMConfig": {"IPv4Address": at[2]}}))
    knows(a, "blue", "again")
    assert views[0].reaches(at[2])
    a.refused("DELETE", "/networks/blue", status=403)
    for host, name in ((a, "s0"), (b, "s1"), (b, "again"), (c, "s2")):
        host.remove_sandbox(name)
    for host in (a, b):
        knows(host, "blue", "again", there=False)
    b.remove_network("blue")
    for host in three.hosts:
        harness.wait_for(lambda: host.request("GET", "/networks/blue").status == 404, "blue is gone")


def test_two_networks_are_apart(pair):
    a, b = pair.hosts
    overlay(a, "blue", "10.44.0.0/24")
    overlay(b, "red", "10.45.0.0/24")
    for host in pair.hosts:
        knows(host, "blue", None)
        knows(host, "red", None)
    a.sandbox("one", "blue")
    b.sandbox("two", "red")
    b.sandbox("both", "blue", "red")
    view = a.inside("one")
    assert view.reaches(b.address("both", "blue"))
    assert not view.can_ping(b.address("two", "red"))
    assert not view.can_ping(b.address("both", "red"))


def test_what_is_taken_is_refused(pair):
    a, b = pair.hosts
    overlay(a, "blue", "10.44.0.0/24")
    knows(b, "blue", None)
    a.sandbox("one", ("blue", {"IPAMConfig": {"IPv4Address": "10.44.0.9"}}))
    knows(b, "blue", "one")
    b.refused("POST", "/networks/create", {"Name": "blue", "Driver": "overlay"}, 409, matching="already exists")
    b.refused("POST", "/networks/create", {"Name": "x", "Driver": "overlay", "IPAM": {"Config": [{"Subnet": "10.44.0.0/16"}]}},
              403, matching="overlaps")
    b.refused("POST", "/cnm/v1/sandboxes", {"Name": "two", "Networks": [
        {"Network": "blue", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.44.0.9"}}}]}, 403, matching="already in use")


def test_races(pair):
    """Both hosts join, at once and often: no two have one address."""
    a, b = pair.hosts
    overlay(a, "blue", "10.44.0.0/24")
    knows(b, "blue", None)

    def join(host):
        for number in range(10):
            host.sandbox("h%d-%d" % (host.number, number), "blue")
    threads = [threading.Thread(target=join, args=(h,)) for h in pair.hosts]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    at = [h.address("h%d-%d" % (h.number, n), "blue") for h in pair.hosts for n in range(10)]
    assert len(set(at)) == 20
    knows(a, "blue", "h2-9")
    view = a.inside("h1-0")
    assert all(view.reaches(address) for address in at)


def test_a_daemon_that_is_killed(pair):
    """Traffic goes on; and with the next daemon all is as it was."""
    a, b = pair.hosts
    network = overlay(a, "blue", "10.44.0.0/24")
    knows(b, "blue", None)
    a.sandbox("one", "blue")
    b.sandbox("two", "blue")
    knows(a, "blue", "two")
    view = a.inside("one")
    assert view.reaches(b.address("two", "blue"))
    at, before = b.address("two", "blue"), peers(a, network)
    assert len(before[0]) == 1 and len(before[1]) == 1
    for host in pair.hosts:
        host.kill9()
    assert view.can_ping(at)
    pair.start()
    assert view.can_ping(at)
    for host in pair.hosts:
        host.wait_healed()
    assert peers(a, network) == before
    resolves(view, "two", at)


def test_the_store_forgets_everything(pair):
    a, b = pair.hosts
    overlay(a, "blue", "10.44.0.0/24")
    knows(b, "blue", None)
    a.sandbox("one", "blue")
    b.sandbox("two", "blue")
    knows(a, "blue", "two")
    view, at = a.inside("one"), b.address("two", "blue")
    pair.store.kill()
    assert view.reaches(at)
    resolves(view, "two", at)
    b.refused("POST", "/networks/create", {"Name": "red", "Driver": "overlay"}, 503)
    pair.store.wipe()
    pair.store.start()
    for host in pair.hosts:
        harness.wait_for(lambda: pair.state(host, a) == pair.state(host, b) == "up", "both are back")
        harness.wait_for(lambda: not store_notes(host), "nothing is missing in the store")
    assert view.can_ping(at)
    resolves(view, "two", at)
    b.sandbox("three", "blue")
    knows(a, "blue", "three")


def test_removed_from_elsewhere(pair):
    """By force: its owner takes it off the network."""
    a, b = pair.hosts
    overlay(a, "blue", "10.44.0.0/24")
    knows(b, "blue", None)
    a.sandbox("one", "blue")
    b.sandbox("two", "blue")
    knows(a, "blue", "two")
    a.disconnect("blue", "two", force=True)
    knows(b, "blue", "two", there=False)
    harness.wait_for(lambda: "blue" not in b.get("/cnm/v1/sandboxes/two")["Networks"], "it is off the network")


def calls(host):
    """How often the daemon has read and written."""
    with open("/proc/%d/io" % host.daemon.pid) as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("sysc"))


def test_it_rests(pair):
    """With endpoints of others, one of which is missing in the store for a while, and nothing to do."""
    a, b = pair.hosts
    overlay(a, "blue", "10.91.0.0/24")
    knows(b, "blue", None)
    a.sandbox("one", "blue")
    b.sandbox("two", "blue")
    knows(a, "blue", "two")
    b.kill9()
    pair.store.restart(wipe=True)
    harness.wait_for(lambda: a.get("/info")["ClusterStoreReached"], "the store is back")
    harness.wait_for(lambda: not store_notes(a) or any("any more" in n for n in store_notes(a)), "it has settled")
    before = calls(a)
    time.sleep(2)
    assert calls(a) - before < 1000, "it turns round and round"
