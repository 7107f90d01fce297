# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/DRIVERS.md keeps its word on plugins: the program on the page, as it stands there, does what the page says."""
import os
import re
import shlex
import subprocess

import pytest

import harness

PAGE = os.path.join(harness.TOP, "docs", "DRIVERS.md")
SOCKET = "/run/cnm/plugins/patch.sock"


def section(title):
    text = open(PAGE, encoding="utf-8").read()
    return re.search(r"^## %s\n(.*?)(?=^## |\Z)" % title, text, re.M | re.S).group(1)


@pytest.fixture
def program(host, tmp_path):
    code = re.search(r"^```python\n(.*?)^```$", section("A plugin, whole"), re.M | re.S).group(1)
    assert len(code.splitlines()) < 100
    path = tmp_path / "patch.py"
    path.write_text(code)
    process = host.popen("/usr/bin/python3", str(path), SOCKET, stdin=subprocess.DEVNULL)
    harness.wait_for(lambda: os.path.exists(host.root + SOCKET), "the plugin listens")
    yield
    process.kill()
    process.wait()
    host.run("sh", "-c", "rm -f %s; rmdir %s" % (SOCKET, os.path.dirname(SOCKET)))


def test_the_page(host, program):
    commands = re.findall(r"^    (cnm .*?)(?: +#.*)?$", section("A plugin, whole"), re.M)
    assert len(commands) == 7, commands
    said = {}
    for command in commands:
        argv = shlex.split(command)[1:]
        if "ping" in argv:  # a bridge takes a moment to forward
            harness.wait_for(lambda: host.cnm(*argv).rc == 0, command)
        else:
            said[command] = host.cnm(*argv, check=True).out
    assert "default via 172.18.0.1 dev eth1" in said["cnm sandbox exec a ip route"]
    assert re.search(r"^patch +active +local +1 ", said["cnm plugin ls"], re.M), said["cnm plugin ls"]
    assert said["cnm doctor"] == ""
    host.remove_sandbox("a")
    host.remove_sandbox("b")
    host.remove_network("lab")
    assert "patch-" not in host.run("ip", "netns").out
    host.remove_network("docker_gwbridge")
