# SPDX-License-Identifier: LGPL-2.1-or-later
"""A cluster.Cluster in use, for tests that break something under it: residents that talk to one another all the
time and must not notice, and others that come and go as they please.

    with World(cluster) as world:
        with world.churn():              (perhaps)
            ... break something, mend it ...
        world.check()                    all agree, residents are who they were, nothing was lost between them
"""
import contextlib
import http.client
import os
import random
import re
import signal
import subprocess
import threading
import time

import cluster
import cluster_truth
import harness
import names
import netlink
import wire

SUBNETS = {"blue": ("10.70.0.0/24", "fd70::/64"), "red": ("10.71.0.0/24",)}


class Pings:
    """An echo request each ten milliseconds."""

    def __init__(self, view, address, log):
        self.log, self.address = log, address
        with open(log, "wb") as out, netlink.inside(view.netns):
            self.process = subprocess.Popen(["ping", "-n", "-i", "0.01", address], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out)

    def stop(self):
        """How many were sent, and the numbers of those that had no answer."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=harness.PATIENCE)
        with open(self.log) as f:
            text = f.read()
        sent = int(re.search(r"(\d+) packets transmitted", text).group(1))
        got = [int(n) for n in re.findall(r"icmp_seq=(\d+) ttl", text)]
        assert len(got) == len(set(got)), "answered twice: %s" % self.address
        # The last may be on its way.
        return sent, sorted(set(range(1, sent)) - set(got))


class Names:
    """Asks for names again and again; right: {name: [address]}."""

    def __init__(self, view, right):
        self.view, self.right, self.wrong, self.answered, self.stopping = view, right, [], 0, False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping:
            for name, addresses in self.right.items():
                self._ask(name, addresses)
            time.sleep(0.05)

    def _ask(self, name, addresses):
        try:
            got = names.found(self.view, name, timeout=harness.PATIENCE)
        except OSError as error:
            got = repr(error)
        self.answered += 1
        if got != (wire.NOERROR, addresses):
            self.wrong.append((name, got))

    def stop(self):
        self.stopping = True
        self.thread.join()
        return self.answered, self.wrong


class World:
    def __init__(self, made):
        self.cluster, self.hosts = made, made.hosts
        self.flows, self.ends = {}, contextlib.ExitStack()
        for name, subnets in SUBNETS.items():
            cluster.overlay(self.hosts, name, *subnets)
        for host in self.hosts:
            host.sandbox(self.resident(host), "blue", "red")
        self.at = {(host.number, net): host.address(self.resident(host), net) for host in self.hosts for net in SUBNETS}
        self.at6 = {host.number: host.address(self.resident(host), "blue", 6) for host in self.hosts}
        self.views = {host.number: host.inside(self.resident(host)) for host in self.hosts}
        self.all_know()

    @staticmethod
    def resident(host):
        return "resident%d" % host.number

    def all_know(self):
        for host in self.hosts:
            for other in self.hosts:
                for net in SUBNETS:
                    cluster.knows(host, net, self.resident(other))

    def __enter__(self):
        for host in self.hosts:
            for other in self.hosts:
                if host is not other:
                    self._flow(host, other)
            right = {self.resident(o) + ".blue": [self.at[o.number, "blue"]] for o in self.hosts}
            self.flows[host.number, "names"] = Names(self.views[host.number], right)
        return self

    def _flow(self, host, other):
        for what, to in (4, self.at[other.number, "blue"]), (6, self.at6[other.number]):
            assert self.views[host.number].reaches(to)
            log = os.path.join(self.cluster.folder, "ping-%d-%d-%d" % (host.number, other.number, what))
            self.flows[host.number, other.number, what] = Pings(self.views[host.number], to, log)

    def stop(self):
        """{(host, other host, family), ...: (how many, what went wrong)}"""
        stopped, self.flows = {key: flow.stop() for key, flow in self.flows.items()}, {}
        return stopped

    def __exit__(self, *what):
        self.stop()

    def losses(self, cut=(), lost=()):
        """What went wrong, but packets to and from hosts that were cut off, and names of hosts that were lost."""
        numbers, gone = {host.number for host in cut}, {self.resident(host) + ".blue" for host in (*cut, *lost)}
        result = self.stop()
        assert all(count for count, _ in result.values()), "nothing was asked: %r" % result
        return {key: bad for key, (_, bad) in result.items() if not numbers & set(key[:2])
                and [b for b in bad if not (key[1] == "names" and b[0] in gone)]}

    def check(self, **but):
        """All is as it was, and what was not as it should meanwhile is the fault of those hosts (losses())."""
        wrong = self.losses(**but)
        assert not wrong, "lost, or wrong: %r" % wrong
        cluster_truth.agrees(self.cluster)
        for host in self.hosts:
            view = self.views[host.number]
            for net in SUBNETS:
                assert host.address(self.resident(host), net) == self.at[host.number, net], "its address has changed"
                for other in self.hosts:
                    assert view.reaches(self.at[other.number, net])
                    assert names.found(view, "%s.%s" % (self.resident(other), net)) == (
                        0, [self.at[other.number, net]])

    # ------------------------------------------------------------------ those that come and go

    @contextlib.contextmanager
    def churn(self, seed=0):
        """On each host; what they get told must be among what may be said."""
        self.odd, self.done, self.stopping = [], 0, False
        threads = [threading.Thread(target=self._churn, args=(host, random.Random((seed, host.number).__repr__())),
                                    daemon=True) for host in self.hosts]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopping = True
            for thread in threads:
                thread.join()
        assert not self.odd, self.odd[:5]

    # What may be said to a request: done; not there; taken, or in use; the store is not reached.
    FINE = {200, 201, 204, 403, 404, 409, 503}

    def _churn(self, host, chance):
        while not self.stopping:
            try:
                answer = self._step(host, chance)
            except (OSError, http.client.HTTPException):  # its daemon is being killed
                time.sleep(0.05)
                continue
            if answer.status not in self.FINE and "is not connected to network" not in answer.text:
                self.odd.append((host.number, answer))
            self.done += 1
            time.sleep(0.01)

    def _step(self, host, chance):
        """Names are few, so that hosts want the same."""
        who = "guest%d" % chance.randrange(4)
        net = chance.choice(("blue", "red", "green"))
        what = chance.choice(("come", "come", "go", "go", "connect", "disconnect", "evict", "make", "unmake"))
        if what == "come":
            at = {"IPAMConfig": {"IPv4Address": "10.70.0.%d" % chance.randrange(100, 110)}} if chance.randrange(2) else {}
            return host.request("POST", "/cnm/v1/sandboxes", {"Name": who, "Networks": [
                {"Network": "blue", "EndpointConfig": at} if net == "blue" else {"Network": net}]})
        if what == "go":
            return host.request("DELETE", "/cnm/v1/sandboxes/" + who)
        if what == "make":
            return host.request("POST", "/networks/create", {
                "Name": "green", "Driver": "overlay", "IPAM": {"Config": [{"Subnet": "10.72.0.0/24"}]}})
        if what == "unmake":
            return host.request("DELETE", "/networks/green")
        return host.request("POST", "/networks/%s/%s" % (net, "connect" if what == "connect" else "disconnect"),
                            {"Container": who, "Force": what == "evict"})

    def clear(self):
        """Removes the guests: nothing of them stays in the store."""
        for host in self.hosts:
            for sandbox in host.get("/cnm/v1/sandboxes"):
                if sandbox["Name"] != self.resident(host):
                    host.remove_sandbox(sandbox["Id"])
        for host in self.hosts:
            for endpoint in host.get("/cnm/v1/endpoints"):
                if endpoint["Name"].startswith("guest"):
                    cluster.knows(host, endpoint["Network"], endpoint["Name"], there=False)
        self.hosts[0].request("DELETE", "/networks/green")
        cluster_truth.agrees(self.cluster)
        content = cluster_truth.Content(self.cluster)
        assert len(content.networks) == len(SUBNETS) and len(content.endpoints) == len(SUBNETS) * len(self.hosts)
