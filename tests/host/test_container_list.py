# SPDX-License-Identifier: LGPL-2.1-or-later
"""ps, inspect and top."""
import json
import re

import pytest

import containers
import hijack
from containers import words

pytest_plugins = ["container_fixtures"]
client = containers.fixture_of("docker", "cnm")


@pytest.fixture
def some(engine):
    """on runs in net1, off has ended with 3, fresh was never started."""
    engine.request_ok("POST", "/networks/create", {"Name": "net1"})
    engine.made = {"on": engine.running("on", *containers.HOLD, host={"NetworkMode": "net1"},
                                        Labels={"who": "me", "kind": "a"}),
                   "off": engine.running("off", "sh", "-c", "exit 3", Labels={"kind": "b"})}
    engine.exit_code("off")
    engine.made["fresh"] = engine.create("fresh", "true")
    return engine


def names(engine, filters=None, **query):
    if filters:
        query["filters"] = json.dumps(filters)
    answer = engine.request("GET", "/containers/json?" + hijack.urllib.parse.urlencode(query))
    assert answer.status == 200, repr(answer)
    return [container["Names"][0][1:] for container in answer.json]


def test_table(some, client):
    lines = client.say("ps", "-a").splitlines()
    rows = {line.split()[-1]: line for line in lines[1:]}
    assert set(rows) == {"on", "off", "fresh"}
    assert re.search(r'busybox +"sleep 100000" +\d+ seconds? ago +Up \d+ seconds?|Less than a second', rows["on"])
    assert re.search(r"Exited \(3\) .* ago", rows["off"])
    assert " Created " in rows["fresh"]
    assert client.say("ps", "-q").split() == [some.made["on"][:12]]
    assert client.say("ps", "-aq", "--no-trunc").split() == [some.made[n] for n in ("fresh", "off", "on")]
    assert client.say("ps", "-lq").split() == [some.made["fresh"][:12]]
    assert client.say("ps", "-n", "2", "--format", "{{.Names}}") == "fresh\noff\n"


def test_format(some, client):
    shown = client.say("ps", "-a", "-f", "name=off", "--format", "{{.Names}}|{{.Image}}|{{.Command}}|{{.Labels}}")
    assert shown == 'off|busybox|"sh -c \'exit 3\'"|kind=b\n'
    shown = json.loads(client.say("ps", "--format", "{{json .}}"))
    assert (shown["Names"], shown["State"], shown["Networks"]) == ("on", "running", "net1")


def test_newest_first(some):
    assert names(some, all=1) == ["fresh", "off", "on"]
    assert names(some) == ["on"]
    assert names(some, limit=2) == ["fresh", "off"]


def test_filters(some):
    made = some.made
    for filters, found in (
            ({"name": ["o"]}, ["off", "on"]), ({"name": ["^/?on$"]}, ["on"]),
            ({"id": [made["off"][:12]]}, ["off"]),
            ({"label": ["who"]}, ["on"]), ({"label": ["kind=b"]}, ["off"]),
            ({"label": ["kind", "who=me"]}, ["on"]), ({"label": ["kind=c"]}, []),
            ({"status": ["exited"]}, ["off"]), ({"status": ["created", "running"]}, ["fresh", "on"]),
            ({"exited": ["3"]}, ["off"]), ({"exited": ["0"]}, []),
            ({"ancestor": ["busybox"]}, ["fresh", "off", "on"]), ({"ancestor": ["nosuch"]}, []),
            ({"network": ["net1"]}, ["on"]),
            ({"before": ["off"]}, ["on"]), ({"since": ["off"]}, ["fresh"]),
            # Older clients' encoding.
            ({"name": {"off": True}}, ["off"]), ({"status": {"running": True, "exited": True}}, ["off", "on"])):
        assert names(some, filters, all=1) == found, filters
    assert names(some, {"status": ["exited"]}) == ["off"]  # a status implies all
    assert names(some, {"name": ["off"]}) == []


def test_filters_refused(some):
    for filters in ({"nonsense": ["x"]}, {"status": ["nonsense"]}, {"exited": ["x"]}):
        answer = some.request("GET", "/containers/json?filters=" + hijack.quote(filters))
        assert answer.status in words((400,), (400, 500)), (filters, answer)
    assert some.request("GET", "/containers/json?filters=%7Bx").status in words((400,), (400, 500))


def test_listed_fields(some):
    listed = {c["Names"][0]: c for c in some.request("GET", "/containers/json?all=1").json}
    on = listed["/on"]
    assert on["Id"] == some.made["on"] and on["Image"] == "busybox"
    assert on["ImageID"] == some.container("on")["Image"] and on["ImageID"].startswith("sha256:")
    assert on["Command"] == "sleep 100000" and isinstance(on["Created"], int)
    assert on["State"] == "running" and on["Status"].startswith("Up ")
    assert on["Ports"] == [] and on["Mounts"] == [] and on["Labels"] == {"who": "me", "kind": "a"}
    assert on["HostConfig"] == {"NetworkMode": "net1"}
    network = some.container("on")["NetworkSettings"]["Networks"]["net1"]
    assert on["NetworkSettings"]["Networks"]["net1"]["IPAddress"] == network["IPAddress"] != ""
    off = listed["/off"]
    assert off["State"] == "exited" and off["Status"].startswith("Exited (3) ")
    assert listed["/fresh"]["State"] == listed["/fresh"]["Status"].lower() == "created"


def test_inspected_fields(some):
    shown = some.container("on")
    assert shown["Id"] == some.made["on"] and shown["Name"] == "/on"
    assert shown["Path"] == "sleep" and shown["Args"] == ["100000"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", shown["Created"])
    state = shown["State"]
    assert state["Status"] == "running" and state["Running"] is True and state["Pid"] > 1
    assert (state["Paused"], state["Restarting"], state["OOMKilled"], state["Dead"]) == (False,) * 4
    assert state["ExitCode"] == 0 and state["Error"] == "" and state["StartedAt"] > shown["Created"][:19]
    assert state["FinishedAt"] == "0001-01-01T00:00:00Z"
    config = shown["Config"]
    assert config["Image"] == "busybox" and config["Cmd"] == ["sleep", "100000"]
    assert config["Hostname"] == some.made["on"][:12] and config["Domainname"] == "" and config["User"] == ""
    assert config["Labels"] == {"who": "me", "kind": "a"} and config["Entrypoint"] is None
    assert (config["Tty"], config["OpenStdin"], config["StdinOnce"]) == (False, False, False)
    host = shown["HostConfig"]
    assert host["NetworkMode"] == "net1" and host["Privileged"] is False and host["AutoRemove"] is False
    assert host["RestartPolicy"]["MaximumRetryCount"] == 0 and host["RestartPolicy"]["Name"] in ("", "no")
    assert host["ReadonlyRootfs"] is False and host["Memory"] == 0 and host["NanoCpus"] == 0
    assert "/proc/kcore" in host["MaskedPaths"] and "/proc/sys" in host["ReadonlyPaths"]
    assert host["CapAdd"] is None and host["CapDrop"] is None and host["Binds"] is None
    settings = shown["NetworkSettings"]
    network = settings["Networks"]["net1"]
    assert re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", network["MacAddress"])
    assert network["IPPrefixLen"] == 16 and network["Gateway"].endswith(".1") and network["NetworkID"]
    assert network["EndpointID"] and settings["SandboxID"] and settings["SandboxKey"].startswith("/")
    assert shown["RestartCount"] == 0 and shown["Mounts"] == [] and shown["Platform"] == "linux"
    assert shown["ResolvConfPath"] and shown["HostsPath"] and shown["HostnamePath"]
    assert "SizeRw" not in shown
    assert some.request("GET", "/containers/on/json?size=1").json["SizeRootFs"] > 100000


def test_inspected_end(some):
    state = some.container("off")["State"]
    assert state["Status"] == "exited" and state["ExitCode"] == 3 and state["Pid"] == 0
    assert "0002" < min(state["StartedAt"], state["FinishedAt"])
    assert words(state["StartedAt"] < state["FinishedAt"], True)
    network = some.container("off")["NetworkSettings"]["Networks"]["bridge"]
    assert network["IPAddress"] == "" and network["EndpointID"] == ""


def test_inspect(some, client):
    shown, = json.loads(client.say("inspect", "on"))
    assert shown["Id"] == some.made["on"]
    assert client.say("inspect", "-f", "{{.State.Status}} {{.Config.Image}}", "on", "off").splitlines() == [
        "running busybox", "exited busybox"]
    assert client.say("container", "inspect", "-f", "{{json .Config.Cmd}}", "on") == '["sleep","100000"]\n'
    missing = client("container", "inspect", "nobody")
    assert missing.rc == 1 and "No such container: nobody" in missing.err


def test_top(some, client):
    client("exec", "-d", "on", "sleep", "88888", check=True)
    titles, *rows = client.say("top", "on").splitlines()
    assert titles.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert {row.split(None, 7)[7].strip() for row in rows} == {"sleep 100000", "sleep 88888"}
    assert str(some.pid_of("on")) in {row.split()[1] for row in rows}
    titles, *rows = client.say("top", "on", "-o", "pid,comm").splitlines()
    assert titles.split() == ["PID", "COMMAND"] and len(rows) == 2
    refused = client("top", "off")
    assert refused.rc == 1 and "is not running" in refused.err
    answer = some.request("GET", "/containers/on/top?ps_args=-o%20user")
    assert answer.status in (400, 500)  # without PID it cannot say which are the container's


@containers.cnm_only
def test_all_is_shown_the_same_after_a_restart(some):
    before = [some.container(name) for name in some.made]
    some.restart()
    assert [some.container(name) for name in some.made] == before
    assert names(some, all=1) == ["fresh", "off", "on"]


def test_info_counts(some):
    info = some.request("GET", "/info").json
    assert (info["Containers"], info["ContainersRunning"], info["ContainersStopped"]) == (3, 1, 2)
    assert info["Images"] == 1 and info["DefaultRuntime"] and "runc" in str(info["Runtimes"]) + info["DefaultRuntime"]
    assert info["OSType"] == "linux" and info["Driver"] == "overlay2"
