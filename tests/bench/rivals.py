# SPDX-License-Identifier: LGPL-2.1-or-later
"""Docker and Podman beside cnm: the same requests over their own APIs, in turn with ours, each in a
host of its own. Their Debian packages are unpacked below build/debs and never installed; nothing of
theirs outlives the host."""
import glob
import json
import os
import subprocess
import time

from cnm import PAUSE, Engine
from host import PATH, PATIENCE, Client, Failed, Host, Program, processes, resident

COMMON = ["runc", "busybox-static", "iptables", "libip4tc2", "libip6tc2", "libxtables12",
          "libnetfilter-conntrack3", "libnfnetlink0", "libdevmapper1.02.1", "libseccomp2"]
CONTAINERS_CONF = """\
[network]
network_backend = "netavark"
network_config_dir = "/run/networks"
[engine]
helper_binaries_dir = ["{debs}/netavark/usr/lib/podman", "{debs}/aardvark-dns/usr/lib/podman"]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
[containers]
log_driver = "k8s-file"
[engine.runtimes]
runc = ["{debs}/runc/usr/sbin/runc"]
"""
STORAGE_CONF = """\
[storage]
driver = "vfs"
runroot = "/run/containers"
graphroot = "/var/lib/containers"
"""


class Rival:
    """A host with a rival's daemon in it, and an image of nothing but busybox."""

    PACKAGES = []
    PROGRAMS = ()  # those whose memory counts
    API = ""
    LAZY = ""      # said of its networks
    BUSYBOX = "/busybox"  # in the image

    def __init__(self, paths):
        self.paths = paths
        self.debs = os.path.join(paths.top, "build", "debs")
        self.unpack()
        self.host = Host(self.NAME)
        self.programs, self.client = [], None
        try:
            self.furnish()
            self.socket = self.host.root + "/run/rival.sock"
            self.launch()
            self.client = Client(paths.tool("client"), self.socket)
            self.await_answer()
            self.import_image()
        except BaseException:
            self.end()
            raise

    def unpack(self):
        done = subprocess.run([os.path.join(self.paths.top, "tools", "setup"), "unpack", *COMMON,
                               *self.PACKAGES], capture_output=True, text=True)
        if done.returncode:
            raise Failed("can't unpack its packages: " + done.stderr.strip().rsplit("\n", 1)[-1])

    def furnish(self):
        """iptables, as the distribution would have set them up."""
        self.host.run("sh", "-ec", """
            mkdir /run/bin
            for name in iptables ip6tables; do
                for suffix in "" -save -restore; do
                    ln -s %s/iptables/usr/sbin/xtables-nft-multi /run/bin/$name$suffix
                done
            done
            """ % self.debs)

    def environment(self, *packages):
        folders = [os.path.join(self.debs, package, folder) for package in ("runc", *packages)
                   for folder in ("usr/sbin", "usr/bin")]
        libraries = glob.glob(self.debs + "/lib*/usr/lib/*-linux-gnu") + glob.glob(
            self.debs + "/lib*/lib/*-linux-gnu")
        extensions = glob.glob(self.debs + "/*/usr/lib/*-linux-gnu/xtables")
        return {"PATH": ":".join(["/run/bin", *folders, PATH]), "HOME": "/run",
                "LD_LIBRARY_PATH": ":".join(libraries), "XTABLES_LIBDIR": ":".join(extensions)}

    def start_program(self, argv, env):
        program = Program(self.host, argv, os.path.join(self.paths.scratch, argv[0] + ".log"), env)
        program.go()
        self.programs.append(program)
        return program

    def await_answer(self):
        self.client.tell("retry GET /_ping")
        if self.client.answer()[0] != 200:
            raise Failed("it does not start here: " + self.programs[-1].why())

    def busybox(self):
        folder = os.path.join(self.debs, "busybox-static", "bin")
        archive = os.path.join(self.host.root, "run", "image.tar")
        subprocess.run(["tar", "-C", folder, "-cf", archive, "busybox"], check=True)

    def end(self):
        if self.client:
            self.client.end()
        for program in self.programs:
            program.shell.stdin.close()
        self.host.end()
        for program in self.programs:
            program.shell.wait()

    # -------------------------------------------------------------------- requests, in ms

    def create_network(self, name):
        return self.client.time('POST %s/networks/create {"Name":"%s"}' % (self.API, name))

    def remove_network(self, name):
        return self.client.time("DELETE %s/networks/%s" % (self.API, name))

    def create_container(self, name, network):
        return self.client.time(
            'POST %s/containers/create?name=%s {"Image":"%s","Cmd":["/busybox","sleep","1000"],'
            '"HostConfig":{"NetworkMode":"%s","CgroupParent":"%s"}}'
            % (self.API, name, self.IMAGE, network, self.host.cgroup))

    def start_container(self, name):
        return self.client.time("POST %s/containers/%s/start" % (self.API, name))

    def join(self, verb, network, name):
        return self.client.time('POST %s/networks/%s/%s {"Container":"%s"}' % (
            self.API, network, verb, name))

    def connect(self, network, name):
        return self.join("connect", network, name)

    def disconnect(self, network, name):
        return self.join("disconnect", network, name)

    def endpoint(self, name, network):
        """Of a container that runs: the path of its namespace, and its EndpointSettings."""
        found = json.loads(self.client.ask("GET %s/containers/%s/json" % (self.API, name))[1])
        settings = found["NetworkSettings"]
        return self.host.root + settings["SandboxKey"], settings["Networks"][network]

    def resident(self):
        pids = processes(self.host, *self.PROGRAMS)
        return resident(pids), len(pids)


class Docker(Rival):
    NAME = "Docker"
    PACKAGES = ["docker.io", "containerd"]
    PROGRAMS = ("dockerd", "containerd")
    IMAGE = "busybox"

    def launch(self):
        env = self.environment("docker.io", "containerd")
        env["DOCKER_RAMDISK"] = "1"  # no pivot_root from a RAM disk
        self.start_program(["containerd", "--root", "/var/lib/containerd", "--state",
                            "/run/containerd", "--address", "/run/containerd.sock", "-l", "error"],
                           env)
        end = time.monotonic() + PATIENCE
        while not os.path.exists(self.host.root + "/run/containerd.sock"):
            if time.monotonic() > end:
                raise Failed("containerd does not start here: " + self.programs[-1].why())
            time.sleep(0.01)
        self.start_program(["dockerd", "-H", "unix:///run/rival.sock", "--containerd",
                            "/run/containerd.sock", "--storage-driver", "overlay2", "--data-root",
                            "/var/lib/docker", "--exec-root", "/run/docker", "--pidfile",
                            "/run/docker.pid", "-l", "error", *self.options()], env)

    def options(self):
        return []

    def import_image(self):
        self.busybox()
        self.host.run("docker", "-H", "unix:///run/rival.sock", "import", "/run/image.tar",
                      self.IMAGE, env=self.environment("docker.io"))


class Podman(Rival):
    NAME = "Podman"
    PACKAGES = ["podman", "conmon", "netavark", "aardvark-dns", "golang-github-containers-common",
                "libgpgme11", "libassuan0", "libgpg-error0", "libsubid4", "libglib2.0-0"]
    PROGRAMS = ("podman", "aardvark-dns")
    API = "/v1.40"
    IMAGE = "localhost/busybox:latest"
    LAZY = " (Podman writes or deletes a file)"

    def write(self, path, text):
        path = self.host.root + path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)

    def launch(self):
        self.write("/run/containers.conf", CONTAINERS_CONF.format(debs=self.debs))
        self.write("/run/storage.conf", STORAGE_CONF)
        self.write("/run/registries.conf", "unqualified-search-registries = []\n")
        self.write("/run/.config/containers/policy.json",
                   '{"default": [{"type": "insecureAcceptAnything"}]}\n')
        self.env = self.environment("podman", "conmon")
        self.env.update(CONTAINERS_CONF="/run/containers.conf", TMPDIR="/run",
                        CONTAINERS_STORAGE_CONF="/run/storage.conf",
                        CONTAINERS_REGISTRIES_CONF="/run/registries.conf")
        self.start_program(["podman", "system", "service", "-t", "0", "unix:///run/rival.sock"],
                           self.env)

    def import_image(self):
        self.busybox()
        self.host.run("podman", "import", "-q", "/run/image.tar", self.IMAGE, env=self.env)


def take_turns(n, ours, theirs):
    """n pairs of what two functions of a number return."""
    pairs = []
    for i in range(n):
        a = ours(i)
        time.sleep(PAUSE)
        pairs.append((a, theirs(i)))
        time.sleep(PAUSE)
    return pairs


def compare(engine, rival, table, quick):
    n = 5 if quick else 20
    mine, theirs = engine.resident(), rival.resident()
    names = ("cnm", rival.NAME)

    table.pairs("network create" + rival.LAZY, take_turns(
        n, lambda i: engine.create_network("n%d" % i),
        lambda i: rival.create_network("n%d" % i)), None, names)
    for i in range(n):
        rival.create_container("c%d" % i, "n0")
    table.pairs("sandbox create, by the start of a container", take_turns(
        n, lambda i: engine.create_sandbox("c%d" % i, "n0"),
        lambda i: rival.start_container("c%d" % i)), None, names)
    table.pairs("connect", take_turns(
        n, lambda i: engine.connect("n1", "c%d" % i),
        lambda i: rival.connect("n1", "c%d" % i)), None, names)
    table.pairs("disconnect", take_turns(
        n, lambda i: engine.disconnect("n1", "c%d" % i),
        lambda i: rival.disconnect("n1", "c%d" % i)), None, names)
    table.pairs("network rm" + rival.LAZY, take_turns(
        n - 1, lambda i: engine.remove_network("n%d" % (i + 1)),
        lambda i: rival.remove_network("n%d" % (i + 1))), None, names)
    table.line("resident memory of the daemons, just started", "",
               "%.3fx" % (mine[0] / theirs[0]), "", "cnm %.1f MB, %s %.1f MB (%s)" % (
                   mine[0], rival.NAME, theirs[0], ", ".join(rival.PROGRAMS)))


def measure(kind, paths, table, quick):
    table.title("%s (Debian 12), over its own API, beside cnm" % kind.NAME)
    rival = kind(paths)
    try:
        engine = Engine(paths)
        try:
            compare(engine, rival, table, quick)
        finally:
            engine.end()
    finally:
        rival.end()


def measure_docker(paths, table, quick):
    measure(Docker, paths, table, quick)


def measure_podman(paths, table, quick):
    measure(Podman, paths, table, quick)


SECTIONS = {
    "docker": measure_docker,
    "podman": measure_podman,
}
