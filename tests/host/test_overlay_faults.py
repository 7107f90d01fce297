# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stores and hosts fail while residents of all hosts talk to one another: nothing is lost between those that can
reach one another, and afterwards store, models and kernels agree entry by entry (cluster_world, cluster_truth).

CNM_ALL_FAULTS=1 (./test --cluster): with every kind of store, and more of what is random."""
import os
import random
import time

import pytest

import cluster
import cluster_truth
import harness
import stores
from cluster import knows
from cluster_world import World

LONG = pytest.mark.cluster
ALL = bool(os.environ.get("CNM_ALL_FAULTS"))
KINDS = stores.KINDS if ALL else ("etcd",)


@pytest.fixture
def made(request, tmp_path):
    """Its parameter: the store, and options."""
    kind, *options = request.param
    with cluster.started(tmp_path, kind, options=cluster.QUICK + tuple(options)) as made:
        yield made


def on(*options, kinds=KINDS):
    return pytest.mark.parametrize("made", [(kind, *options) for kind in kinds], indirect=True, ids=kinds)


def reached(host):
    return host.get("/info")["ClusterStoreReached"]


def all_reach(made, there=True):
    for host in made.hosts:
        harness.wait_for(lambda: reached(host) == there, "host %d %s the store" % (
            host.number, "reaches" if there else "has lost"), timeout=2 * harness.PATIENCE)


def break_store(made, fault):
    """What comes before the store is back; hosts have noticed."""
    store = made.store
    if fault == "paused":
        store.pause()
    else:
        store.kill()
    all_reach(made, there=False)


def mend_store(made, fault):
    store = made.store
    if fault == "paused":
        store.resume()
    else:
        if fault == "wiped":
            store.wipe()
        elif fault == "old":
            store.restore()
        store.start()
    all_reach(made)


@on()
@pytest.mark.parametrize("fault", [pytest.param("killed", marks=LONG), pytest.param("paused", marks=LONG),
                                   pytest.param("wiped", marks=LONG), "old"])
def test_the_store(made, fault):
    """It is gone, says nothing, has forgotten everything, or comes back as it was some time ago. Meanwhile one
    leaves, and one daemon is killed and started. What has happened since the backup has happened."""
    a, b, c = made.hosts
    with World(made) as world:
        a.sandbox("leaves", "blue")
        b.sandbox("left", "blue")
        b.sandbox("moves", "blue")
        knows(a, "blue", "left")
        knows(a, "blue", "moves")
        cluster.overlay(made.hosts, "removed", "10.80.0.0/24")
        moved_from = b.address("moves", "blue")
        made.store.save()
        all_reach(made)
        b.remove_sandbox("left")
        b.remove_sandbox("moves")
        knows(c, "blue", "moves", there=False)
        c.sandbox("moves", ("blue", {"IPAMConfig": {"IPv4Address": moved_from}}))
        a.remove_network("removed")
        cluster.overlay(made.hosts, "newer", "10.81.0.0/24")
        c.sandbox("came", "newer", "red")
        knows(a, "newer", "came")
        break_store(made, fault)
        a.remove_sandbox("leaves")
        b.kill9()
        made.start(b, wait=False)
        mend_store(made, fault)
        world.all_know()
        for host in made.hosts:
            knows(host, "newer", "came")
            knows(host, "blue", "moves")
            knows(host, "blue", "leaves", there=False)
            knows(host, "blue", "left", there=False)
        assert c.address("moves", "blue") == moved_from
        b.sandbox("after", "blue")
        knows(a, "blue", "after")
        assert world.views[1].reaches(b.address("after", "blue"))
        assert world.views[1].reaches(moved_from)
        world.check()
        a.request("DELETE", "/networks/removed")


@on(*cluster.grace(2))
def test_a_partition(made):
    """A host is cut off until what it had is given away; each side goes on and changes what it likes. When it is
    back it has lost what is another's, and no more than that; the log says what."""
    a, b, c = made.hosts
    with World(made) as world:
        at = {net: world.at[3, net] for net in ("blue", "red")}
        c.sandbox("stays", "blue")
        c.sandbox("goes", "blue")
        cluster.overlay(made.hosts, "lonely", "10.82.0.0/24")
        cluster.overlay(made.hosts, "kept", "10.84.0.0/24")
        c.sandbox("alone", "lonely")
        c.sandbox("keeper", "kept")
        for who, net in ("stays", "blue"), ("goes", "blue"), ("alone", "lonely"):
            knows(a, net, who)
        stays = c.address("stays", "blue")
        made.cut(c)
        made.is_lost(c, on=a)
        for net in at:
            knows(a, net, "resident3", there=False)
        knows(a, "lonely", "alone", there=False)
        b.sandbox("taker", ("blue", {"IPAMConfig": {"IPv4Address": at["blue"]}}))
        a.sandbox("resident3", "red")
        for net in "lonely", "kept":
            a.remove_network(net)
        cluster.overlay([a, b], "instead", "10.82.0.0/25")
        cluster.overlay([a, b], "empty", "10.84.0.0/25")
        b.sandbox("holder", "instead")
        assert world.views[1].reaches(at["blue"]), "the new one"
        harness.wait_for(lambda: not reached(c), "it has noticed", timeout=2 * harness.PATIENCE)
        c.refused("POST", "/networks/create", {"Name": "there", "Driver": "overlay"}, 503)
        c.remove_sandbox("goes")
        c.subnet("local", "10.83.0.0/24")
        c.sandbox("inside", "local")
        made.join(c)
        knows(a, "blue", "stays")
        assert c.address("stays", "blue") == stays and world.views[1].reaches(stays)
        harness.wait_for(lambda: set(c.get("/cnm/v1/sandboxes/resident3")["Networks"]) == set(), "it has lost both")
        harness.wait_for(lambda: c.get("/cnm/v1/sandboxes/alone")["Networks"] == {}, "there is no such network")
        knows(a, "kept", "keeper")
        assert "empty" not in {n["Name"] for n in a.get("/networks")}, "nobody was on it"
        for word in "resident3", "alone", "kept":
            assert [line for line in c.log_text().splitlines() if "warning" in line and word in line], word
        assert not world.losses(cut=[c])
        cluster_truth.agrees(made)
        assert world.views[1].reaches(at["blue"]), "still the new one"
        c.connect("blue", "resident3")
        knows(a, "blue", "resident3")
        assert world.views[1].reaches(c.address("resident3", "blue"))
        cluster_truth.agrees(made)


@LONG
@on()
def test_a_short_cut(made):
    """Within the grace time nothing is anybody else's: all is as it was, and connections go on."""
    a, b, c = made.hosts
    with World(made) as world:
        made.cut(c)
        made.is_lost(c, on=a)
        a.sandbox("one", "blue")
        b.sandbox("two", "red")
        c.remove_sandbox("resident3")
        c.restart(kill=True)
        made.join(c)
        made.is_up(c, on=a)
        knows(a, "blue", "resident3", there=False)
        c.sandbox("resident3", *[(net, {"IPAMConfig": {"IPv4Address": world.at[3, net]}}) for net in ("blue", "red")])
        world.views[3] = c.inside("resident3")
        world.all_know()
        world.check(cut=[c])


@LONG
@on()
def test_daemons_are_killed(made):
    """At any instant, while guests come and go everywhere."""
    chance = random.Random(made.store.kind)
    with World(made) as world:
        with world.churn():
            for _ in range(30 if ALL else 8):
                host = chance.choice(made.hosts)
                time.sleep(chance.random() * 0.7)
                host.kill9()
                if chance.randrange(2):
                    time.sleep(chance.random())
                host.start()
        assert world.done > 100
        world.check()
        world.clear()
