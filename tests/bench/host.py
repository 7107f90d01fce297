# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts of namespaces, and the programs that are measured and that measure in them."""
import errno
import glob
import os
import signal
import subprocess
import time

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CGROUPS = "/sys/fs/cgroup"
PATIENCE = 30


class Failed(Exception):
    """A figure can't be had; the text says why."""


class Host:
    """A network, a mount and a process namespace, with an empty /run and /var/lib. All that runs
    in it ends with it. The control groups are the machine's; those of the host are below
    self.cgroup."""

    def __init__(self, name):
        self.name = name
        self.cgroup = "/cnm-bench-%d-%s" % (os.getpid(), name.lower())
        self.holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "-n", "-m", "-p", "--fork",
             "--kill-child", "--mount-proc", "--propagation", "private",
             "sh", "-c", "echo; exec sleep infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.pid = self.child_of(self.holder.pid)
        self.root = "/proc/%d/root" % self.pid
        self.run("sh", "-ec", """
            mount -t tmpfs -o mode=755 run /run
            mount -t tmpfs -o mode=755 lib /var/lib
            mkdir /run/cgroup
            mount --rbind %s /run/cgroup
            mount -t sysfs sys /sys
            %s
            umount -l /run/cgroup
            rmdir /run/cgroup
            ip link set lo up
            ip link add up0 type veth peer name lan0
            ip addr add 192.0.2.2/24 dev up0
            ip link set up0 up
            ip link set lan0 up
            ip route add default via 192.0.2.1
            """ % (CGROUPS, self.cgroups()))

    @staticmethod
    def cgroups():
        """Mounts the control groups again, which the host's own /sys hides. Where there are those
        of both versions the second's are left out: crun 1.8 makes no container beside them."""
        if os.path.exists(CGROUPS + "/cgroup.controllers"):
            return "mount --rbind /run/cgroup " + CGROUPS
        return """
            mount -t tmpfs -o mode=755 cgroup %s
            for folder in /run/cgroup/*; do
                name=${folder##*/}
                [ $name != unified ] || continue
                mkdir %s/$name
                mount --bind $folder %s/$name
            done
            """ % (CGROUPS, CGROUPS, CGROUPS)

    @staticmethod
    def child_of(pid):
        path = "/proc/%d/task/%d/children" % (pid, pid)
        for _ in range(2000):
            with open(path) as f:
                children = f.read().split()
            if children:
                return int(children[0])
            time.sleep(0.001)
        raise Failed("process %d started nothing" % pid)

    def enter(self, *argv):
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-p", *argv]

    def run(self, *argv, timeout=60, **how):
        how.setdefault("env", {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/run"})
        done = subprocess.run(self.enter(*argv), capture_output=True, text=True, timeout=timeout,
                              **how)
        if done.returncode:
            raise Failed("%s: %s" % (" ".join(argv[:3]), (done.stderr or done.stdout).strip()))
        return done.stdout

    def end(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        self.remove_cgroups()

    def remove_cgroups(self):
        """They outlive a host; what was in them has just been killed."""
        end = time.monotonic() + PATIENCE
        for top in [CGROUPS + self.cgroup, *glob.glob(CGROUPS + "/*" + self.cgroup)]:
            for folder, _, _ in os.walk(top, topdown=False):
                while True:
                    try:
                        os.rmdir(folder)
                        break
                    except OSError as error:
                        if error.errno != errno.EBUSY or time.monotonic() > end:
                            raise
                    time.sleep(0.01)


class Program:
    """A program in a host. It stands ready in a shell; its time starts when it is let go."""

    def __init__(self, host, argv, log, env=None):
        self.log = log
        with open(log, "ab") as out:
            self.shell = subprocess.Popen(
                host.enter("sh", "-c", 'read go; exec "$@" </dev/null', "sh", *argv),
                stdin=subprocess.PIPE, stdout=out, stderr=out,
                env={"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/run", **(env or {})})
        self.pid = host.child_of(self.shell.pid)

    def go(self):
        """Let it run; the time in nanoseconds just before."""
        start = time.monotonic_ns()
        self.shell.stdin.write(b"\n")
        self.shell.stdin.flush()
        return start

    def end(self, sig=signal.SIGTERM):
        os.kill(self.pid, sig)
        self.shell.stdin.close()
        self.shell.wait()

    def why(self):
        with open(self.log, errors="replace") as f:
            return f.read().strip().rsplit("\n", 1)[-1]


class Teller:
    """A measuring program that is told its steps a line at a time."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def line(self):
        line = self.process.stdout.readline().decode()
        if not line:
            raise Failed("%s ended" % os.path.basename(self.process.args[0]))
        return line

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Floor(Teller):
    """floor.c: what the kernel alone costs. Times in ms."""

    def step(self, what):
        self.tell(what)
        return [int(word) / 1e6 for word in self.line().split()]


class Client(Teller):
    """client.c: an API client. Times in ms."""

    def __init__(self, program, socket):
        super().__init__([program, socket])

    def answer(self):
        """(status, start, end, body), the times as time.monotonic_ns()."""
        status, start, end, length = [int(word) for word in self.line().split()]
        return status, start, end, self.process.stdout.read(length).decode()

    def ask(self, line, expect=2):
        self.tell(line)
        status, start, end, body = self.answer()
        if status // 100 != expect:
            raise Failed("%s: %s" % (line[:80], "%d %s" % (status, body.strip()[:200])
                                     if status else "no answer"))
        return (end - start) / 1e6, body

    def time(self, line):
        return self.ask(line)[0]

    def many(self, lines, each=1):
        """All at once; or so many sequences of `each`, in which one follows the other."""
        self.tell("many %d %d\n%s" % (len(lines) // each, each, "\n".join(lines)))
        status, start, end, body = self.answer()
        if status // 100 != 2:
            raise Failed("%s and others: %d %s" % (lines[0][:80], status, body.strip()[:200]))
        return (end - start) / 1e6


class ByHand(Teller):
    """byhand.c: conmon and a runtime by themselves. Times in ms."""

    def tell_and_time(self, line, *commands):
        for words in (line, *("\t".join(command) for command in commands)):
            self.tell(words)
        status, ns = [int(word) for word in self.line().split()]
        if status:
            raise Failed("%s by hand: status %d" % (line, status))
        return ns / 1e6

    def run(self, bundle, conmon, start):
        return self.tell_and_time("run " + bundle, conmon, start)

    def call(self, *command):
        return self.tell_and_time("call", command)


def resident(pids):
    """Sum of the resident memory of processes, in MB."""
    return sum(kilobytes("/proc/%d/status" % pid, "VmRSS:") for pid in pids) / 1024


def anonymous(pids):
    """That of it which is no file's."""
    return sum(kilobytes("/proc/%d/status" % pid, "RssAnon:") for pid in pids) / 1024


def proportional(pids):
    """The same, but what several processes share counts once."""
    return sum(kilobytes("/proc/%d/smaps_rollup" % pid, "Pss:") for pid in pids) / 1024


def kilobytes(path, key):
    with open(path) as f:
        for line in f:
            if line.startswith(key):
                return int(line.split()[1])
    return 0  # it is ending


def processes(host, *names):
    """The ids of the processes of a host that run one of the programs, as a process sees it from
    outside."""
    namespace = os.readlink("/proc/%d/ns/pid" % host.pid)
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if os.readlink("/proc/%s/ns/pid" % entry) == namespace and os.path.basename(
                    os.readlink("/proc/%s/exe" % entry)) in names:
                found.append(int(entry))
        except OSError:
            continue  # it has just ended
    return found
