# SPDX-License-Identifier: LGPL-2.1-or-later
"""cnm beside the floor: what its requests cost over its API, in turn with what the kernel alone
costs in a host of the same number of links."""
import json
import os
import signal
import time

from host import Client, Failed, Floor, Host, Program, Teller, processes, resident

SOCKET = "/run/cnm/cnm.sock"
RESOLV_CONF = "/run/resolv.conf"
PAUSE = 0.005     # between single steps: what one leaves to be done behind it is not the next's
QUIET = 3         # until what was created has been announced, which goes on behind the answers
BATCH = 20        # requests without a pause
MANY = 50
RESTARTS = 10
RUN_ON = 0.2      # of the daemon before it is ended again
PATIENCE = 60


class Engine:
    """A host with a cnmd in it."""

    NAME = "cnm"
    API = ""
    IMAGE = "busybox"
    BUSYBOX = "/bin/busybox"  # in the image

    def __init__(self, paths, *options, nameserver=None, host=None):
        """nameserver: the address of the host's; else it has none."""
        self.paths, self.options = paths, options
        self.host = host or Host("-".join(["cnm", *options[1:]]))
        with open(self.host.root + RESOLV_CONF, "w") as f:
            f.write("nameserver %s\n" % nameserver if nameserver else "")
        self.socket = self.host.root + SOCKET
        self.log = os.path.join(paths.scratch, self.host.name + ".log")
        self.program = None
        self.client = Client(paths.tool("client"), self.socket)
        try:
            self.start()
        except BaseException:
            self.end()
            raise

    def start(self):
        """Nanoseconds at which it was let go."""
        self.program = Program(self.host, [
            self.paths.cnm("cnmd/cnmd"), "--keeper", self.paths.cnm("keeper/cnm-keeper"),
            "--cgroup-parent", self.host.cgroup, "--resolv-conf", RESOLV_CONF,
            "--log-level", "warn", *self.options], self.log)
        start = self.program.go()
        self.client.tell("retry GET /networks")
        status, _, end, _ = self.client.answer()
        if status != 200:
            raise Failed("cnmd does not answer: " + self.program.why())
        return start, end

    def await_checked(self):
        """Nanoseconds at which /info first says that all has been checked."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            info = json.loads(self.client.ask("GET /info")[1])
            if info.get("Cnm", info).get("Checked"):
                return time.monotonic_ns()
            time.sleep(0.002)
        raise Failed("/info does not say Checked after %d s" % PATIENCE)

    def resident(self):
        pids = processes(self.host, "cnmd", "cnm-keeper")
        return resident(pids), len(pids)

    def end(self):
        self.client.end()
        self.host.end()

    # -------------------------------------------------------------------- requests, in ms

    def create_network(self, name):
        return self.client.time('POST /networks/create {"Name":"%s"}' % name)

    def remove_network(self, name):
        return self.client.time("DELETE /networks/%s" % name)

    def create_sandbox(self, name, network):
        return self.client.time('POST /cnm/v1/sandboxes {"Name":"%s","Networks":[{"Network":"%s"}]}'
                                % (name, network))

    def remove_sandbox(self, name):
        return self.client.time("DELETE /cnm/v1/sandboxes/%s" % name)

    @staticmethod
    def joining(verb, network, sandbox):
        return 'POST /networks/%s/%s {"Container":"%s"}' % (network, verb, sandbox)

    def connect(self, network, sandbox):
        return self.client.time(self.joining("connect", network, sandbox))

    def disconnect(self, network, sandbox):
        return self.client.time(self.joining("disconnect", network, sandbox))

    def netns(self, sandbox):
        return "%s/run/netns/%s" % (self.host.root, sandbox)

    def address(self, sandbox):
        """Its first."""
        found = json.loads(self.client.ask("GET /cnm/v1/sandboxes/%s" % sandbox)[1])
        return next(iter(found["Networks"].values()))["IPAddress"]


class World:
    """An engine and a floor that are filled alike, half of the sandboxes on each of two
    networks."""

    def __init__(self, paths):
        self.engine = Engine(paths)
        self.floor_host = Host("floor")  # for a /proc of its own: looking things up there ages
        self.floor = Floor(self.floor_host.enter(paths.tool("floor")))
        self.count = 0
        self.memory_empty = self.engine.resident()
        for i in range(2):
            self.engine.create_network("net%d" % i)
            self.floor.step("bridge %d" % i)
        self.engine.create_network("other")
        self.floor.step("bridge 2")

    def end(self):
        self.floor.end()
        self.floor_host.end()
        self.engine.end()

    def next(self):
        self.count += 1
        return "s%d" % self.count, self.count % 2

    def single(self):
        """One pair."""
        name, net = self.next()
        ours = self.engine.create_sandbox(name, "net%d" % net)
        time.sleep(PAUSE)
        theirs = self.floor.step("attach %d" % net)
        time.sleep(PAUSE)
        return ours, theirs[0]

    def batch(self, n):
        """A pair of n without a pause each."""
        ours = theirs = 0
        todo = [self.next() for _ in range(n)]
        for name, net in todo:
            ours += self.engine.create_sandbox(name, "net%d" % net)
        time.sleep(2 * PAUSE)
        for _, net in todo:
            theirs += self.floor.step("attach %d" % net)[0]
        time.sleep(2 * PAUSE)
        return ours / n, theirs / n

    def fill(self, n):
        """Up to n in all; the pairs of batches."""
        return [self.batch(min(BATCH, n - self.count))
                for _ in range((n - self.count + BATCH - 1) // BATCH)]

    def joins(self, n):
        """Pairs of connect and disconnect, on a network with nobody else."""
        connect, disconnect = [], []
        for _ in range(n):
            ours = self.engine.connect("other", "s1")
            time.sleep(PAUSE)
            connect.append((ours, self.floor.step("join 2")[1]))
            time.sleep(PAUSE)
            ours = self.engine.disconnect("other", "s1")
            time.sleep(PAUSE)
            disconnect.append((ours, self.floor.step("leave")[0]))
            time.sleep(PAUSE)
        return connect, disconnect

    def disconnect_many(self, n):
        """A pair: n disconnects at once, and one alone."""
        for i in range(1, n + 1):
            self.engine.connect("other", "s%d" % i)
        time.sleep(PAUSE)
        ours = self.engine.client.many([self.engine.joining("disconnect", "other", "s%d" % i)
                                        for i in range(1, n + 1)])
        self.engine.connect("other", "s1")
        time.sleep(PAUSE)
        return ours, self.engine.disconnect("other", "s1")


# ------------------------------------------------------------------------------------ the figures

def measure_create(world, table, quick):
    ends, full = (20, 200) if quick else (40, 1000)
    table.title("sandbox create with --net, over the API's socket, one client")
    for _ in range(3):
        world.single()
    first = [world.single() for _ in range(ends)]
    between = world.fill(full - ends)
    time.sleep(QUIET)
    last = [world.single() for _ in range(full - world.count)]
    table.pairs("the first %d, floor: attach without a pool" % ends, first, 1)
    table.pairs("up to the %dth, the same" % full, last, 1)
    middle = sorted(ours for ours, _ in first)[len(first) // 2]
    table.figure("the last by the first", [ours / middle for ours, _ in last], 1.2, "x")
    middle = sorted(theirs for _, theirs in first)[len(first) // 2]
    table.figure("the floor's last by its first", [theirs / middle for _, theirs in last], None,
                 "x")
    table.pairs("%d without a pause, the first five times" % BATCH, between[:5])
    table.pairs("%d without a pause, the last five times" % BATCH, between[-5:])


def grouped(pairs, n=4):
    """Pairs of the means of n neighbours each: for what waits for the kernel's own clockwork, the
    chance of which is not what is measured."""
    return [tuple(sum(side) / n for side in zip(*pairs[i:i + n]))
            for i in range(0, len(pairs) - n + 1, n)]


def measure_connect(world, table, quick):
    n = 16 if quick else 60
    world.fill(MANY)
    time.sleep(QUIET)
    table.title("connect and disconnect, %d sandboxes on the host" % world.count)
    connect, disconnect = world.joins(n)
    table.pairs("connect, floor: its veth part", connect, 1.6)
    table.pairs("disconnect, floor: one RTM_DELLINK", grouped(disconnect), 1.2)
    many = [world.disconnect_many(MANY) for _ in range(3 if quick else 7)]
    table.pairs("%d disconnects at once, by one alone" % MANY, many, 3, ("at once", "one"))


def measure_network(world, table, quick):
    time.sleep(QUIET)
    create, remove = [], []
    for i in range(16 if quick else 60):
        ours = world.engine.create_network("n%d" % i)
        time.sleep(PAUSE)
        create.append((ours, world.floor.step("bridge 3")[0]))
        time.sleep(PAUSE)
        ours = world.engine.remove_network("n%d" % i)
        time.sleep(PAUSE)
        remove.append((ours, world.floor.step("unbridge 3")[0]))
        time.sleep(PAUSE)
    table.title("networks, %d sandboxes on the host" % world.count)
    table.figure("network create", [ours for ours, _ in create], 3, "ms")
    table.pairs("network create, floor: one bridge, up", create)
    table.pairs("network rm, floor: one bridge deletion", grouped(remove), 1.2)


def start_flow(world):
    engine = world.engine
    where = [engine.netns(name) for name in ("s1", "s3")]
    flow = Teller([engine.paths.tool("flow"), where[0], engine.address("s1"),
                   where[1], engine.address("s3")])
    if flow.line() != "running\n":
        raise Failed("flow does not run")
    return flow


def stop_flow(flow):
    flow.process.stdin.close()
    words = [int(word) for word in flow.line().split()]
    flow.process.wait()
    flow.process.stdout.close()
    return words


def restart(engine, sig):
    """ms from exec to the first answer, and until all is checked."""
    time.sleep(RUN_ON)
    engine.program.end(sig)
    start, answered = engine.start()
    return (answered - start) / 1e6, (engine.await_checked() - start) / 1e6


def measure_restart(world, table, quick):
    full, times = (200, 3) if quick else (1000, RESTARTS)
    world.fill(full)
    table.title("restart with %d endpoints, and the packets of flows meanwhile" % world.count)
    for name, sig in (("clean restart", signal.SIGTERM), ("kill -9", signal.SIGKILL)):
        flow = start_flow(world)
        figures = [restart(world.engine, sig) for _ in range(times)]
        sent, lost, octets, wrong, gap = stop_flow(flow)
        table.figure("%s: from exec to the first answer" % name, [a for a, _ in figures], 300,
                     "ms")
        table.figure("%s: from exec until all is checked" % name, [c for _, c in figures], None,
                     "ms")
        table.value("%d times: UDP packets lost" % times, lost, 0, "",
                    "of %d; longest gap %.1f ms" % (sent, gap / 1000))
        table.value("%d times: TCP stream broken" % times, wrong, 0, "",
                    "%.1f MB" % (octets / 1e6))


def measure_memory(world, table, quick):
    table.title("resident memory of all cnm processes")
    value, n = world.memory_empty
    table.value("just started, no endpoint", value, 8, "MB", "%d processes" % n)
    full = 200 if quick else 1000
    world.fill(full)
    value, n = world.engine.resident()
    table.value("%d endpoints" % world.count, value, 16, "MB", "%d processes" % n)
    restart(world.engine, signal.SIGTERM)
    value, n = world.engine.resident()
    table.value("%d endpoints, after a restart" % world.count, value, 16, "MB",
                "%d processes" % n)


SECTIONS = {
    "create": measure_create,
    "connect": measure_connect,
    "network": measure_network,
    "restart": measure_restart,
    "memory": measure_memory,
}
