# SPDX-License-Identifier: LGPL-2.1-or-later
"""Docker's own daemon (docker.io of Debian 12, unpacked below build/debs and never installed) on a host
beside cnmd, whose plugins it uses.

    daemon = Dockerd(host)
    daemon.start()
    daemon("run", "-d", "--name", "con1", "busybox", "sleep", "1000")

It has the image busybox, and no link of its own but docker0 and what its networks need."""
import contextlib
import json
import os
import subprocess

import harness
import truth

SOCKET = "/run/dockerd.sock"


class Dockerd:
    def __init__(self, host):
        self.host, self.process, self.containerd = host, None, None
        self.log_path = os.path.join(host.folder, "dockerd.log")

    # ------------------------------------------------------------------ the daemon

    def start(self, *options):
        """The first time with containerd, which outlives it."""
        fresh = self.containerd is None
        if fresh:
            truth.furnish_iptables(self.host)
        self.log = open(self.log_path, "ab")
        if fresh:
            self.containerd = self._launch(
                "containerd", "--root", "/var/lib/containerd", "--state", "/run/containerd",
                "--address", "/run/containerd.sock", "-l", "error")
            harness.wait_for(lambda: os.path.exists(self.host.root + "/run/containerd.sock"), "containerd")
        self.process = self._launch(
            "dockerd", "-H", "unix://" + SOCKET, "--containerd", "/run/containerd.sock",
            "--storage-driver", "overlay2", "--data-root", "/var/lib/docker", "--exec-root",
            "/run/docker", "--pidfile", "/run/docker.pid", "--cgroup-parent", self.host.cgroup,
            "-l", "warn", *options)
        harness.wait_for(lambda: self("version").rc == 0, lambda: "dockerd: " + self.log_text()[-2000:],
                         timeout=3 * harness.PATIENCE)
        if fresh:
            self._busybox()

    def _launch(self, *argv):
        return self.host.popen(*argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env={
            "PATH": truth.path_of("docker.io", "containerd", "runc"), "DOCKER_RAMDISK": "1",
            "LD_LIBRARY_PATH": truth.libraries("lib*/usr/lib/*-linux-gnu", "lib*/lib/*-linux-gnu"),
            "XTABLES_LIBDIR": truth.libraries("*/usr/lib/*-linux-gnu/xtables")})

    def _busybox(self):
        folder = os.path.join(self.host.folder, "busybox")
        truth.busybox_root(folder)
        archive = os.path.join(self.host.folder, "busybox.tar")
        subprocess.run(["tar", "-C", folder, "-cf", archive, "."], check=True)
        self.say("import", "-c", 'CMD ["sh"]', archive, "busybox:latest")

    def kill9(self):
        self.process.kill()
        self._ended()

    def stop(self):
        self.process.terminate()
        self._ended()

    def _ended(self):
        self.process.wait(3 * harness.PATIENCE)
        self.process = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.host.root + SOCKET)

    def log_text(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    # ------------------------------------------------------------------ what a user types

    def __call__(self, *argv, timeout=2 * harness.DEADLINE):
        client = harness.DOCKER_20 if os.path.exists(harness.DOCKER_20) else harness.docker_client()
        return self.host.run(client, *argv, check=False, timeout=timeout,
                             env={"DOCKER_HOST": "unix://" + SOCKET})

    def say(self, *argv, **how):
        """What a command that succeeds says."""
        result = self(*argv, **how)
        assert result.rc == 0, "%r\n%s" % (result, self.log_text()[-2000:])
        return result.out.strip()

    def refuses(self, *argv):
        """What the user is told."""
        result = self(*argv)
        assert result.rc != 0, repr(result)
        return result.err.strip()

    def run(self, name, network, *more):
        """A container that stays; its id."""
        return self.say("run", "-d", "--stop-signal", "KILL", "--name", name, "--network", network, *more, "busybox", "sleep", "100000")

    def address(self, name, network, key="IPAddress"):
        found = json.loads(self.say("inspect", "-f", "{{json .NetworkSettings.Networks}}", name))
        return found[network][key]

    def reaches(self, name, target):
        """A container another, by name or address; soon."""
        harness.wait_for(lambda: self("exec", name, "ping", "-c1", "-W1", target).rc == 0,
                         lambda: "%s reaches %s: %r" % (name, target, self("exec", name, "ip", "addr")))
        return True

    def can_reach(self, name, target):
        return self("exec", name, "ping", "-c1", "-W1", target).rc == 0


def left(host):
    """What cnm has, and its links."""
    links = [link["ifname"] for link in json.loads(host.run("ip", "-j", "link").out)]
    return (sorted(n["Name"] for n in host.get("/networks")),
            [e["Name"] for e in host.get("/cnm/v1/endpoints")],
            [s["Name"] for s in host.get("/cnm/v1/sandboxes")],
            sorted(name for name in links if name.startswith(("dk", "veth", "br-"))))


# ------------------------------------------------------------- the protocol itself

NETWORK, ENDPOINT = "ab" * 32, "cd" * 32


def call(host, method, body=None, plugin="cnm", raw=None, status=200):
    """One of Docker's calls to cnm's plugin, as dockerd makes it."""
    connection = harness._UnixConnection(host.root + "/run/docker/plugins/%s.sock" % plugin, harness.DEADLINE)
    with contextlib.closing(connection):
        connection.request("POST", "/" + method, raw if raw is not None else json.dumps(body or {}).encode())
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == status, (method, answer.status, text)
        return json.loads(text)


def ok(host, method, body, **how):
    """The answer to a call that succeeds."""
    answer = call(host, method, body, **how)
    assert "Err" not in answer, (method, body, answer)
    return answer
