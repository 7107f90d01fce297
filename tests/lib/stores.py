# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real stores for clusters: etcd, Consul and ZooKeeper, as tools/setup unpacks them below build/debs.

    with stores.start("etcd", netns, folder) as store:
        store.url("prefix")              what --cluster-store takes
        store.kill(); store.start()      the same data; wipe() between makes it forget

A store is one member, or several in one namespace. Each runs in the network namespace given (a
descriptor), on an address that is there already, with its data and its log below a folder of the
test. All ends with close(), which the `with` calls. What is not unpacked skips the test."""
import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request

import harness
import netlink

DEBS = os.path.join(harness.TOP, "build", "debs")
KINDS = ("etcd", "consul", "zookeeper")
JAVA = "openjdk-17-jre-headless/usr/lib/jvm/java-17-openjdk-amd64/bin/java"
JARS = [package + "/usr/share/java/" + name + ".jar" for package, name in (
    ("libzookeeper-java", "zookeeper"), ("libzookeeper-java", "zookeeper-jute"),
    ("libslf4j-java", "slf4j-api"), ("libslf4j-java", "slf4j-simple"),
    ("libdropwizard-metrics-java", "metrics-core"), ("libsnappy-java", "snappy-java"))]
WAYS = {"etcd": "etcd-server/usr/bin/etcd", "consul": "consul/usr/bin/consul", "zookeeper": JAVA}
# What a store may take until it answers, on a machine that is busy.
PATIENCE = 60 * harness.SLOW


def missing(kind):
    """Why there is no such store here, or None."""
    needed = [WAYS[kind]] + (JARS if kind == "zookeeper" else [])
    for path in needed:
        if not os.path.exists(os.path.join(DEBS, path)):
            return "no %s: build/debs/%s is not there (tools/setup test gets it; Consul is only in " \
                "Debian 11, where this machine's mirror may not have it)" % (kind, path)
    return None


def require(kind):
    why = missing(kind)
    if why:
        import pytest  # not of who only measures
        pytest.skip(why)


def program(path):
    return os.path.join(DEBS, path)


class Certificates:
    """A CA, and a certificate by it that serves as server's and as client's, made by openssl."""

    def __init__(self, folder, *addresses):
        self.folder = folder
        os.makedirs(folder)
        self.ca, self.cert, self.key = self.path("ca.pem"), self.path("cert.pem"), self.path("key.pem")
        with open(self.path("names"), "w") as f:
            f.write("subjectAltName=" + ",".join(["DNS:localhost"] + ["IP:" + a for a in addresses]))
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        self.openssl("req", "-x509", *key, "-days", "30", "-subj", "/CN=test CA",
                     "-keyout", self.path("ca.key"), "-out", self.ca)
        self.openssl("req", *key, "-subj", "/CN=store", "-keyout", self.key, "-out", self.path("csr"))
        self.openssl("x509", "-req", "-in", self.path("csr"), "-CA", self.ca,
                     "-CAkey", self.path("ca.key"), "-CAcreateserial", "-days", "30",
                     "-extfile", self.path("names"), "-out", self.cert)

    def path(self, name):
        return os.path.join(self.folder, name)

    def openssl(self, *args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=60)

    def context(self):
        made = ssl.create_default_context(cafile=self.ca)
        made.load_cert_chain(self.cert, self.key)
        return made


class Member:
    """One server. Subclasses say what runs, and how it is asked whether it serves."""
    port = None

    def __init__(self, store, address, number):
        self.store, self.address, self.number = store, address, number
        self.folder = os.path.join(store.folder, "member-%d" % number)
        self.data = os.path.join(self.folder, "data")
        os.makedirs(self.folder)
        self.log_path = os.path.join(self.folder, "log")
        self.process = None
        self.paused = False

    @property
    def name(self):
        return "%s:%d" % ("[%s]" % self.address if ":" in self.address else self.address, self.port)

    def start(self, wait=True):
        assert not self.process
        os.makedirs(self.data, exist_ok=True)
        argv = self.command()
        with open(self.log_path, "ab") as log, netlink.inside(self.store.netns):
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.folder, env=self.environment())
        if wait:
            self.wait()
        return self

    def environment(self):
        return {"PATH": harness.PATH, "GOMAXPROCS": "1"}

    def wait(self):
        harness.wait_for(self.is_serving, lambda: "%s serves:\n%s" % (self.name, self.log()),
                         timeout=PATIENCE, every=0.05)

    def is_serving(self):
        assert self.process.poll() is None, "%s ended:\n%s" % (self.name, self.log())
        try:
            return self.answers()
        except (OSError, ValueError):
            return False

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()[-4000:]

    def _end(self, number):
        process, self.process = self.process, None
        self.resume(process)
        process.send_signal(number)
        process.wait(timeout=PATIENCE)

    def stop(self):
        """As the system would."""
        self._end(signal.SIGTERM)

    def kill(self):
        self._end(signal.SIGKILL)

    def pause(self):
        """It is there, takes connections (the kernel does), and says nothing."""
        self.process.send_signal(signal.SIGSTOP)
        harness.wait_for(self.stands_still, "%s stands still" % self.name)
        self.paused = True

    def stands_still(self):
        """A thread may still answer while others have stopped."""
        states = []
        for path in glob.glob("/proc/%d/task/*/stat" % self.process.pid):
            with contextlib.suppress(OSError), open(path) as f:
                states.append(f.read().rsplit(")", 1)[1].split()[0])
        return states and set(states) == {"T"}

    def resume(self, process=None):
        if self.paused:
            (process or self.process).send_signal(signal.SIGCONT)
        self.paused = False

    def wipe(self):
        """Forgets everything; while it is not running."""
        assert not self.process
        shutil.rmtree(self.data, ignore_errors=True)

    def close(self):
        if self.process:
            self.kill()

    def http(self, path, body=None, method=None):
        """What it answers, by HTTP or HTTPS, in its namespace."""
        tls = self.store.certificates
        request = urllib.request.Request("%s://%s%s" % ("https" if tls else "http", self.name, path),
                                         data=body, method=method)
        handlers = [urllib.request.ProxyHandler({})]
        if tls:
            handlers.append(urllib.request.HTTPSHandler(context=tls.context()))
        with netlink.inside(self.store.netns):
            with urllib.request.build_opener(*handlers).open(request, timeout=5) as answer:
                return answer.read()


class Etcd(Member):
    port = 2379

    def peer(self):
        return "http://" + self.name.rsplit(":", 1)[0] + ":2380"

    def command(self):
        scheme = "https" if self.store.certificates else "http"
        own = "%s://%s" % (scheme, self.name)
        argv = [program(WAYS["etcd"]), "--name", "m%d" % self.number, "--data-dir", self.data,
                "--listen-client-urls", own, "--advertise-client-urls", own,
                "--listen-peer-urls", self.peer(), "--initial-advertise-peer-urls", self.peer(),
                "--initial-cluster", ",".join("m%d=%s" % (m.number, m.peer())
                                              for m in self.store.members),
                "--logger", "zap", "--log-level", "warn", *self.store.extra]
        tls = self.store.certificates
        if tls:
            argv += ["--client-cert-auth", "--trusted-ca-file", tls.ca, "--cert-file", tls.cert,
                     "--key-file", tls.key]
        return argv

    def answers(self):
        return json.loads(self.http("/health"))["health"] == "true"

    def call(self, path, **body):
        return json.loads(self.http("/v3/" + path, json.dumps(body).encode()))

    def compact(self):
        """All history up to now is forgotten."""
        revision = int(self.call("kv/range", key="AA==")["header"]["revision"])
        self.call("kv/compaction", revision=str(revision), physical=True)


class Consul(Member):
    port = 8500

    def command(self):
        tls = self.store.certificates
        ports = {"dns": -1, "grpc": -1, "serf_wan": -1,
                 "http": -1 if tls else self.port, "https": self.port if tls else -1}
        config = {"server": True, "bootstrap": True, "node_name": "m%d" % self.number,
                  "bind_addr": self.address, "client_addr": self.address, "data_dir": self.data,
                  "ports": ports, "log_level": "warn", "disable_update_check": True,
                  "performance": {"raft_multiplier": 1}, "leave_on_terminate": False}
        if tls:
            config.update(ca_file=tls.ca, cert_file=tls.cert, key_file=tls.key,
                          verify_incoming_https=True)
        path = os.path.join(self.folder, "consul.json")
        with open(path, "w") as f:
            json.dump(config, f)
        return [program(WAYS["consul"]), "agent", "-config-file", path]

    def answers(self):
        """Sessions are made only when its own node is known, which is after it has a leader."""
        return json.loads(self.http("/v1/status/leader")) != "" and \
            json.loads(self.http("/v1/catalog/nodes")) != []


class ZooKeeper(Member):
    port = 2181

    def command(self):
        path = os.path.join(self.folder, "zoo.cfg")
        with open(path, "w") as f:
            f.write("dataDir=%s\nclientPortAddress=%s\nclientPort=%d\ntickTime=500\nmaxClientCnxns=0\n"
                    "admin.enableServer=false\n4lw.commands.whitelist=srvr\n" % (
                        self.data, self.address, self.port))
        return [program(JAVA), "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-cp", ":".join(program(jar) for jar in JARS),
                "org.apache.zookeeper.server.quorum.QuorumPeerMain", path]

    def answers(self):
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with netlink.inside(self.store.netns):
            sock = socket.socket(family, socket.SOCK_STREAM)
        with sock:
            sock.settimeout(5)
            sock.connect((self.address, self.port))
            sock.sendall(b"srvr")
            with sock.makefile("rb") as f:
                return b"Mode:" in f.read()


MEMBERS = {"etcd": Etcd, "consul": Consul, "zookeeper": ZooKeeper}


class Store:
    """Its members; what is done to all is done to each."""

    def __init__(self, kind, netns, folder, addresses=("127.0.0.1",), tls=False, extra=()):
        assert (len(addresses) == 1 and not extra) or kind == "etcd", "several members, options: etcd only"
        assert not tls or kind != "zookeeper", "no TLS: the client library has none"
        self.kind, self.netns, self.folder = kind, netns, os.path.join(str(folder), kind)
        os.makedirs(self.folder)
        self.extra = list(extra)  # options of its servers
        self.certificates = Certificates(os.path.join(self.folder, "tls"), *addresses) if tls else None
        self.members = []
        self.members += [MEMBERS[kind](self, a, i) for i, a in enumerate(addresses)]

    def url(self, prefix="", first=()):
        """first: HOST:PORT of others, asked before the members."""
        return "%s://%s%s" % (self.kind, ",".join([*first, *(m.name for m in self.members)]),
                              "/" + prefix if prefix else "")

    def start(self):
        for member in self.members:
            member.start(wait=False)
        for member in self.members:
            member.wait()
        return self

    def _each(self, what):
        for member in self.members:
            getattr(member, what)()

    def stop(self):
        self._each("stop")

    def kill(self):
        self._each("kill")

    def pause(self):
        self._each("pause")

    def resume(self):
        self._each("resume")

    def wipe(self):
        self._each("wipe")

    def restart(self, wipe=False):
        """Killed and started; with wipe, it has forgotten everything."""
        self.kill()
        if wipe:
            self.wipe()
        self.start()

    def save(self):
        """A backup, for which it is stopped; replaces the one before."""
        self._each("stop")
        for member in self.members:
            shutil.rmtree(member.data + ".saved", ignore_errors=True)
            shutil.copytree(member.data, member.data + ".saved")
        self.start()

    def restore(self):
        """While it is not running: what was saved is what it has."""
        self._each("wipe")
        for member in self.members:
            shutil.copytree(member.data + ".saved", member.data)

    def close(self):
        self._each("close")


@contextlib.contextmanager
def start(kind, netns, folder, **how):
    """A store that serves. how: as for Store."""
    require(kind)
    store = Store(kind, netns, folder, **how)
    try:
        store.start()
        yield store
    finally:
        store.close()
