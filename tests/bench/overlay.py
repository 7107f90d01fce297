# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks over many hosts: hosts of namespaces on one segment, with a store of each kind in it. How
soon another host reaches who has joined, what a packet costs beside a VXLAN made by hand, forty
hosts that are filled at once, ten thousand peers, a thousand watches at the store, and classic
Docker with the same kind of store."""
import base64
import contextlib
import functools
import json
import os
import re
import statistics
import subprocess
import sys
import time

from cnm import Engine
from containers import in_turn
from host import PATIENCE, Failed, Host, Teller, anonymous, processes, resident
from rivals import Docker

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import stores  # noqa: E402 (the tests': how servers are started)

STORE = "198.18.0.254"
EMBEDDED = "127.0.0.11"
PREFIX = "cnm-bench"
KINDS = "etcd", "zookeeper", "consul"
BEYOND_MS = 3, 20            # median and 99th percentile of a first ping, beyond the store's own
HAND_ID, HAND_PORT = 77, 4790
HOSTS, ENDPOINTS = 40, 25    # a daemon has 3 inotify instances, of which the kernel gives root 128
PEERS, WATCHES = 10000, 1000
TXN_OPS = 100                # etcd takes 128 a transaction


class Segment:
    """What the hosts are connected by; a store is in it."""

    def __init__(self, paths, kind, extra=()):
        why = stores.missing(kind)
        if why:
            raise Failed(why)
        self.ends = contextlib.ExitStack()
        self.hosts = 0
        self.host = Host("segment-" + kind)
        self.ends.callback(self.host.end)
        try:
            self.host.run("sh", "-ec", """
                ip link add seg0 type bridge mcast_snooping 0
                ip addr add %s/16 dev seg0
                ip link set seg0 up
                """ % STORE)
            netns = os.open("/proc/%d/ns/net" % self.host.pid, os.O_RDONLY | os.O_CLOEXEC)
            self.ends.callback(os.close, netns)
            folder = os.path.join(paths.scratch, "store-%s-%d" % (kind, self.host.pid))
            os.makedirs(folder)
            self.store = self.ends.enter_context(stores.start(
                kind, netns, folder, addresses=(STORE,), extra=extra))
        except BaseException:
            self.ends.close()
            raise

    def join(self, host):
        """Gives a host a link und0 to the segment; its address."""
        self.hosts += 1
        n = self.hosts
        subprocess.run(["nsenter", "--net=/proc/%d/ns/net" % host.pid, "sh", "-ec", """
            ip link add und0 type veth peer name seg%d netns %d
            ip addr add 198.18.%d.%d/16 dev und0
            ip link set und0 up
            """ % (n, self.host.pid, n >> 8, n & 255)], check=True)
        self.host.run("ip", "link", "set", "seg%d" % n, "up", "master", "seg0")
        return "198.18.%d.%d" % (n >> 8, n & 255)

    def url(self):
        return self.store.url(PREFIX)

    def processor_s(self):
        """What the store has had of the processor."""
        with open("/proc/%d/stat" % self.store.members[0].process.pid) as f:
            words = f.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Member(Engine):
    """A host of the cluster."""

    def __init__(self, paths, segment):
        host = Host("cnm-%d" % (segment.hosts + 1))
        self.underlay = segment.join(host)
        super().__init__(paths, "--cluster-store", segment.url(), "--cluster-advertise", "und0",
                         host=host)

    def get(self, path):
        return json.loads(self.client.ask("GET " + path)[1])

    def await_up(self):
        self.wait("it is in the cluster", lambda: any(
            node["Self"] and node["State"] == "up" for node in self.get("/cnm/v1/nodes")))

    def await_network(self, name, containers=0):
        self.wait("it knows %s and what is on it" % name, lambda: any(
            n["Name"] == name for n in self.get("/networks")) and len(
                self.get("/networks/" + name)["Containers"]) >= containers)

    def wait(self, what, is_so):
        end = time.monotonic() + 4 * PATIENCE
        while not is_so():
            if time.monotonic() > end:
                raise Failed("not within %d s: %s; %s" % (4 * PATIENCE, what, self.program.why()))
            time.sleep(0.01)

    def create_overlay(self, name, subnet):
        self.client.ask('POST /networks/create {"Name":"%s","Driver":"overlay","IPAM":{"Config":[{'
                        '"Subnet":"%s"}]}}' % (name, subnet))


@contextlib.contextmanager
def cluster(paths, kind, hosts):
    """A segment and its hosts, all in the cluster."""
    with contextlib.ExitStack() as ends:
        segment = Segment(paths, kind)
        ends.callback(segment.ends.close)
        members = []
        for _ in range(hosts):
            members.append(Member(paths, segment))
            ends.callback(members[-1].end)
        for member in members:
            member.await_up()
        yield segment, members


# ------------------------------------------------------------------------------ the first ping

def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def seen(paths, segment, n):
    """The store's own: ms from the answer to a write until another client's watch tells of it."""
    teller = Teller(segment.host.enter(paths.tool("seen"), segment.store.url("seen"), str(n)))
    teller.line()
    teller.tell("go")
    times = [max(0, int(teller.line().split()[1])) / 1e6 for _ in range(n)]
    teller.end()
    return times


class Reaching:
    """From a namespace of one host, who joins on another by its API."""

    def __init__(self, paths, netns, socket):
        self.netns = netns
        self.teller = Teller([paths.tool("lookup"), netns, EMBEDDED, socket])

    def reach(self, address, name, request):
        """(ms from the answer until the first ping by name, ms until the answer)"""
        self.teller.tell("reach %s %s %s %s" % (self.netns, address, name, request))
        status, ns, _, took = [int(word) for word in self.teller.line().split()]
        if status // 100 != 2 or ns < 0:
            raise Failed("%s: status %d, %s" % (request[:80], status, "not reached" if ns < 0 else ""))
        return ns / 1e6, took / 1e6


def join_and_reach(member, reaching, i):
    name, address = "j%d" % i, "10.99.1.%d" % (i % 200 + 1)
    times = reaching.reach(address, name, 'POST /cnm/v1/sandboxes {"Name":"%s","Networks":[{"Network":"blue",'
                           '"EndpointConfig":{"IPAMConfig":{"IPv4Address":"%s"}}}]}' % (name, address))
    member.remove_sandbox(name)
    time.sleep(0.02)
    return times


def show_first_pings(table, who, times, own=None):
    detail = "join itself %.1f ms; %d joins" % (statistics.median(t[1] for t in times), len(times))
    for part, goal in (0.5, BEYOND_MS[0]), (0.99, BEYOND_MS[1]):
        what = "%s, %s" % (who, "median" if part == 0.5 else "99th percentile")
        least = percentile(own, part) if own else 0
        table.value(what, percentile([t[0] for t in times], part), goal + least if own else None, "ms",
                    "the store's own %.2f ms; %s" % (least, detail) if own else detail)


def measure_ping(paths, table, quick):
    table.title("from the answer to a join until another host's first ping by name")
    n = 40 if quick else 200
    for kind in KINDS:
        with cluster(paths, kind, 2) as (segment, (a, b)):
            a.create_overlay("blue", "10.99.0.0/16")
            b.await_network("blue")
            a.create_sandbox("there", "blue")
            b.create_sandbox("asks", "blue")
            reaching = Reaching(paths, b.netns("asks"), a.socket)
            join_and_reach(a, reaching, 0)
            times = [join_and_reach(a, reaching, i) for i in range(n)]
            own = seen(paths, segment, n)
        show_first_pings(table, kind, times, own)


# ------------------------------------------------------------------------- beside one by hand

def by_hand(own, other, last):
    """One end of a VXLAN as an administrator would make it on the same host: bridge, link, veth, and
    frames kept from the IP firewall, as they are in cnm's. The path of the namespace at it."""
    own.host.run("sh", "-ec", """
        for name in /proc/sys/net/bridge/bridge-nf-call-*tables; do
            [ ! -e $name ] || echo 0 >$name
        done
        ip link add brh type bridge mcast_snooping 0
        ip link add vxh type vxlan id %d dstport %d local %s nolearning
        ip link set vxh mtu 1450 up master brh
        ip netns add hand
        ip link add vh type veth peer name eth0 netns hand
        ip link set vh mtu 1450 up master brh
        ip link set brh up
        bridge fdb append 00:00:00:00:00:00 dev vxh dst %s
        ip -n hand addr add 10.98.0.%d/24 dev eth0
        ip -n hand link set eth0 mtu 1450 up
        """ % (HAND_ID, HAND_PORT, own.underlay, other.underlay, last))
    return own.netns("hand")


def ask_through(teller, line, _):
    teller.tell(line)
    return int(teller.line()) / 1e6


def measure_traffic(paths, table, quick):
    table.title("packets between two hosts, beside a VXLAN by hand between the same")
    n = 10 if quick else 30
    with cluster(paths, "etcd", 2) as (_, (a, b)):
        a.create_overlay("blue", "10.99.0.0/16")
        b.await_network("blue")
        a.create_sandbox("side", "blue")
        b.create_sandbox("other", "blue")
        near, far = by_hand(a, b, 1), by_hand(b, a, 2)
        ways = [Teller([paths.tool("through"), client, address, "80", server, "80"])
                for client, address, server in ((a.netns("side"), b.address("other"), b.netns("other")),
                                                (near, "10.98.0.2", far))]
        for what, line, goal in (("throughput", "megabytes 1024", 1 / 0.97), ("latency of connections",
                                                                           "connections 2000", 1.03)):
            functions = [functools.partial(ask_through, way, line) for way in ways]
            for function in functions:
                function(0)
            table.pairs("%s: time by that of the one by hand" % what,
                        list(zip(*in_turn(n, *functions))), goal, ("cnm", "by hand"))
        for way in ways:
            way.end()


# ------------------------------------------------------------------------------- many hosts

CALLS = re.compile(r'^grpc_server_handled_total\{[^}]*grpc_method="(Range|Txn|Put|DeleteRange)"[^}]*\} (\S+)', re.M)


def calls(segment):
    """To the store, by its own counters."""
    text = segment.store.members[0].http("/metrics").decode()
    return sum(float(count) for _, count in CALLS.findall(text))


def fill(members):
    """All at once, each host one after the other; ms."""
    for i, member in enumerate(members):
        lines = ['POST /cnm/v1/sandboxes {"Name":"s%d-%d","Networks":[{"Network":"blue"}]}' % (i, k)
                 for k in range(ENDPOINTS)]
        member.client.tell("many 1 %d\n%s" % (ENDPOINTS, "\n".join(lines)))
    answers = [member.client.answer() for member in members]
    for status, _, _, body in answers:
        if status // 100 != 2:
            raise Failed("a join: %d %s" % (status, body.strip()[:200]))
    return (max(a[2] for a in answers) - min(a[1] for a in answers)) / 1e6


def measure_many(paths, table, quick):
    hosts = 10 if quick else HOSTS
    table.title("%d hosts, %d joins on each at the same time, one network (etcd)" % (hosts, ENDPOINTS))
    with cluster(paths, "etcd", hosts) as (segment, members):
        members[0].create_overlay("blue", "10.99.0.0/16")
        for member in members:
            member.await_network("blue")
        before, began = calls(segment), time.monotonic()
        time.sleep(5)
        idle = (calls(segment) - before) / (time.monotonic() - began)
        before, began = calls(segment), time.monotonic()
        took = fill(members)
        for member in members:
            member.await_network("blue", hosts * ENDPOINTS)
        spent = time.monotonic() - began
        made = calls(segment) - before - idle * spent
        daemons = [processes(member.host, "cnmd") for member in members]
        memory, private = [resident(pids) for pids in daemons], [anonymous(pids) for pids in daemons]
    joins = hosts * ENDPOINTS
    table.value("time until all have joined", took / 1000, None, "s", "%.0f joins a second" % (1000 * joins / took))
    table.value("time until each host knows all", spent, None, "s")
    table.value("store's round trips per join", made / joins, 3, "", "%.0f by its own counters, beside %.0f a "
                "second of renewals" % (made, idle))
    table.value("memory of a daemon, the largest", max(memory), 12, "MB", "median %.1f, of which %.1f are not shared "
                "(libcurl and what it needs are)" % (statistics.median(memory), statistics.median(private)))


# ------------------------------------------------------------------------------------- peers

def copies(segment, n):
    """So many endpoints like the one there is."""
    member = segment.store.members[0]
    prefix = ("%s/cnm/1/endpoints/" % PREFIX).encode()
    found = member.call("kv/range", key=base64.b64encode(prefix).decode(),
                        range_end=base64.b64encode(prefix[:-1] + b"0").decode())["kvs"]
    key, value = base64.b64decode(found[0]["key"]).decode(), json.loads(base64.b64decode(found[0]["value"]))
    folder = key.rsplit("/", 1)[0]
    for first in range(0, n, TXN_OPS):
        puts = []
        for i in range(first, min(n, first + TXN_OPS)):
            value.update(Name="p%d" % i, IPv4="10.99.%d.%d" % (128 + (i >> 8), i & 255),
                         mac="02:42:00:00:%02x:%02x" % (i >> 8, i & 255), names=["p%d" % i])
            puts.append({"requestPut": {
                "key": base64.b64encode(("%s/%064x" % (folder, i + 1)).encode()).decode(),
                "value": base64.b64encode(json.dumps(value).encode()).decode()}})
        member.call("kv/txn", success=puts)


def measure_peers(paths, table, quick):
    peers = 1000 if quick else PEERS
    table.title("the first sandbox of a host on a network with %d peers" % peers)
    with cluster(paths, "etcd", 2) as (segment, (a, b)):
        for name, subnet in ("blue", "10.99.0.0/16"), ("empty", "10.98.0.0/16"):
            a.create_overlay(name, subnet)
            b.await_network(name)
        b.create_sandbox("there", "blue")
        a.await_network("blue", 1)
        b.program.end(9)  # it would drop what it did not make
        copies(segment, peers)
        a.await_network("blue", peers)

        def first_join(network, _):
            took = a.create_sandbox("s", network)
            a.remove_sandbox("s")
            time.sleep(1)
            return took

        times = in_turn(4 if quick else 10, functools.partial(first_join, "blue"),
                        functools.partial(first_join, "empty"))
        memory = resident(processes(a.host, "cnmd"))
    table.figure("longer than on an empty network", [x - y for x, y in zip(*times)],
                 300 * peers / PEERS, "ms", "an FDB entry and a neighbour each")
    table.value("memory of its daemon", memory, None, "MB")


# ------------------------------------------------------------------------------ a thousand hosts

def link_counters(host):
    with open("/proc/%d/net/dev" % host.pid) as f:
        words = next(line for line in f if "und0:" in line).split(":")[1].split()
    return int(words[0]), int(words[1]), int(words[8]), int(words[9])


def measure_watches(paths, table, quick):
    """Each watch is a client as that of a host; bytes are those of the link, with TCP's. Consul takes 200 connections
    from one address, ZooKeeper 60."""
    table.title("so many hosts' watches at the store, per join")
    for kind, counts in ("etcd", (50, WATCHES)), ("consul", (50,)), ("zookeeper", (50,)):
        for count in counts[:1] if quick else counts:
            with contextlib.ExitStack() as ends:
                segment = Segment(paths, kind)
                ends.callback(segment.ends.close)
                host = Host("watches")
                ends.callback(host.end)
                segment.join(host)
                measure_watch(paths, table, segment, host, count)


def measure_watch(paths, table, segment, host, count):
    n = 20
    teller = Teller(host.enter(paths.tool("seen"), segment.store.url("seen"), str(n), str(count)))
    teller.line()
    time.sleep(2)
    before, processor = link_counters(host), segment.processor_s()
    teller.tell("go")
    times = [[int(word) / 1e6 for word in teller.line().split()] for _ in range(n)]
    teller.line()
    after, spent = link_counters(host), segment.processor_s() - processor
    octets, packets = [(after[i] - before[i]) / n for i in (0, 1)]
    teller.end()
    table.value("%s, %d watches: until the last has it" % (segment.store.kind, count),
                statistics.median(t[0] + t[1] for t in times), None, "ms",
                "%.0f bytes and %.1f packets to each; the store's processor %.1f ms" % (
                    octets / count, packets / count, 1000 * spent / n))


# ----------------------------------------------------------------------------- classic Docker

class Classic(Docker):
    """Docker 20.10 with a store of its own, which it still had."""

    def __init__(self, paths, segment):
        self.segment = segment
        self.NAME = "Docker-%d" % (segment.hosts + 1)  # of its control group
        super().__init__(paths)

    def furnish(self):
        super().furnish()
        self.underlay = self.segment.join(self.host)

    def options(self):
        return ["--cluster-store", self.segment.store.url(), "--cluster-advertise", "und0:2376"]

    def start_program(self, argv, env):
        """Its gossip tells hosts apart by their names."""
        return super().start_program(["unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', self.NAME, *argv],
                                     env)


def classic_join(docker, reaching, i):
    name, address = "j%d" % i, "10.99.1.%d" % (i % 200 + 1)
    docker.client.ask('POST /containers/create?name=%s {"Image":"%s","Cmd":["/busybox","sleep","1000"],"HostConfig":'
                      '{"NetworkMode":"blue","CgroupParent":"%s"},"NetworkingConfig":{"EndpointsConfig":{"blue":'
                      '{"IPAMConfig":{"IPv4Address":"%s"}}}}}' % (name, docker.IMAGE, docker.host.cgroup, address))
    times = reaching.reach(address, name, "POST /containers/%s/start {}" % name)
    docker.client.ask("DELETE /containers/%s?force=1" % name)
    time.sleep(0.5)
    return times


def measure_classic(paths, table, quick):
    table.title("classic Docker 20.10 with etcd: from the answer to a start until another host's first ping by name")
    with contextlib.ExitStack() as ends:
        segment = Segment(paths, "etcd", ("--enable-v2",))
        ends.callback(segment.ends.close)
        dockers = []
        for _ in range(2):
            dockers.append(Classic(paths, segment))
            ends.callback(dockers[-1].end)
        a, b = dockers
        a.client.ask('POST /networks/create {"Name":"blue","Driver":"overlay","CheckDuplicate":true,"IPAM":{"Config":'
                     '[{"Subnet":"10.99.0.0/16"}]}}')
        time.sleep(2)
        b.create_container("asks", "blue")
        b.start_container("asks")
        a.create_container("there", "blue")
        a.start_container("there")
        reaching = Reaching(paths, b.endpoint("asks", "blue")[0], a.socket)
        times, failed = [], 0
        for i in range(5 if quick else 20):
            try:
                times.append(classic_join(a, reaching, i))
            except Failed as why:
                failed, last = failed + 1, why
        if not times:
            raise Failed("no start succeeded: %s" % last)
        show_first_pings(table, "Docker 20.10", times)
        table.value("starts that failed", failed, None, "", "of %d" % (failed + len(times)))


def measure_overlay(paths, table, quick):
    for measure in measure_ping, measure_traffic, measure_many, measure_peers, measure_watches, measure_classic:
        try:
            measure(paths, table, quick)
        except Failed as why:
            table.failed(measure.__name__[8:], why)


SECTIONS = {"overlay": measure_overlay}
