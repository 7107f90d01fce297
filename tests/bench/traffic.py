# SPDX-License-Identifier: LGPL-2.1-or-later
"""Published ports and the firewall: what they cost a container's start, what those that are there
cost the next one and the packets, what is lost meanwhile, and how soon all is back after a flush.

Two hosts with cnm are compared: one with next to nothing, one filled with networks and ports."""
import contextlib
import functools
import json
import signal
import subprocess
import time

from cnm import PAUSE, QUIET, Engine, grouped, restart
from containers import create_line, in_turn, remove
from host import Failed, Host, Teller
from rivals import Docker

LAN, HOST = "192.0.2.1", "192.0.2.2"
FLOW_PORT = 7001           # flow.c's
PORT, INSIDE = 8080, 80
OF_ONE = 100               # ports of one sandbox
MANY_PORTS = 50000
BY_HAND = """
    sysctl -q net.ipv4.ip_forward=1
    ip netns add target
    ip link add br0 type bridge
    ip addr add 10.9.0.1/24 dev br0
    ip link set br0 up
    ip link add veth0 master br0 type veth peer name eth0 netns target
    ip link set veth0 up
    ip -n target addr add 10.9.0.2/24 dev eth0
    ip -n target link set eth0 up
    ip -n target route add default via 10.9.0.1
    nft add table ip by_hand
    nft add chain ip by_hand prerouting '{ type nat hook prerouting priority dstnat; }'
    nft add rule ip by_hand prerouting fib daddr type local tcp dport 8080 dnat to 10.9.0.2:80
"""


class Lan:
    """A second machine on a host's network: a namespace with the other end of its uplink."""

    def __init__(self, host):
        self.holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "-n",
             "sh", "-c", "ip link set lo up; echo; exec sleep infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.netns = "/proc/%d/ns/net" % self.holder.pid
        self.do(host.pid, "link", "set", "lan0", "netns", str(self.holder.pid))
        self.do(self.holder.pid, "addr", "add", LAN + "/24", "dev", "lan0")
        self.do(self.holder.pid, "link", "set", "lan0", "up")

    @staticmethod
    def do(pid, *argv):
        subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", *argv], check=True)

    def end(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


def published(*ports):
    """Publish of a sandbox: (protocol, host port, port). At IPv4 alone, so that the sockets which
    hold ten thousand are within a limit of twenty thousand descriptors."""
    return [{"Protocol": protocol, "HostIp": "0.0.0.0", "HostFirst": outside, "HostLast": outside,
             "First": inside, "Last": inside} for protocol, outside, inside in ports]


class Side:
    """A host with cnm, a LAN, and a sandbox `target` that publishes a port and what flow needs."""

    def __init__(self, paths, ends):
        self.engine = Engine(paths)
        ends.callback(self.engine.end)
        self.lan = Lan(self.engine.host)
        ends.callback(self.lan.end)
        self.paths, self.networks = paths, 0
        self.engine.create_network("net")
        self.publish("target", ("tcp", PORT, INSIDE), ("tcp", FLOW_PORT, FLOW_PORT),
                     ("udp", FLOW_PORT, FLOW_PORT))
        self.target = self.engine.netns("target")

    def publish(self, name, *ports):
        """A sandbox; ms."""
        return self.engine.client.time("POST /cnm/v1/sandboxes " + json.dumps(
            {"Name": name, "Networks": [{"Network": "net"}], "Publish": published(*ports)},
            separators=(",", ":")))

    def create_network(self):
        """The next; ms."""
        i = self.networks
        self.networks += 1
        return self.engine.client.time(
            'POST /networks/create {"Name":"n%d","IPAM":{"Config":[{"Subnet":"10.%d.%d.0/24"}]}}'
            % (i, 100 + i // 250, i % 250))

    def remove_network(self):
        self.networks -= 1
        return self.engine.remove_network("n%d" % self.networks)

    def fill(self, networks, ports):
        """Ports that make no runs, so many a sandbox that all are held by sockets."""
        for _ in range(networks):
            self.create_network()
        for i in range(ports // OF_ONE):
            self.publish("p%d" % i, *(("tcp", 10000 + 2 * (OF_ONE * i + j), 1000 + 2 * j)
                                      for j in range(OF_ONE)))

    def through(self):
        return Teller([self.paths.tool("through"), self.lan.netns, HOST, str(PORT), self.target,
                       str(INSIDE)])

    @contextlib.contextmanager
    def flow(self):
        """Packets to and from a published port during the body; yields what becomes flow's last
        line."""
        flow = Teller([self.paths.tool("flow"), self.lan.netns, LAN, self.target,
                       self.engine.address("target"), HOST])
        if flow.line() != "running\n":
            raise Failed("flow does not run")
        words = []
        yield words
        flow.process.stdin.close()
        words += [int(word) for word in flow.line().split()]
        flow.process.wait()
        flow.process.stdout.close()


class Hand:
    """A host with one published port by hand: a bridge, a veth, one rule."""

    def __init__(self, paths, ends):
        self.host = Host("hand")
        ends.callback(self.host.end)
        self.lan = Lan(self.host)
        ends.callback(self.lan.end)
        self.paths = paths
        self.host.run("sh", "-ec", BY_HAND)

    def through(self):
        return Teller([self.paths.tool("through"), self.lan.netns, HOST, "8080",
                       self.host.root + "/run/netns/target", "80"])


class World:
    """What is asked for first is made then."""

    def __init__(self, paths):
        self.paths, self.ends = paths, contextlib.ExitStack()
        self.filled_with = None

    def end(self):
        self.ends.close()

    @functools.cached_property
    def few(self):
        return Side(self.paths, self.ends)

    @functools.cached_property
    def hand(self):
        return Hand(self.paths, self.ends)

    def filled(self, quick):
        self.filled_with = (100, 1000) if quick else (1000, 10000)
        return self._filled

    @functools.cached_property
    def _filled(self):
        side = Side(self.paths, self.ends)
        side.fill(*self.filled_with)
        time.sleep(QUIET)
        return side

    @functools.cached_property
    def engine(self):
        engine = Engine(self.paths)
        self.ends.callback(engine.end)
        engine.client.ask("POST /images/create?fromImage=busybox&tag=latest")
        return engine

    @functools.cached_property
    def docker(self):
        docker = Docker(self.paths)
        self.ends.callback(docker.end)
        return docker


# ------------------------------------------------------------------- containers with many ports

class Publisher:
    """A container with n published ports, which is started and stopped."""

    def __init__(self, side, protocol, first, n):
        self.side, self.name = side, "with%d%s" % (n, protocol)
        method, path, body = create_line(side, self.name).split(" ", 2)
        body = json.loads(body)
        names = {"%d/%s" % (port, protocol): str(port) for port in range(first, first + n)}
        body["ExposedPorts"] = {name: {} for name in names}
        body["HostConfig"]["PortBindings"] = {name: [{"HostPort": port}]
                                              for name, port in names.items()}
        side.client.ask(" ".join((method, path, json.dumps(body, separators=(",", ":")))))

    def start(self, _):
        taken = self.side.client.time("POST %s/containers/%s/start" % (self.side.API, self.name))
        self.side.client.time("POST %s/containers/%s/kill" % (self.side.API, self.name))
        self.side.client.time("POST %s/containers/%s/wait" % (self.side.API, self.name))
        return taken

    def remove(self):
        remove(self.side, self.name)


def measure_ports(world, table, quick):
    table.title("start of a container with published ports")
    kinds = [("tcp", 8000, 1), ("tcp", 20000, 200), ("udp", 10000, MANY_PORTS)]
    publishers = [Publisher(world.engine, *kind) for kind in (("tcp", 0, 0), *kinds)]
    for publisher in publishers:
        publisher.start(0)
    none, *some = in_turn(8 if quick else 40, *(publisher.start for publisher in publishers))
    for (protocol, _, n), times in zip(kinds, some):
        table.pairs("%d %s ports, by none" % (n, protocol), grouped(list(zip(times, none))), 1.05,
                    ("with", "without"))
    docker = Publisher(world.docker, *kinds[1])
    ours, theirs = in_turn(2 if quick else 5, publishers[2].start, docker.start)
    table.pairs("200 ports, by Docker's", list(zip(ours, theirs)), 1 / 50, ("cnm", "Docker"))
    for publisher in (*publishers, docker):
        publisher.remove()


# --------------------------------------------------------------------------- one more, of many

def publish_one(side, _):
    taken = side.publish("one", ("tcp", 9000, 80))
    time.sleep(PAUSE)
    side.engine.remove_sandbox("one")
    time.sleep(4 * PAUSE)
    return taken


def measure_publish(world, table, quick):
    few, filled = world.few, world.filled(quick)
    sides = [functools.partial(publish_one, side) for side in (filled, few)]
    for side in sides:
        side(0)
    times = in_turn(10 if quick else 40, *sides)
    table.title("one more published port, in the end of %d" % world.filled_with[1])
    table.pairs("sandbox create -p", list(zip(*times)), 1.2, ("of many", "the first"))
    measure_elements(world.paths, table, quick, world.filled_with[1])


def measure_elements(paths, table, quick, ports):
    """By itself: element changes in a ruleset of no engine's."""
    n = 50 if quick else 500
    elements = Teller([paths.tool("elements")])

    def times(what):
        for _ in range(n):
            elements.tell(what)
            yield int(elements.line()) / 1000

    def fill(what, count):
        elements.tell("%s %d" % (what, count))
        elements.line()

    for there in (0, ports):
        fill("ports", there)
        table.figure("in nftables alone, %d are there" % there, list(times("port")), 20, "us")
    elements.end()
    for there in (1, 100, 1000):
        elements = Teller([paths.tool("elements")])
        fill("ranges", there)
        table.figure("one more range in nftables alone, %d are there" % there,
                     list(times("range")), None, "us")
        elements.end()


# ------------------------------------------------------------------- packets to a published port

def measure_through(world, table, quick):
    n = 10 if quick else 30
    filled = world.filled(quick)
    tellers = {"1": world.few.through(), "many": filled.through(), "by hand": world.hand.through()}
    what = {"connections": "connections 500", "throughput": "megabytes 256"}
    table.title("through a published port, from another machine")

    def ask(name, line, _):
        tellers[name].tell(line)
        return int(tellers[name].line()) / 1e6

    for figure, line in what.items():
        functions = [functools.partial(ask, name, line) for name in tellers]
        for function in functions:
            function(0)
        one, many, hand = in_turn(n, *functions)
        table.pairs("%s, time with %d others by that with none" % (figure, world.filled_with[1]),
                    list(zip(many, one)), 1.05, ("with", "without"))
        table.pairs("%s, time by that of one DNAT rule by hand" % figure, list(zip(one, hand)),
                    1 / 0.95 if figure == "throughput" else None, ("cnm", "by hand"))
    for teller in tellers.values():
        teller.end()


# --------------------------------------------------------------------------------- networks

def create_one(side, _):
    taken = side.create_network()
    time.sleep(PAUSE)
    return taken


def measure_networks(world, table, quick):
    """All are created before one is removed: what a removal leaves behind it costs too."""
    n = 10 if quick else 40
    sides = world.filled(quick), world.few
    times = in_turn(n, *(functools.partial(create_one, side) for side in sides))
    for side in sides:
        for _ in range(n):
            side.remove_network()
    time.sleep(QUIET)
    table.title("networks")
    table.pairs("network create, after %d, by after none" % world.filled_with[0],
                list(zip(*times)), 1.5, ("many", "none"))


def show_lost(table, what, words):
    sent, lost, octets, wrong, gap = words
    table.value("%s: UDP packets lost" % what, lost, 0, "",
                "of %d; longest gap %.1f ms" % (sent, gap / 1000))
    table.value("%s: TCP stream broken" % what, wrong, 0, "", "%.1f MB" % (octets / 1e6))


def measure_lost(world, table, quick):
    side, n = world.few, 20 if quick else 100
    table.title("packets to and from a published port, meanwhile")
    with side.flow() as words:
        for _ in range(n):
            side.create_network()
        for _ in range(n):
            side.remove_network()
        time.sleep(PAUSE)
    show_lost(table, "%d networks come and go" % n, words)
    for name, sig in (("clean restart", signal.SIGTERM), ("kill -9", signal.SIGKILL)):
        times = 3 if quick else 10
        with side.flow() as words:
            for _ in range(times):
                restart(side.engine, sig)
        show_lost(table, "%s, %d times" % (name, times), words)


# ------------------------------------------------------------------------------------- flush

def flush(side, _):
    """How long after `nft flush ruleset` no packet got through, in ms."""
    with side.flow() as words:
        side.engine.host.run("nft", "flush", "ruleset")
        time.sleep(QUIET)
    return words[-1] / 1000


def measure_flush(world, table, quick):
    side = world.filled(quick)
    table.title("nft flush ruleset, with %d networks and %d ports" % world.filled_with)
    gaps = [flush(side, i) for i in range(3 if quick else 10)]
    table.figure("until packets to a published port get through", gaps, 300, "ms")


SECTIONS = {
    "ports": measure_ports,
    "publish": measure_publish,
    "through": measure_through,
    "networks": measure_networks,
    "lost": measure_lost,
    "flush": measure_flush,
}
