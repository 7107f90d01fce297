# SPDX-License-Identifier: LGPL-2.1-or-later
"""Several hosts on one segment, with a store in it: each is a harness.Host with a daemon of its own,
and one more link, und0 at 198.18.0.N, to a namespace that is the segment and where the store is."""
import contextlib
import os

import containers
import harness
import stores

STORE = "198.18.0.254"
STORE6 = "2001:db8:18::fe"


class Cluster:
    def __init__(self, folder, kind, hosts=3, options=()):
        self.folder, self.hosts, self.options = str(folder), [], list(options)
        self.segment = harness.Holder("--net")
        self.ends = contextlib.ExitStack()
        self.run("sh", "-ec", """
            ip link set lo up
            ip link add seg0 type bridge mcast_snooping 0
            ip link set seg0 up
            ip addr add %s/24 dev seg0
            ip addr add %s/64 dev seg0 nodad
            """ % (STORE, STORE6))
        self.store = None
        if kind:
            where = os.path.join(self.folder, "store")
            os.makedirs(where)
            self.store = self.ends.enter_context(stores.start(
                kind, self.segment.netns, where, addresses=(STORE,)))
        for number in range(1, hosts + 1):
            self.add(number)

    def run(self, *argv, **how):
        return harness.run_in(self.segment.netns, *argv, **how)

    def add(self, number):
        folder = os.path.join(self.folder, "h%d" % number)
        os.makedirs(folder)
        host = containers.CnmHost(folder)
        host.compare = False
        host.number, host.underlay = number, "198.18.0.%d" % number
        host.run("sh", "-ec", """
            ip link add und0 type veth peer name seg%d netns %d
            ip addr add %s/24 dev und0
            ip addr add 2001:db8:18::%d/64 dev und0 nodad
            ip link set und0 up
            """ % (number, self.segment.pid, host.underlay, number))
        self.run("ip", "link", "set", "seg%d" % number, "up", "master", "seg0")
        self.hosts.append(host)
        return host

    def start(self, *hosts, wait=True):
        for host in hosts or self.hosts:
            host.start("--cluster-store", self.store.url("cnm-test"), "--cluster-advertise", "und0", *self.options)
        for host in (hosts or self.hosts) if wait else ():
            harness.wait_for(lambda: self.state(host, host) == "up", "host %d is in the cluster" % host.number)

    @staticmethod
    def nodes(host):
        return {node["Address"]: node for node in host.get("/cnm/v1/nodes")}

    def state(self, host, of):
        return self.nodes(host).get(of.underlay, {}).get("State")

    def cut(self, host):
        """Its link to the others."""
        self.run("ip", "link", "set", "seg%d" % host.number, "down")

    def join(self, host):
        self.run("ip", "link", "set", "seg%d" % host.number, "up")

    def close(self):
        for host in self.hosts:
            host.close()
        self.ends.close()
        self.segment.end()


def knows(host, network, name, there=True):
    """Waits until a host lists the network, and there the endpoint (or not)."""
    def listed():
        answer = host.request("GET", "/networks/" + network)
        found = answer.status == 200 and (name is None or name in [
            c["Name"] for c in answer.json["Containers"].values()])
        return found == there
    harness.wait_for(listed, "host %d %s %s/%s" % (
        host.number, "knows" if there else "has forgotten", network, name))
