# SPDX-License-Identifier: LGPL-2.1-or-later
"""Several hosts on one segment, with a store in it: each is a harness.Host with a daemon of its own,
and one more link, und0 at 198.18.0.N, to a namespace that is the segment and where the store is."""
import contextlib
import os
import sys

import containers
import harness
import stores

STORE = "198.18.0.254"
STORE6 = "2001:db8:18::fe"
# So that a host is lost soon; Consul does not take less than ten seconds.
QUICK = ("--cluster-store-opt", "discovery.heartbeat=1", "--cluster-store-opt", "discovery.ttl=2")


def grace(seconds):
    """How long a host stays lost until what it has is free."""
    return ("--cluster-store-opt", "cnm.grace=%d" % seconds)


class Cluster:
    PREFIX = "cnm-test"

    def __init__(self, folder, kind, hosts=3, options=(), servers=1, family=4, mtu=1500):
        """servers: of the store, at .254, .253, ...; family: of the addresses the hosts advertise;
        mtu: of the segment."""
        self.folder, self.hosts, self.options = str(folder), [], list(options)
        self.family, self.mtu = family, mtu
        self.segment = harness.Holder("--net")
        self.ends = contextlib.ExitStack()
        addresses = [STORE[:-3] + str(254 - n) for n in range(servers)]
        self.run("sh", "-ec", """
            ip link set lo up
            ip link add seg0 type bridge mcast_snooping 0
            ip link set seg0 up
            for address in %s; do ip addr add $address/24 dev seg0; done
            ip addr add %s/64 dev seg0 nodad
            """ % (" ".join(addresses), STORE6))
        self.store = None
        if kind:
            where = os.path.join(self.folder, "store")
            os.makedirs(where)
            try:
                self.store = self.ends.enter_context(stores.start(
                    kind, self.segment.netns, where, addresses=addresses))
            except BaseException:  # a skip, where there is no such store
                self.segment.end()
                raise
        for number in range(1, hosts + 1):
            self.add(number)

    def run(self, *argv, **how):
        return harness.run_in(self.segment.netns, *argv, **how)

    def add(self, number):
        folder = os.path.join(self.folder, "h%d" % number)
        os.makedirs(folder)
        host = containers.CnmHost(folder)
        host.compare = False
        host.number = number
        host.underlay = "198.18.0.%d" % number if self.family == 4 else "2001:db8:18::%d" % number
        host.run("sh", "-ec", """
            ip link add und0 mtu %d type veth peer name seg%d mtu %d netns %d
            ip addr add 198.18.0.%d/24 dev und0
            ip addr add 2001:db8:18::%d/64 dev und0 nodad
            ip link set und0 addrgenmode none up
            """ % (self.mtu, number, self.mtu, self.segment.pid, number, number))
        self.run("ip", "link", "set", "seg%d" % number, "addrgenmode", "none", "up", "master", "seg0")
        self.hosts.append(host)
        return host

    def start(self, *hosts, wait=True):
        for host in hosts or self.hosts:
            host.start("--cluster-store", self.store.url(self.PREFIX), "--cluster-advertise",
                       "und0" if self.family == 4 else host.underlay, *self.options)
        for host in (hosts or self.hosts) if wait else ():
            self.is_up(host)

    def is_up(self, host, on=None):
        """Waits until a host (as another sees it) is in the cluster."""
        harness.wait_for(lambda: self.state(on or host, host) == "up", "host %d is in the cluster" % host.number)

    def is_lost(self, host, on):
        harness.wait_for(lambda: self.state(on, host) == "lost", "host %d is lost" % host.number,
                         timeout=2 * harness.PATIENCE)

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

    def power_off(self, host):
        """Without a word to anybody. Its sandboxes stay, behind a link that is down."""
        host.kill9()
        self.cut(host)

    def power_on(self, host):
        self.join(host)
        self.start(host)

    def tell(self):
        """What the daemons logged; pytest shows it if the test has failed."""
        for host in self.hosts:
            if os.path.exists(host.log_path):
                print("---- host %d, %s\n%s" % (host.number, host.underlay, host.log_text()[-6000:]), file=sys.stderr)

    def close(self):
        for host in self.hosts:
            host.close()
        self.ends.close()
        self.segment.end()


@contextlib.contextmanager
def started(folder, kind, **how):
    """A cluster that runs; how: as for Cluster. At the end no daemon has been caught at anything."""
    made = Cluster(folder, kind, **how)
    try:
        made.start()
        yield made
    finally:
        made.tell()
        made.close()
    for host in made.hosts:
        host.check_log()


def overlay(hosts, name, *subnets, **more):
    """Makes a network on the first of the hosts; all know it. Its id."""
    config = [{"Subnet": s} for s in subnets]
    made = hosts[0].network(name, Driver="overlay", EnableIPv6=any(":" in s for s in subnets),
                            **({"IPAM": {"Config": config}} if config else {}), **more)
    for host in hosts:
        knows(host, name, None)
    return made


def knows(host, network, name, there=True):
    """Waits until a host lists the network, and there the endpoint (or not)."""
    def listed():
        answer = host.request("GET", "/networks/" + network)
        found = answer.status == 200 and (name is None or name in [
            c["Name"] for c in answer.json["Containers"].values()])
        return found == there
    harness.wait_for(listed, "host %d %s %s/%s" % (
        host.number, "knows" if there else "has forgotten", network, name))


def forgets(host, network):
    harness.wait_for(lambda: host.request("GET", "/networks/" + network).status == 404,
                     "host %d has forgotten %s" % (host.number, network))
