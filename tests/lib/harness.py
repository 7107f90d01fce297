# SPDX-License-Identifier: LGPL-2.1-or-later
"""A test's own host: a network and a mount namespace with an uplink to a second namespace (the
LAN), and a cnmd of its own in it, started with nothing but defaults.

    /run, /var/lib     tmpfs of the test, seen from outside below host.root
    /sys/fs/cgroup     the machine's hierarchies; all that the host makes is below host.cgroup
    up0                192.0.2.2/24, 2001:db8::2/64, default routes through the LAN at .1 and ::1
    /etc/resolv.conf   names the LAN as the only server

The namespaces are held by one sleeping process each and end with it. The pytest process never
enters the mount namespace: files and sockets are reached through /proc/PID/root, commands run by
nsenter; into network namespaces a thread goes for the length of one call (netlink.inside).

Around every changing request that is refused the host compares dumps of rows, links, addresses,
routes, rules, files and mounts: that is done by api(), cnm() and docker(), not by the test.
"""
import contextlib
import glob
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.parse

import dump
import netlink

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("CNM_BUILD", os.path.join(TOP, "build", "asan")))
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PREDEFINED = ("bridge", "host", "none")
LAN4, LAN6, UP4, UP6 = "192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2"
# Names of programs and options that are not the daemon's defaults stand here and nowhere else.
DAEMON, COMMAND, KEEPER = "src/cnmd/cnmd", "src/cnm/cnm", "src/keeper/cnm-keeper"

SANITIZER = re.compile(r"ERROR: (Address|Leak|Memory|UndefinedBehavior)Sanitizer|runtime error:"
                       r"|WARNING: ThreadSanitizer|Sanitizer:DEADLYSIGNAL")
CHANGES = {"create", "rm", "remove", "connect", "disconnect", "join", "leave", "prune"}
# How many times as long as on a usual machine things may take: an emulated one is that slow.
SLOW = float(os.environ.get("CNM_SLOW", "1"))
LSAN = "print_suppressions=0:suppressions=" + os.path.join(TOP, "tests", "lib", "lsan.supp")
# A slow machine may take this long for what is awaited; what is there sooner is seen sooner.
PATIENCE = 20 * SLOW
# What a command or a request may take.
DEADLINE = 60 * SLOW


def program(name):
    path = os.path.join(BUILD, name)
    assert os.path.exists(path), "%s is not built; ./test builds it" % path
    return path


def wait_for(condition, what, timeout=PATIENCE, every=0.01):
    """The first true value of condition(); what may be a callable that says what is wrong."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "not within %g s: %s" % (
            timeout, what() if callable(what) else what)
        time.sleep(every)


class Result:
    """What a command did."""

    def __init__(self, argv, rc, out, err):
        self.argv, self.rc, self.out, self.err = argv, rc, out, err

    def __repr__(self):
        return "%s -> %d\n%s%s" % (" ".join(self.argv), self.rc, self.out, self.err)

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def words(self):
        return self.out.split()


class Answer:
    """What the daemon answered."""

    def __init__(self, status, text, headers):
        self.status, self.text, self.headers = status, text, headers

    def __repr__(self):
        return "%d %s" % (self.status, self.text)

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def message(self):
        return self.json["message"]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Holder:
    """A process that does nothing but hold namespaces."""

    def __init__(self, *flags):
        self.process = subprocess.Popen(
            ["unshare", *flags, "sh", "-c", "echo; exec sleep infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.pid = self.process.pid
        self.netns_path = "/proc/%d/ns/net" % self.pid
        self.netns = os.open(self.netns_path, os.O_RDONLY | os.O_CLOEXEC)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        os.close(self.netns)


def run_in(netns, *argv, check=True, timeout=DEADLINE, **how):
    """Run a command in a network namespace (and the test machine's own mounts)."""
    with netlink.inside(netns):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, **how)
    result = Result(argv, done.returncode, done.stdout, done.stderr)
    assert not check or result.rc == 0, repr(result)
    return result


def can_ping(netns, address):
    """One attempt: for what must not get through."""
    return run_in(netns, "ping", "-n", "-c1", "-W1", address, check=False).rc == 0


def reaches(netns, address):
    """For what must get through: a new IPv6 route takes the kernel up to a second to use, and a
    neighbour that changed its MAC is believed after a second."""
    wait_for(lambda: can_ping(netns, address), "%s answers" % address)
    return True


class Inside:
    """A sandbox as seen by the programs in it."""

    def __init__(self, host, sandbox):
        self.host = host
        self.path = sandbox["NetnsPath"]
        self.netns = os.open(host.root + self.path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self):
        if self.netns >= 0:
            os.close(self.netns)
            self.netns = -1

    def run(self, *argv, **how):
        return run_in(self.netns, *argv, **how)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM, proto=0):
        with netlink.inside(self.netns):
            return socket.socket(family, kind, proto)

    def links(self):
        """{name: [address/length, ...]} without loopback."""
        out = {}
        for link in json.loads(self.run("ip", "-j", "addr").out):
            if link["ifname"] != "lo":
                out[link["ifname"]] = ["%s/%d" % (a["local"], a["prefixlen"])
                                       for a in link["addr_info"]]
        return out

    def default_route(self, family=4):
        """(gateway, device), or None."""
        found = json.loads(self.run("ip", "-%d" % family, "-j", "route", "show", "default").out)
        return (found[0].get("gateway"), found[0]["dev"]) if found else None

    def can_ping(self, address):
        return can_ping(self.netns, address)

    def reaches(self, address):
        return reaches(self.netns, address)


class Host:
    def __init__(self, folder, runtime=None):
        """runtime: "crun" or "runc", rather than the one that cnmd finds."""
        self.folder = str(folder)
        self.runtime = runtime
        self.compare = True       # dumps around refused requests
        self.expected_notes = []  # of the last doctor
        self.daemon = None
        self.started = None       # options, environment and binary of the daemon
        self.leftovers = []       # opened by helpers, closed at the end
        self.log_path = os.path.join(self.folder, "cnmd.log")
        holder = self.holder = Holder("-n", "-m", "--propagation", "private")
        self.pid, self.netns, self.netns_path = holder.pid, holder.netns, holder.netns_path
        self.cgroup = "/cnm-test-%d-%x" % (self.pid, time.monotonic_ns())
        self.root = "/proc/%d/root" % self.pid
        self.lan = Holder("-n")
        self.database = self.root + "/var/lib/cnm/cnm.db"
        self.socket_path = self.root + "/run/cnm/cnm.sock"
        self._furnish()

    def _furnish(self):
        resolv = os.path.join(self.folder, "resolv.conf")
        with open(resolv, "w") as f:
            f.write("nameserver %s\nsearch example.test\n" % LAN4)
        self.run("sh", "-ec", """
            mount -t tmpfs -o mode=755 run /run
            mount -t tmpfs -o mode=755 lib /var/lib
            mkdir /run/cgroup
            mount --rbind /sys/fs/cgroup /run/cgroup
            mount -t sysfs sys /sys
            %s
            umount -l /run/cgroup
            rmdir /run/cgroup
            mount --bind %s /etc/resolv.conf
            ip link set lo up
            ip link add up0 type veth peer name lan0 netns %d
            ip addr add %s/24 dev up0
            ip addr add %s/64 dev up0 nodad
            ip link set up0 addrgenmode none up
            """ % (self._cgroups(), resolv, self.lan.pid, UP4, UP6))
        self.run_lan("sh", "-ec", """
            ip link set lo up
            ip addr add %s/24 dev lan0
            ip addr add %s/64 dev lan0 nodad
            ip link set lan0 addrgenmode none up
            """ % (LAN4, LAN6))
        self.run("sh", "-ec", """
            ip route add default via %s
            ip -6 route add default via %s
            """ % (LAN4, LAN6))
        self.namespaces = {os.readlink("/proc/%d/ns/%s" % (self.pid, kind))
                           for kind in ("net", "mnt")}

    def _cgroups(self):
        """Mounts the control groups again, which the host's own /sys hides. crun 1.8 works with
        unified hierarchies or with none, so it sees none beside the others, and what it writes
        where there should be one goes to a tmpfs of the host."""
        if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
            return "mount --rbind /run/cgroup /sys/fs/cgroup"
        return """
            mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
            for folder in /run/cgroup/*; do
                name=${folder##*/}
                [ $name != "%s" ] || continue
                mkdir /sys/fs/cgroup/$name
                mount --bind $folder /sys/fs/cgroup/$name
            done
            """ % ("unified" if self.runtime == "crun" else "")

    # ------------------------------------------------------------------ commands

    def enter(self, *argv):
        return ["nsenter", "--net=" + self.netns_path, "--mount=/proc/%d/ns/mnt" % self.pid, *argv]

    def environment(self, **extra):
        env = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": self.folder, "LANG": "C.UTF-8",
               "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:handle_abort=1",
               "LSAN_OPTIONS": LSAN,
               "UBSAN_OPTIONS": "print_stacktrace=1",
               "TSAN_OPTIONS": "second_deadlock_stack=1"}
        env.update(extra)
        return env

    def run(self, *argv, check=True, timeout=DEADLINE, env=None, **how):
        """Run a command on the host."""
        done = subprocess.run(self.enter(*argv), capture_output=True, text=True, timeout=timeout,
                              env=self.environment(**(env or {})), **how)
        result = Result(argv, done.returncode, done.stdout, done.stderr)
        assert not SANITIZER.search(done.stderr), repr(result)
        assert not check or result.rc == 0, repr(result)
        return result

    def popen(self, *argv, env=None, **how):
        """Start a command on the host; the caller ends it."""
        return subprocess.Popen(self.enter(*argv), env=self.environment(**(env or {})), **how)

    def run_lan(self, *argv, **how):
        return run_in(self.lan.netns, *argv, **how)

    def cnm(self, *argv, check=None, timeout=DEADLINE, input=None):
        """The command cnm. check=True insists on success; a refused change is compared."""
        changing = bool(CHANGES & set(argv)) and "exec" not in argv
        before = self.dump() if changing and self.compare else None
        result = self.run(program(COMMAND), *argv, check=bool(check), timeout=timeout, input=input)
        if before and (result.rc != 0 or "--dry-run" in argv):
            self.assert_unchanged(before, result)
        return result

    def docker(self, *argv, check=None, timeout=DEADLINE, input=None, client=None):
        """The stock client: that on the PATH, or another."""
        changing = bool(CHANGES & set(argv))
        before = self.dump() if changing and self.compare else None
        result = self.run(client or docker_client(), *argv, check=bool(check), timeout=timeout,
                          input=input, env={"DOCKER_HOST": "unix:///run/cnm/cnm.sock"})
        if before and result.rc != 0:
            self.assert_unchanged(before, result)
        return result

    def reaches(self, address):
        return reaches(self.netns, address)

    def lan_reaches(self, address):
        return reaches(self.lan.netns, address)

    # ------------------------------------------------------------------ requests

    def request(self, method, path, body=None, headers=None, timeout=DEADLINE):
        """One request, as it is. body: bytes, or anything JSON has."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        connection = _UnixConnection(self.socket_path, timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.read().decode(), dict(response.getheaders()))

    def api(self, method, path, body=None, headers=None, timeout=DEADLINE):
        """One request; if it is a change and refused (or a dry run), nothing may have changed."""
        changing = method not in ("GET", "HEAD") and self.compare
        before = self.dump() if changing else None
        answer = self.request(method, path, body, headers, timeout)
        if changing and (answer.status >= 400 or "dry-run=" in path):
            self.assert_unchanged(before, "%s %s %s: %r" % (method, path, body, answer))
        return answer

    def get(self, path):
        answer = self.api("GET", path)
        assert answer.status == 200, "GET %s: %r" % (path, answer)
        return answer.json

    def ok(self, method, path, body=None, status=None):
        """A request that must succeed; its JSON, if it has any."""
        answer = self.api(method, path, body)
        assert answer.status == status if status else answer.status < 300, "%s %s %s: %r" % (
            method, path, body, answer)
        return answer.json if answer.text.strip() else None

    def refused(self, method, path, body=None, status=400, message=None, matching=None, headers=None):
        """A request that must be refused: with this status, this very message (or a match for the
        regular expression), and without having changed anything."""
        answer = self.api(method, path, body, headers)
        what = "%s %s %s: %r" % (method, path, body, answer)
        assert answer.status == status, what
        if message is not None:
            assert answer.message == message, what
        if matching is not None:
            assert re.search(matching, answer.message), what
        assert answer.message.strip(), what
        return answer

    # What tests make most often. Each returns the id.

    def network(self, name, **more):
        return self.ok("POST", "/networks/create", dict(Name=name, **more), 201)["Id"]

    def subnet(self, name, subnet, gateway=None, **more):
        config = {"Subnet": subnet}
        if gateway:
            config["Gateway"] = gateway
        return self.network(name, IPAM={"Config": [config]}, **more)

    def sandbox(self, name, *networks, **more):
        """networks: names, or (name, EndpointSettings)."""
        wanted = [{"Network": n} if isinstance(n, str) else
                  {"Network": n[0], "EndpointConfig": n[1]} for n in networks]
        return self.ok("POST", "/cnm/v1/sandboxes",
                       dict(Name=name, Networks=wanted, **more), 201)["Id"]

    def connect(self, network, sandbox, **settings):
        body = {"Container": sandbox}
        if settings:
            body["EndpointConfig"] = settings
        self.ok("POST", "/networks/%s/connect" % network, body, 200)

    def disconnect(self, network, sandbox, force=False):
        self.ok("POST", "/networks/%s/disconnect" % network,
                {"Container": sandbox, "Force": force}, 200)

    def remove_network(self, name):
        self.ok("DELETE", "/networks/" + name, status=204)

    def remove_sandbox(self, name):
        self.ok("DELETE", "/cnm/v1/sandboxes/" + name, status=204)

    def inspect(self, network):
        return self.get("/networks/" + network)

    def settings(self, sandbox, network):
        """The EndpointSettings of a sandbox on a network."""
        return self.get("/cnm/v1/sandboxes/" + sandbox)["Networks"][network]

    def address(self, sandbox, network, family=4):
        return self.settings(sandbox, network)["IPAddress" if family == 4 else "GlobalIPv6Address"]

    def inside(self, sandbox):
        view = Inside(self, self.get("/cnm/v1/sandboxes/" + sandbox))
        self.leftovers.append(view)
        return view

    def link(self, name):
        """One link of the host as `ip -d -j` shows it, or None."""
        result = self.run("ip", "-d", "-j", "link", "show", "dev", name, check=False)
        return json.loads(result.out)[0] if result.rc == 0 and result.out.strip() else None

    # ------------------------------------------------------------------ comparing

    def dump(self):
        def read():
            found = dump.rows(self.database)
            return (found,) if dump.settled(found) or not self.daemon else None
        tables, = wait_for(read, "rows that are neither creating nor removing")
        return dump.take(self, tables)

    def assert_unchanged(self, before, what):
        changed = dump.difference(without_standing(before), without_standing(self.dump()))
        assert not changed, "refused, and yet something changed:\n%s\n%s" % (what, changed)

    def doctor(self, repair=False):
        """The differences; notes are kept aside."""
        answer = self.request("POST" if repair else "GET", "/cnm/v1/doctor")
        assert answer.status == 200, repr(answer)
        self.notes = answer.json["Notes"]
        return answer.json["Differences"]

    def wait_healed(self, timeout=5 * SLOW):
        wait_for(lambda: not self.doctor(), lambda: "no difference left: %r" % self.doctor(),
                 timeout=timeout)

    # ------------------------------------------------------------------ the daemon

    def own_options(self):
        """What tells this host's cnmd from another's."""
        return ["--keeper", program(KEEPER), "--cgroup-parent", self.cgroup,
                *(["--runtime", self.runtime] if self.runtime else [])]

    def start(self, *options, wait=True, env=None, binary=None):
        """A restart is given the options of the first start."""
        assert not self.daemon
        if self.started is None:
            self.started = options, env, binary
        options, env, binary = self.started
        self.log = open(self.log_path, "ab")
        self.daemon = self.popen(
            binary or program(DAEMON), *self.own_options(), *options, env=env,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        if wait:
            self.wait_ready()

    def answers(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            # The keeper's socket takes connections while nobody serves them: do not wait for long.
            return self.request("GET", "/_ping", timeout=SLOW).status == 200
        return False

    def wait_ready(self):
        def ready():
            assert self.daemon.poll() is None, "cnmd ended with %s:\n%s" % (
                self.daemon.returncode, self.log_text()[-4000:])
            return self.answers()
        wait_for(ready, lambda: "cnmd answers:\n" + self.log_text()[-4000:])

    def ended(self, timeout=PATIENCE):
        """Wait for the daemon's own end; its exit status."""
        rc = self.daemon.wait(timeout)
        self.daemon = None
        self.log.close()
        return rc

    def stop(self):
        """SIGTERM, and a clean end."""
        self.daemon.send_signal(signal.SIGTERM)
        rc = self.ended()
        assert rc == 0, "cnmd ended with %d on SIGTERM:\n%s" % (rc, self.log_text()[-4000:])
        self.check_log()

    def kill9(self):
        self.daemon.kill()
        self.ended()

    def restart(self, kill=False, **how):
        if kill:
            self.kill9()
        else:
            self.stop()
        self.start(**how)

    def log_text(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def check_log(self):
        text = self.log_text() if os.path.exists(self.log_path) else ""
        found = SANITIZER.search(text)
        assert not found, "cnmd was caught:\n" + text[max(0, found.start() - 200):][:6000]

    def processes(self):
        """Those of this host that are not the test's own."""
        return dump.processes(self.namespaces, self.cgroup, skip={self.pid, os.getpid()})

    def cgroups(self):
        """The directories of this host's control groups, innermost first."""
        return sorted(glob.glob("/sys/fs/cgroup%s/**/" % self.cgroup, recursive=True)
                      + glob.glob("/sys/fs/cgroup/*%s/**/" % self.cgroup, recursive=True),
                      reverse=True)

    # ------------------------------------------------------------------ end of a test

    def clear(self):
        """Remove what the test made, through the API."""
        self.clear_containers()
        for sandbox in self.get("/cnm/v1/sandboxes"):
            self.request_ok("DELETE", "/cnm/v1/sandboxes/" + sandbox["Id"])
        for endpoint in self.get("/cnm/v1/endpoints"):
            self.request_ok("DELETE", "/cnm/v1/endpoints/%s?force=1" % endpoint["Id"])
        networks = [n for n in self.get("/networks") if n["Name"] not in PREDEFINED]
        for network in sorted(networks, key=lambda n: n["ConfigOnly"]):
            self.request_ok("DELETE", "/networks/" + network["Id"])

    def clear_containers(self):
        """With their anonymous volumes, and the named ones, which belong to nobody then."""
        answer = self.request("GET", "/containers/json?all=1")
        for container in answer.json if answer.status == 200 else ():
            self.request_ok("DELETE", "/containers/%s?force=1&v=1" % container["Id"])
        answer = self.request("GET", "/volumes")
        for volume in (answer.json["Volumes"] or ()) if answer.status == 200 else ():
            self.request_ok("DELETE", "/volumes/%s?force=1" % volume["Name"])

    def request_ok(self, method, path, body=None):
        """Without the dumps of api()."""
        answer = self.request(method, path, body)
        assert answer.status < 300, "%s %s: %r" % (method, path, answer)

    def finish(self, baseline):
        """What every test ends with. baseline: the dump after the first start."""
        assert self.daemon, "the test left the host without its daemon"
        self.wait_healed()
        result = self.run(program(COMMAND), "doctor", check=False)
        assert result.rc == 0 and (result.out == "" or self.notes), repr(result)
        self.clear()
        changed = dump.difference(lasting(baseline), lasting(self.dump()))
        assert not changed, "left behind after everything was removed:\n" + changed
        self.stop()
        self.tear_down()

    def tear_down(self):
        """cnmd --teardown, after which nothing of cnm is left in kernel or /run."""
        self.run(program(DAEMON), *self.own_options(), *self.started[0], "--teardown")
        wait_for(lambda: not self.processes(), lambda: "no process left: %r" % self.processes())
        left = dump.take(self)
        assert not dump.pins(self.root), "pinned namespaces left: %r" % dump.pins(self.root)
        assert [line.split()[0] for line in left["links"]] == ["lo", "up0"], left["links"]
        assert left["nft"] == [] or all("cnm" not in line for line in left["nft"]), left["nft"]
        assert not [m for m in left["mounts"] if "net:[" in m], left["mounts"]
        assert not [m for m in left["mounts"] if "/cnm/" in m], left["mounts"]
        assert not self.cgroups(), "control groups left: %r" % self.cgroups()
        files = [line for line in left["files"] if line.startswith("/run/cnm/")]
        assert not files, "files left: %r" % files

    def close(self):
        """End everything, whatever became of the test."""
        for view in self.leftovers:
            view.close()
        if self.daemon:
            self.daemon.kill()
            self.ended()
        wait_for(lambda: not self.kill_all(), "no process left")
        for folder in self.cgroups():
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        self.lan.end()
        self.holder.end()

    def kill_all(self):
        """Everything that runs on this host; what it was."""
        found = self.processes()
        for pid, _ in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return found


# What is made when it is first needed and then stays: folders, forwarding of a family.
STANDING = re.compile(r"^(/run/cnm/sandboxes drwx|/run/crun drwx|/run/netns drwx|/netns on /run/netns$"
                      r"|meta key=(forward[46]-boot|boot-id) |map inet \w+ foreign elem "
                      r"|.* on /proc/sys/kernel/random/boot_id$)")


def without_standing(taken):
    return {section: [line for line in lines if not STANDING.match(line)]
            for section, lines in taken.items() if section != "sysctls"}


def lasting(taken):
    """A dump without what the first network or sandbox leaves standing, without where the address
    walk of a predefined network is, when an image got its name, and the numbers of links, which repair
    changes."""
    out = without_standing(taken)
    out["rows"] = [re.sub(r'"cursor": ?"[^"]*",? ?|"Tagged": ?\d+', "", line) for line in out["rows"]]
    for section in out:
        if section.endswith("links"):
            out[section] = [re.sub(r" idx=\d+", "", line) for line in out[section]]
    return out


# The stock client of Docker 20.10, by tools/setup test.
DOCKER_20 = os.path.join(TOP, "build", "debs", "docker.io", "usr", "bin", "docker")


def docker_client():
    """The stock client on the PATH, else the unpacked one, else None."""
    for folder in PATH.split(":"):
        if os.access(os.path.join(folder, "docker"), os.X_OK):
            return os.path.join(folder, "docker")
    return DOCKER_20 if os.path.exists(DOCKER_20) else None


def quote(ref):
    return urllib.parse.quote(ref, safe="")
