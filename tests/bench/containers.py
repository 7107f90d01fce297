# SPDX-License-Identifier: LGPL-2.1-or-later
"""Containers: what their requests cost over cnm's API, in turn with conmon and the runtime by hand
in the same host, and with Docker over its own API. cnm has a host for each runtime that is
there."""
import contextlib
import functools
import json
import secrets
import shutil
import signal
import time

from cnm import QUIET, Engine, grouped
from host import ByHand, Failed, processes, proportional, resident
from rivals import Docker

SETTLE = 0.1        # between steps: what one leaves to be done behind it is not the next's
READY = 0.3         # until a shell has set its trap
TRAP = "trap 'exit 0' TERM; while :; do %s sleep 1000 & wait $!; done"
AT_ONCE = 40
MANY = 50           # of which the memory counts


def runtime_of(engine):
    return engine.options[1]


def create_line(side, name, *command):
    return "POST %s/containers/create?name=%s %s" % (side.API, name, json.dumps(
        {"Image": side.IMAGE, "Cmd": [side.BUSYBOX, *(command or ("sleep", "1000"))],
         "HostConfig": {"CgroupParent": side.host.cgroup} if side.NAME == "Docker" else {}},
        separators=(",", ":")))


def run_lines(side, name, *command):
    """`run -d`."""
    return [create_line(side, name, *command), "POST %s/containers/$/start" % side.API]


def run(side, name, *command):
    return side.client.many(run_lines(side, name, *command), 2)


def run_at_once(side, names):
    lines = [line for name in names for line in run_lines(side, name)]
    return side.client.many(lines, 2)


def execute(side, name, *command):
    """`exec`, up to the end of its output."""
    return side.client.many([
        'POST %s/containers/%s/exec {"AttachStdout":true,"AttachStderr":true,"Cmd":%s}' % (
            side.API, name, json.dumps([side.BUSYBOX, *command], separators=(",", ":"))),
        'POST %s/exec/$/start {"Detach":false,"Tty":false}' % side.API], 2)


def stop(side, name):
    return side.client.time("POST %s/containers/%s/stop" % (side.API, name))


def remove_line(side, name):
    return "DELETE %s/containers/%s?force=1" % (side.API, name)


def remove(side, name):
    return side.client.time(remove_line(side, name))


class Pattern:
    """A container of cnm's, after which others are made by hand: of the same configuration, by the
    same command lines, in its network namespace."""

    def __init__(self, engine):
        self.engine, self.host = engine, engine.host
        run(engine, "pattern")
        self.id = json.loads(engine.client.ask("GET /containers/pattern/json")[1])["Id"]
        bundle = self.host.root + "/run/cnm/containers/" + self.id
        with open(bundle + "/config.json") as f:
            self.config = json.load(f)
        with open(bundle + "/conmon.pid") as f:
            pid = f.read().strip()
        with open("%s/proc/%s/cmdline" % (self.host.root, pid)) as f:
            self.conmon = f.read().split("\0")[:-1]
        self.lower = self.find_lower()
        self.by_hand = ByHand(self.host.enter(engine.paths.tool("byhand")))

    def find_lower(self):
        with open("/proc/%d/mounts" % self.host.pid) as f:
            for line in f:
                if self.id in line and " overlay " in line:
                    options = line.split()[3].split(",")
                    return next(option for option in options if option.startswith("lowerdir="))
        raise Failed("the root of a container is no overlay")

    def runtime(self):
        """The runtime's command line up to its command."""
        words = zip(self.conmon, self.conmon[1:])
        return [value for name, value in words if name in ("--runtime", "--runtime-arg")]

    def another(self, words, name):
        return [word.replace(self.id, name).replace("/run/cnm/", "/run/byhand/").replace(
            "/var/lib/cnm/", "/run/byhand/") for word in words]

    def run(self):
        """(ms, the name of what runs now). Its bundle is made before."""
        name = secrets.token_hex(32)
        bundle = "/run/byhand/containers/" + name
        self.host.run("sh", "-ec", """
            mkdir -p $1/rootfs $2/upper $2/work
            mount -t overlay overlay -o "$3,upperdir=$2/upper,workdir=$2/work" $1/rootfs
            """, "sh", bundle, "/run/byhand/" + name, self.lower)
        config = {**self.config, "root": {**self.config["root"], "path": bundle + "/rootfs"},
                  "linux": {**self.config["linux"], "cgroupsPath": self.host.cgroup + "/" + name}}
        with open("%s%s/config.json" % (self.host.root, bundle), "w") as f:
            json.dump(config, f)
        start = [*self.another(self.runtime(), name), "start", name]
        time.sleep(SETTLE)
        return self.by_hand.run(bundle, self.another(self.conmon, name), start), name

    def remove(self, name):
        self.by_hand.call(*self.another(self.runtime(), name), "delete", "--force", name)
        bundle = "/run/byhand/containers/" + name
        self.host.run("umount", "-l", bundle + "/rootfs")
        shutil.rmtree(self.host.root + bundle)
        shutil.rmtree(self.host.root + "/run/byhand/" + name)

    def execute(self, *command):
        return self.by_hand.call(*self.runtime(), "exec", self.id, self.engine.BUSYBOX, *command)

    def end(self):
        self.by_hand.end()


class World:
    """What is asked for first is made then."""

    def __init__(self, paths):
        self.paths = paths
        self.ends = contextlib.ExitStack()

    def end(self):
        self.ends.close()

    def engine(self, *options):
        engine = Engine(self.paths, *options)
        self.ends.callback(engine.end)
        engine.client.ask("POST /images/create?fromImage=busybox&tag=latest")
        return engine

    @functools.cached_property
    def engines(self):
        names = [name for name in ("crun", "runc") if shutil.which(name)]
        if not names:
            raise Failed("there is no OCI runtime")
        return [self.engine("--runtime", name) for name in names]

    @functools.cached_property
    def patterns(self):
        patterns = [Pattern(engine) for engine in self.engines]
        for pattern in patterns:
            self.ends.callback(pattern.end)
        return patterns

    @functools.cached_property
    def docker(self):
        docker = Docker(self.paths)
        self.ends.callback(docker.end)
        return docker

    @property
    def sides(self):
        return [*self.engines, self.docker]


def in_turn(n, *functions):
    """For each function what it returned n times, in turn with the others."""
    rounds = []
    for i in range(n):
        values = []
        for function in functions:
            values.append(function(i))
            time.sleep(SETTLE)
        rounds.append(values)
    return list(zip(*rounds))


def beside_docker(table, what, engines, times, goal):
    """The last of the times are Docker's."""
    for engine, ours in zip(engines, times):
        table.pairs("%s, %s, by Docker's" % (what, runtime_of(engine)),
                    list(zip(ours, times[-1])), goal, ("cnm", "Docker"))


def by_hand(table, what, engines, times, goal):
    """Of groups: the runtime waits for grace periods of the kernel, of which either side may get
    the longer one."""
    for engine, ours, theirs in zip(engines, times[::2], times[1::2]):
        table.pairs(what % runtime_of(engine), grouped(list(zip(ours, theirs))), goal,
                    ("cnm", "by hand"))


# ------------------------------------------------------------------------------------ the figures

def run_and_remove(side, _):
    taken = run(side, "one")
    time.sleep(SETTLE)
    remove(side, "one")
    return taken


def run_by_hand_and_remove(pattern, _):
    taken, name = pattern.run()
    time.sleep(SETTLE)
    pattern.remove(name)
    return taken


def paired_with_hands(world, ours, theirs):
    """The functions of all engines and patterns, those that are compared one after the other, and
    Docker's."""
    pairs = []
    for engine, pattern in zip(world.engines, world.patterns):
        pairs += [functools.partial(ours, engine), functools.partial(theirs, pattern)]
    return [*pairs, functools.partial(ours, world.docker)]


def measure_run(world, table, quick):
    functions = paired_with_hands(world, run_and_remove, run_by_hand_and_remove)
    for function in functions:
        function(0)
    times = in_turn(8 if quick else 32, *functions)
    table.title("run -d (create, start), on the network bridge")
    by_hand(table, "run -d, floor: conmon and %s by hand", world.engines, times[:-1], 1.15)
    beside_docker(table, "run -d", world.engines, [*times[:-1:2], times[-1]], 0.5)


def measure_exec(world, table, quick):
    run(world.docker, "pattern")
    functions = paired_with_hands(world, lambda side, _: execute(side, "pattern", "true"),
                                  lambda pattern, _: pattern.execute("true"))
    for function in functions:
        function(0)
    times = in_turn(16 if quick else 80, *functions)
    remove(world.docker, "pattern")
    table.title("exec of true, until its output ends")
    by_hand(table, "exec, floor: %s exec by hand", world.engines, times[:-1], 1.15)
    beside_docker(table, "exec", world.engines, [*times[:-1:2], times[-1]], None)


def run_many_and_remove(side, _):
    names = ["m%d" % i for i in range(AT_ONCE)]
    taken = run_at_once(side, names)
    time.sleep(SETTLE)
    side.client.many([remove_line(side, name) for name in names])
    time.sleep(QUIET)
    return taken


def measure_many(world, table, quick):
    times = in_turn(2 if quick else 5, *(functools.partial(run_many_and_remove, side)
                                         for side in world.sides))
    table.title("%d times run -d at once, until all run" % AT_ONCE)
    beside_docker(table, "all", world.engines, times, 1 / 3)


def run_and_stop(side, _):
    run(side, "one", "sh", "-c", TRAP % side.BUSYBOX)
    time.sleep(READY)
    taken = stop(side, "one")
    remove(side, "one")
    return taken


def run_and_kill(side, _):
    run(side, "one")
    time.sleep(READY)
    return remove(side, "one")


def measure_stop(world, table, quick):
    n = 4 if quick else 20
    table.title("the end of a container")
    for what, function in (("stop, its process ends at SIGTERM", run_and_stop),
                           ("rm -f of one that runs", run_and_kill)):
        times = in_turn(n, *(functools.partial(function, side) for side in world.sides))
        beside_docker(table, what, world.engines, times, 0.5)


def show_memory(table, engine, what):
    value, n = engine.resident()
    conmons = processes(engine.host, "conmon")
    table.value("%s: cnm's own processes" % what, value, 12, "MB", "%d processes" % n)
    table.value("%s: conmon" % what, resident(conmons), None, "MB",
                "%d processes, %.1f MB if what they share counts once" % (
                    len(conmons), proportional(conmons)))


def measure_memory(world, table, _):
    engine = world.engine()
    names = ["c%d" % i for i in range(MANY)]
    table.title("resident memory of containers")
    for name in names:
        run(engine, name)
    time.sleep(QUIET)
    show_memory(table, engine, "%d containers" % MANY)
    engine.client.many([remove_line(engine, name) for name in names])
    run_at_once(engine, names)
    time.sleep(QUIET)
    show_memory(table, engine, "%d started at once" % MANY)
    engine.program.end(signal.SIGTERM)
    engine.start()
    engine.await_checked()
    show_memory(table, engine, "%d, after a restart" % MANY)


SECTIONS = {
    "run": measure_run,
    "exec": measure_exec,
    "many": measure_many,
    "stop": measure_stop,
    "memory": measure_memory,
}
