# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is true: a host with Docker's own daemon (dockerd 20.10 of Debian 12, unpacked below
build/debs and never installed) where cnmd would be. With CNM_TRUTH=1 in the environment the tests of
containers and images run against it, which says whether what they expect is what Docker does; those
that are about cnm alone are left out.

    tools/setup test
    CNM_TRUTH=1 python3 -m pytest tests/host/test_container_*.py
"""
import contextlib
import glob
import os
import signal
import subprocess

import harness

DEBS = os.path.join(harness.TOP, "build", "debs")
ASKED = bool(os.environ.get("CNM_TRUTH"))


def path_of(*packages):
    return ":".join(["/run/bin", *(os.path.join(DEBS, package, folder) for package in packages
                                   for folder in ("usr/sbin", "usr/bin")), harness.PATH])


def libraries(*folders):
    return ":".join(found for folder in folders for found in glob.glob(os.path.join(DEBS, folder)))


def furnish_iptables(host):
    """The unpacked ones, by the names that a distribution gives them."""
    host.run("sh", "-ec", """
        mkdir -p /run/bin
        for name in iptables ip6tables; do
            for suffix in "" -save -restore; do
                ln -s %s/iptables/usr/sbin/xtables-nft-multi /run/bin/$name$suffix
            done
        done""" % DEBS)


def busybox_root(folder):
    """The tree of an image like Docker's busybox, made of the machine's static busybox."""
    os.makedirs(os.path.join(folder, "bin"))
    subprocess.run(["cp", "/bin/busybox", folder + "/bin/busybox"], check=True)
    applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True)
    for applet in applets.stdout.split():
        if applet != "busybox":
            os.symlink("busybox", os.path.join(folder, "bin", applet))
    for name in ("etc", "root", "tmp", "home", "dev", "proc", "sys", "var"):
        os.mkdir(os.path.join(folder, name))
    os.chmod(folder + "/tmp", 0o1777)
    with open(folder + "/etc/passwd", "w") as f:
        f.write("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n")
    with open(folder + "/etc/group", "w") as f:
        f.write("root:x:0:\nnobody:x:65534:\n")


class TrueHost(harness.Host):
    """The parts of harness.Host that tests of containers use, on dockerd."""

    def start(self, *options, wait=True, env=None, binary=None):
        fresh = self.started is None
        self.started = options, env, binary
        if fresh:
            self.compare = False
            self.run("mkdir", "-p", "/run/cnm")
            furnish_iptables(self)
        self.log = open(self.log_path, "ab")
        self.containerd = self._launch(
            "containerd", "--root", "/var/lib/containerd", "--state", "/run/containerd",
            "--address", "/run/containerd.sock", "-l", "error")
        harness.wait_for(lambda: os.path.exists(self.root + "/run/containerd.sock"), "containerd")
        self.daemon = self._launch(
            "dockerd", "-H", "unix:///run/cnm/cnm.sock", "--containerd", "/run/containerd.sock",
            "--storage-driver", "overlay2", "--data-root", "/var/lib/docker", "--exec-root",
            "/run/docker", "--pidfile", "/run/docker.pid", "--cgroup-parent", self.cgroup,
            "--live-restore", "-l", "error")
        self.wait_ready()
        if fresh:
            self._busybox()

    def _launch(self, *argv):
        return self.popen(*argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env={
            "PATH": path_of("docker.io", "containerd", "runc"), "DOCKER_RAMDISK": "1",
            "LD_LIBRARY_PATH": libraries("lib*/usr/lib/*-linux-gnu", "lib*/lib/*-linux-gnu"),
            "XTABLES_LIBDIR": libraries("*/usr/lib/*-linux-gnu/xtables")})

    def _busybox(self):
        folder = os.path.join(self.folder, "busybox")
        busybox_root(folder)
        archive = os.path.join(self.folder, "busybox.tar")
        subprocess.run(["tar", "-C", folder, "-cf", archive, "."], check=True)
        self.docker("import", "-c", 'CMD ["sh"]', archive, "busybox:latest", check=True)

    def own_options(self):
        return []

    def ended(self, timeout=harness.PATIENCE):
        rc = super().ended(timeout)
        self.containerd.terminate()
        self.containerd.wait(timeout)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.root + "/run/containerd.sock")
        return rc

    def stop(self):
        self.daemon.send_signal(signal.SIGTERM)
        self.ended()

    def dump(self):
        return {}

    def finish(self, baseline):
        pass

    def wait_healed(self, timeout=5 * harness.SLOW):
        pass

    def close(self):
        self.kill_all()
        super().close()
