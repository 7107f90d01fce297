# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults of stores, hosts and links one upon another, at random, while residents talk and guests come and go; then
everything is mended, and all agree (cluster_world, cluster_truth). A seed makes the same faults again."""
import contextlib
import os
import random
import signal
import time

import pytest

import cluster
import cluster_truth
import harness
import stores
from cluster_world import World

pytestmark = pytest.mark.cluster
ALL = bool(os.environ.get("CNM_ALL_FAULTS"))
KINDS = stores.KINDS if ALL else ("etcd",)
SEEDS = [int(seed) for seed in os.environ.get("CNM_SEEDS", "1 2 3 4" if ALL else "1").split()]
FAULTS = 25 if ALL else 6


class Storm:
    """What can be broken, and is; each fault is mended some time after the next has come."""

    def __init__(self, made, chance):
        self.made, self.chance, self.broken, self.told = made, chance, [], []
        self.was_cut, self.was_lost = set(), set()
        self.faults = [self.store_killed, self.store_paused, self.store_restarted, self.store_wiped, self.store_old,
                       self.store_lossy, self.daemon_killed, self.daemon_stopped, self.daemon_restarted, self.host_cut]
        if made.store.kind == "etcd":
            self.faults.append(self.store_compacted)

    def blow(self):
        for _ in range(FAULTS):
            fault = self.chance.choice(self.faults)
            self.told.append(fault.__name__)
            mend = fault()
            if mend:
                self.broken.append(mend)
            time.sleep(self.chance.random() * 2)
            if len(self.broken) > 1:
                self.broken.pop(0)()
        while self.broken:
            self.broken.pop(0)()

    def is_up(self):
        """Of the store."""
        return all(member.process and not member.paused for member in self.made.store.members)

    def store_killed(self):
        if self.is_up():
            self.made.store.kill()
            return self.made.store.start
        return None

    def store_paused(self):
        if self.is_up():
            self.made.store.pause()
            return self.made.store.resume
        return None

    def store_restarted(self):
        if self.is_up():
            self.made.store.restart()

    def store_wiped(self):
        if self.is_up():
            self.made.store.restart(wipe=True)

    def store_old(self):
        """As it was at the beginning."""
        if self.is_up():
            self.made.store.kill()
            self.made.store.restore()
            self.made.store.start()

    def store_compacted(self):
        if self.is_up():
            for member in self.made.store.members:
                member.compact()

    def store_lossy(self):
        """A third of what is sent to and from it is lost."""
        self.made.run("sh", "-ec", """
            nft add table inet lossy
            nft add chain inet lossy in '{ type filter hook input priority 0; }'
            nft add rule inet lossy in iifname seg0 meta l4proto tcp numgen random mod 3 0 drop
            """)
        return lambda: self.made.run("nft", "delete", "table", "inet", "lossy")

    def daemon_killed(self):
        host = self.one_that_runs()
        if not host:
            return None
        self.was_lost.add(host)
        host.kill9()
        return lambda: host.start()

    def daemon_restarted(self):
        host = self.one_that_runs()
        if host:
            host.restart(kill=self.chance.randrange(2))

    def daemon_stopped(self):
        """It says nothing, and so is lost; but it has not ended."""
        host = self.one_that_runs()
        if not host:
            return None
        self.was_lost.add(host)
        host.daemon.send_signal(signal.SIGSTOP)
        host.stands = True

        def mend():
            host.stands = False
            host.daemon.send_signal(signal.SIGCONT)
        return mend

    def one_that_runs(self):
        running = [h for h in self.made.hosts if h.daemon and not getattr(h, "stands", False)]
        return self.chance.choice(running) if running else None

    def host_cut(self):
        host = self.chance.choice(self.made.hosts)
        self.was_cut.add(host)
        self.made.cut(host)
        return lambda: self.made.join(host)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_storm(tmp_path, kind, seed):
    with contextlib.ExitStack() as ends:
        made = ends.enter_context(cluster.started(tmp_path, kind, options=cluster.QUICK))
        world = World(made)
        made.store.save()
        storm = Storm(made, random.Random("%s %d" % (kind, seed)))
        ends.callback(lambda: print("faults: " + ", ".join(storm.told)))
        with world:
            with world.churn(seed):
                storm.blow()
                for host in made.hosts:
                    harness.wait_for(lambda: host.get("/info")["ClusterStoreReached"], "the store is back",
                                     timeout=3 * harness.PATIENCE)
            world.check(cut=storm.was_cut, lost=storm.was_lost)
            world.clear()
            cluster_truth.agrees(made)
