# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plugins of a test's host: plugin_program.py, started there, and what it was asked."""
import contextlib
import json
import os
import subprocess
import sys

import harness

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plugin_program.py")
PYTHON = "/usr/bin/python3"
NETWORK, IPAM = "NetworkDriver", "IpamDriver"


class Plugin:
    def __init__(self, host, name, roles=(NETWORK,), listen=None, **settings):
        """listen: a path on the host, or HOST:PORT; settings: see plugin_program.py."""
        self.host, self.name = host, name
        self.config = os.path.join(host.folder, name + ".plugin.json")
        self.log = os.path.join(host.folder, name + ".plugin.log")
        self.listen = listen or "/run/docker/plugins/%s.sock" % name
        self.process = None
        self.said = open(os.path.join(host.folder, name + ".plugin.err"), "ab")
        with open(self.config, "w") as f:
            json.dump(dict(settings, listen=self.listen, log=self.log, roles=roles), f)
        self.forget()
        self.start()

    def start(self):
        self.process = self.host.popen(PYTHON, PROGRAM, self.config, stdin=subprocess.DEVNULL,
                                       stdout=self.said, stderr=self.said)
        harness.wait_for(self.answers, "plugin %s answers" % self.name)

    def answers(self):
        assert self.process.poll() is None, "plugin %s ended" % self.name
        return self.connects()

    def connects(self):
        family, where = ("unix", repr(self.listen)) if self.listen.startswith("/") else (
            "inet", "(%r, %s)" % tuple(self.listen.rsplit(":", 1)))
        return self.host.run(PYTHON, "-c", "import socket; s = socket.socket(socket.AF_%s); s.connect(%s)" % (
            family.upper(), where), check=False).rc == 0

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        self.said.close()
        with contextlib.suppress(OSError):
            os.unlink(self.config + ".orders")
        if self.listen.startswith("/"):
            self.host.run("sh", "-c", 'rm -f "$1"; cd /run; rmdir -p "${2#/run/}" 2>/dev/null; true', "sh", self.listen,
                          os.path.dirname(self.listen))

    def orders(self, **orders):
        """By the method without its role's name: Join={"error": "..."}."""
        path = self.config + ".orders"
        with open(path + ".test", "w") as f:
            json.dump({self.full(m): o for m, o in orders.items()}, f)
        os.rename(path + ".test", path)

    @staticmethod
    def full(method):
        if method == "Activate":
            return "Plugin.Activate"
        return (IPAM if "Pool" in method or "Address" in method else NETWORK) + "." + method

    def calls(self, method=None):
        """[(method, what was asked)], or what one method was asked."""
        with open(self.log) as f:
            lines = [json.loads(line) for line in f]
        return [l[1] for l in lines if l[0].endswith("." + method)] if method else [(l[0], l[1]) for l in lines]

    def forget(self):
        open(self.log, "w").close()

    def methods(self):
        return [m.split(".")[1] for m, _ in self.calls() if not m.endswith((".Activate", ".GetCapabilities"))]


@contextlib.contextmanager
def running(host, name, **how):
    plugin = Plugin(host, name, **how)
    try:
        yield plugin
    finally:
        plugin.close()
        if sys.exc_info()[0]:
            sys.stderr.write(open(plugin.said.name).read()[-4000:])


def state(host, name):
    """What cnm says of a plugin."""
    return {p["Name"]: p for p in host.get("/cnm/v1/plugins")}.get(name)
