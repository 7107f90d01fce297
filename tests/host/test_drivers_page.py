# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/DRIVERS.md keeps its word: the driver on the page is put into a copy of the source as the page
says, built, and does what the page says."""
import os
import re
import shlex
import shutil
import subprocess

import pytest

import harness

PAGE = os.path.join(harness.TOP, "docs", "DRIVERS.md")
CODE = re.compile(r"^```c\n(/\* SPDX-.*?)^```$", re.M | re.S)
# "    src/drivers/table.c      &isolate_driver,"
LINE = re.compile(r"^    (src/drivers/\S+) +(.*)$", re.M)
COMMAND = re.compile(r"^    (cnm .*?)(?: +#.*)?$", re.M)
TARGETS = harness.DAEMON, harness.COMMAND, harness.KEEPER


def section(title):
    text = open(PAGE, encoding="utf-8").read()
    return re.search(r"^## %s\n(.*?)(?=^## |\Z)" % title, text, re.M | re.S).group(1)


def insert(path, line):
    """A line of the page, where the page says it goes."""
    text = open(path).read()
    if path.endswith("builtin.h"):
        changed = text.replace("\n#endif", "\n%s\n\n#endif" % line)
    elif path.endswith("table.c"):
        entries = sorted(re.findall(r"^\t&\w+_driver,\n", text, re.M) + ["\t%s\n" % line])
        changed = re.sub(r"(?:^\t&\w+_driver,\n)+", "".join(entries), text, flags=re.M)
    else:
        changed = text.replace("files(", "files(%s, " % line)
    assert changed != text, "%s: there is no place for %s" % (path, line)
    with open(path, "w") as f:
        f.write(changed)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    source = str(tmp_path_factory.mktemp("page") / "cnm")
    worked = section("A complete driver")
    shutil.copytree(harness.TOP, source, symlinks=True,
                    ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    with open(os.path.join(source, "src/drivers/isolate.c"), "w") as f:
        f.write(CODE.search(worked).group(1))
    lines = LINE.findall(worked)
    assert len(lines) == 3, lines
    for path, line in lines:
        insert(os.path.join(source, path), line)
    build = os.path.join(source, "build", "page")
    for argv in (["meson", "setup", build, source, "-Doptimization=0",
                  "-Db_sanitize=address,undefined", "-Db_lundef=false"],
                 ["ninja", "-C", build, *TARGETS]):
        done = subprocess.run(argv, capture_output=True, text=True)
        assert done.returncode == 0, "%s\n%s%s" % (" ".join(argv), done.stdout, done.stderr)
    yield build
    shutil.rmtree(source)


@pytest.fixture(autouse=True)
def page_build(built, monkeypatch):
    """Before the fixture `host`, which starts what is in harness.BUILD."""
    monkeypatch.setattr(harness, "BUILD", built)


def play(host, title):
    """The commands of a section of the page, in order: each has to succeed. [(command, output)]"""
    commands = COMMAND.findall(section(title))
    assert commands, title
    return [(c, host.cnm(*shlex.split(c)[1:], check=True).out) for c in commands]


def test_the_page(host):
    played = dict(play(host, "Try it"))
    plan = played["cnm network create -d isolate --dry-run lab"]
    assert re.search(r"^\+ host: link iso-[0-9a-f]{11}: bridge ", plan, re.M), plan
    assert played["cnm doctor"] == ""

    routes = host.inside("a").run("ip", "route").out
    assert "default" not in routes and "eth0" in routes, routes
    assert not host.inside("a").can_ping(harness.LAN4)
    bridge = "iso-" + host.inspect("lab")["Id"][:11]
    assert host.run("ip", "-o", "addr", "show", "dev", bridge).out == ""

    for command in ("sandbox rm a", "sandbox rm b", "network rm lab"):
        host.cnm(*command.split(), check=True)
    assert host.link(bridge) is None


def test_mended_and_restored(host):
    """What the page promises of every driver: repair and restart need no code of it."""
    host.network("lab", Driver="isolate", EnableIPv6=True,
                 Options={"com.docker.network.driver.mtu": "1400"})
    host.sandbox("a", "lab")
    host.sandbox("b", "lab")
    assert host.inside("a").reaches(host.address("b", "lab", 6))
    bridge = "iso-" + host.inspect("lab")["Id"][:11]
    host.run("sh", "-ec", "nft flush ruleset; ip link set %s down; ip link set %s mtu 1500"
             % (bridge, bridge))
    host.doctor(repair=True)
    host.wait_healed()
    assert host.link(bridge)["mtu"] == 1400
    host.restart(kill=True)
    assert host.doctor() == []
    assert host.inside("a").reaches(host.address("b", "lab"))


def test_refused(host):
    create = "POST", "/networks/create"
    host.refused(*create, {"Name": "x", "Driver": "isolate", "Options": {"nonsense": "1"}}, 400,
                 "option nonsense is not supported for a network of driver isolate")
    host.refused(*create, {"Name": "x", "Driver": "isolate", "IPAM": {"Config": [
        {"Subnet": "10.96.0.0/24", "Gateway": "10.96.0.1"}]}}, 400, matching="has no gateway")
    host.network("lab", Driver="isolate")
    host.sandbox("a")
    host.refused("POST", "/networks/lab/connect", {"Container": "a", "EndpointConfig": {
        "DriverOpts": {"nonsense": "1"}}}, 400, matching="nonsense is not supported by driver isolate")
