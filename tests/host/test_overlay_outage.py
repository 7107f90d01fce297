# SPDX-License-Identifier: LGPL-2.1-or-later
"""The store is away: when a daemon starts, and while it runs. And a store of three servers that loses one."""
import signal
import threading
import time

import pytest

import cluster
import cluster_truth
import harness
from cluster import knows
from cluster_world import World
from names import found
from test_overlay import resolves, store_notes
from wire import NOERROR

LINGER = 3  # seconds; cnm.linger


@pytest.fixture
def pair(tmp_path):
    with cluster.started(tmp_path, "etcd", hosts=2, options=cluster.QUICK) as made:
        yield made


@pytest.fixture
def trio(tmp_path):
    """Two hosts on a store of three servers."""
    with cluster.started(tmp_path, "etcd", hosts=2, servers=3, options=cluster.QUICK) as made:
        yield made


def seconds(action):
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


def test_down_at_start(pair):
    """Local networks, names and traffic are there; what needs the store is refused within its deadline, and says why;
    leaving works, and is told when the store is back."""
    a, b = pair.hosts
    with World(pair) as world:
        a.sandbox("goes", "blue")
        a.sandbox("drops", "blue", "red")
        knows(b, "blue", "goes")
        knows(b, "red", "drops")
        cluster.overlay(pair.hosts, "empty", "10.91.0.0/24")
        resident = world.at[2, "blue"]
        a.stop()
        pair.store.stop()
        pair.start(a, wait=False)
        view = world.views[1]
        resolves(view, "resident2.blue", resident)
        listed = {c["Name"] for c in a.inspect("blue")["Containers"].values()}
        assert listed == {"resident1", "resident2", "goes", "drops"}
        assert not a.get("/info")["ClusterStoreReached"] and any("not reached" in n for n in store_notes(a))
        a.subnet("local", "10.90.0.0/24")
        for name in "l1", "l2":
            a.sandbox(name, "local")
        assert a.inside("l1").reaches(a.address("l2", "local"))
        resolves(a.inside("l1"), "l2", a.address("l2", "local"))
        for method, path, body in (
                ("POST", "/networks/create", {"Name": "green", "Driver": "overlay"}),
                ("POST", "/cnm/v1/sandboxes", {"Name": "new", "Networks": [{"Network": "blue"}]}),
                ("POST", "/networks/blue/connect", {"Container": "l1"}),
                ("DELETE", "/networks/empty", None),
                ("POST", "/networks/blue/disconnect", {"Container": "resident2", "Force": True})):
            a.compare = True
            assert seconds(lambda: a.refused(method, path, body, 503, matching="etcd")) < 8 * harness.SLOW
            a.compare = False
        a.remove_sandbox("goes")
        a.disconnect("red", "drops")
        assert {c["Name"] for c in a.inspect("blue")["Containers"].values()} == {"resident1", "resident2", "drops"}
        knows(b, "blue", "goes")
        a.stop()
        pair.start(a, wait=False)
        a.daemon.send_signal(signal.SIGSTOP)  # the other one is first, and finds it lost
        harness.wait_for(lambda: pair.nodes(b)[a.underlay]["LostSeconds"] > LINGER, "it is lost for long")
        pair.store.start()
        harness.wait_for(lambda: b.get("/info")["ClusterStoreReached"], "the store is reached")
        for _ in range(20):
            assert found(world.views[2], "resident1.blue") == (NOERROR, [world.at[1, "blue"]])
        a.daemon.send_signal(signal.SIGCONT)
        knows(b, "blue", "goes", there=False)
        knows(b, "red", "drops", there=False)
        knows(b, "blue", "drops")
        for host in pair.hosts:
            pair.is_up(host, on=a)
        a.connect("blue", "l1")
        knows(b, "blue", "l1")
        world.check()


def test_down_before_the_first_start(tmp_path):
    """A daemon that never reached its store serves its own host, and joins when it can."""
    made = cluster.Cluster(tmp_path, "etcd", hosts=1)
    try:
        made.store.stop()
        made.start(wait=False)
        host = made.hosts[0]
        host.network("local")
        host.sandbox("one", "local")
        host.refused("POST", "/networks/create", {"Name": "blue", "Driver": "overlay"}, 503, matching="etcd")
        made.store.start()
        made.is_up(host)
        host.network("blue", Driver="overlay")
        host.connect("blue", "one")
        cluster_truth.agrees(made)
        host.stop()
    finally:
        made.close()


class Joins:
    """Sandboxes come and go on a host, one after another, none of them in vain. What the store does not answer in time,
    because its leader is gone, is asked once more."""

    def __init__(self, host):
        self.host, self.count, self.failed, self.again, self.stopping = host, 0, [], 0, False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping:
            name = "j%d-%d" % (self.host.number, self.count)
            self._ask("POST", "/cnm/v1/sandboxes", {"Name": name, "Networks": [{"Network": "blue"}]})
            if self.count % 3:
                self._ask("DELETE", "/cnm/v1/sandboxes/" + name)
            self.count += 1

    def _ask(self, *what):
        first = answer = self.host.request(*what)
        if answer.status == 503:
            self.again += 1
            answer = self.host.request(*what)
        if answer.status >= 300:
            self.failed.append("%s %s: %r, then %r" % (what[0], what[1], first, answer))

    def more(self, count=5):
        wanted = self.count + count
        harness.wait_for(lambda: self.count >= wanted, lambda: "%d joins: %r" % (wanted, self.failed))

    def stop(self):
        self.stopping = True
        self.thread.join()
        assert not self.failed, "\n".join(self.failed)
        return self.count


def test_three_servers(trio):
    """One after another of them is lost under load, the leader among them, and comes back: no join fails, no packet
    and no name is lost, and nothing of what was done."""
    with World(trio) as world:
        joins = [Joins(host) for host in trio.hosts]
        for member in trio.store.members:
            for load in joins:
                load.more()
            member.kill()
            for load in joins:
                load.more()
            member.start()
        for load in joins:
            load.more()
            load.stop()
            assert load.again <= len(trio.store.members), "%d requests were refused" % load.again
        world.check()
        left = {e["Name"] for e in cluster_truth.Content(trio).endpoints.values() if e["Name"].startswith("j")}
        assert left == {"j%d-%d" % (load.host.number, n) for load in joins for n in range(0, load.count, 3)}


def test_without_a_majority(trio):
    """Two of three are gone: as if the store were away, and it is back with the second."""
    a, b = trio.hosts
    with World(trio) as world:
        for member in trio.store.members[:2]:
            member.kill()
        a.refused("POST", "/networks/create", {"Name": "green", "Driver": "overlay"}, 503)
        assert found(world.views[1], "resident2.blue") == (NOERROR, [world.at[2, "blue"]])
        trio.store.members[0].start()
        harness.wait_for(lambda: a.get("/info")["ClusterStoreReached"], "there is a majority")
        harness.wait_for(lambda: not store_notes(a), lambda: store_notes(a))
        b.sandbox("after", "blue")
        knows(a, "blue", "after")
        trio.store.members[1].start()
        world.check()
