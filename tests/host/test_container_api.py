# SPDX-License-Identifier: LGPL-2.1-or-later
"""The API as clients of every age find it: versions, ping, nulls, encodings, and what cnm is not."""
import json

import pytest

import containers
import harness
import hijack
from containers import words

pytest_plugins = ["container_fixtures"]
OLDEST, NEWEST = (1, 24), (1, 47)
VERSIONS = ["v1.%d" % minor for minor in range(OLDEST[1], words(NEWEST[1], 41) + 1)]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ping(engine, method):
    answer = engine.request(method, "/_ping")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert answer.status == 200 and answer.text == ("OK" if method == "GET" else "")
    assert headers["ostype"] == "linux" and headers["docker-experimental"] in ("false", "true")
    assert headers["cache-control"] == "no-cache, no-store, must-revalidate" and headers["pragma"] == "no-cache"
    major, minor = map(int, headers["api-version"].split("."))
    assert (major, minor) >= words(NEWEST, (1, 41)) and headers["server"]


def test_version(engine):
    shown = engine.request("GET", "/version").json
    assert shown["MinAPIVersion"] == words("1.24", "1.12") and shown["Os"] == "linux"
    assert tuple(map(int, shown["ApiVersion"].split("."))) >= words(NEWEST, (1, 41))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_container_by_every_version(engine, version):
    """Made, started, waited for, shown, listed and removed."""
    base = "/" + version
    made = engine.request("POST", base + "/containers/create?name=con", {
        "Image": "busybox", "Cmd": ["sh", "-c", "echo out; exit 3"], "HostConfig": {"NetworkMode": "default"},
        "NetworkingConfig": {"EndpointsConfig": {}}})
    assert made.status == 201 and "Warnings" in made.json, repr(made)
    assert engine.request("POST", base + "/containers/con/start").status == 204
    waited = engine.request("POST", base + "/containers/con/wait")
    assert waited.status == 200 and waited.json["StatusCode"] == 3
    shown = engine.request("GET", base + "/containers/con/json").json
    assert shown["State"]["ExitCode"] == 3 and shown["Id"] == made.json["Id"]
    listed, = engine.request("GET", base + "/containers/json?all=1").json
    assert listed["Id"] == made.json["Id"]
    with engine.stream("GET", base + "/containers/con/logs?stdout=1") as stream:
        assert stream.output() == (b"out\n", b"")
    assert engine.request("GET", base + "/images/json").status == 200
    assert engine.request("DELETE", base + "/containers/con").status == 204


@pytest.mark.parametrize("version", [version for version in VERSIONS if version != "v1.24"][::5])
def test_the_client_negotiates(engine, stock, version):
    """As a client of that version speaks."""
    env = dict(stock.env, DOCKER_API_VERSION=version[1:])
    done = containers.subprocess.run(stock.argv("run", "--rm", "busybox", "sh", "-c", "echo out; exit 3"), env=env,
                                     capture_output=True, text=True, timeout=harness.DEADLINE)
    assert (done.returncode, done.stdout) == (3, "out\n"), done


def test_versions_out_of_range(engine):
    old = engine.request("GET", "/v1.%d/containers/json" % words(23, 11))
    assert old.status == 400 and "is too old" in old.text
    new = engine.request("GET", "/v9.99/containers/json")
    assert new.status == 400 and "is too new" in new.text


def test_wait_of_old_versions(engine):
    """Before 1.30 the head came with the end."""
    engine.running("con", "sh", "-c", "exit 4")
    assert engine.request("POST", "/v1.29/containers/con/wait").json["StatusCode"] == 4


def test_statuses_of_old_resize_and_rename(engine):
    engine.running("con", "cat", Tty=True, OpenStdin=True)
    assert engine.request("POST", "/v1.24/containers/con/resize?h=10&w=20").status == 200
    assert engine.request("POST", "/v1.24/containers/con/rename?name=con2").status == 204


@pytest.mark.parametrize("body", [b"null", b"{}", b""])
def test_start_takes_whatever_body(engine, body):
    engine.create("con", "true")
    answer = engine.request("POST", "/containers/con/start", body, {"Content-Type": "application/json"})
    assert answer.status == 204, repr(answer)


def test_exec_start_with_nulls(engine):
    engine.running("con")
    made = engine.request("POST", "/containers/con/exec", {
        "Cmd": ["true"], "Env": None, "DetachKeys": None, "User": None, "WorkingDir": None, "Tty": None,
        "AttachStdin": None, "ConsoleSize": None, "Privileged": None})
    assert made.status == 201, repr(made)
    started = engine.request("POST", "/exec/%s/start" % made.json["Id"], {"Detach": True, "Tty": None, "ConsoleSize": None})
    assert started.status == 200, repr(started)


@pytest.mark.parametrize("value", ["1", "true", "True", "TRUE", "yes", "0", "false", "False", "none", "no", ""])
def test_booleans_of_queries(engine, value):
    """Whatever is not a word for no is yes."""
    engine.create("con", "true")
    listed = engine.request("GET", "/containers/json?all=" + value).json
    assert bool(listed) == (value.lower() not in ("", "0", "no", "false", "none"))


def test_encodings_of_filters(engine):
    engine.running("con", Labels={"a": "1"})
    for filters in ({"label": ["a=1"]}, {"label": {"a=1": True}}):
        answer = engine.request("GET", "/containers/json?filters=" + hijack.quote(filters))
        assert answer.status == 200 and len(answer.json) == 1, filters
        events = engine.request("GET", "/events?since=1&until=2&filters=" + hijack.quote(filters))
        assert events.status == 200
    assert engine.request("GET", "/containers/json?filters=").status == 200


@containers.cnm_only
@pytest.mark.parametrize("method,path,status", [
    ("GET", "/swarm", 503), ("POST", "/swarm/init", 503), ("GET", "/nodes", 503), ("GET", "/services", 503),
    ("GET", "/tasks", 503), ("GET", "/secrets", 503), ("GET", "/configs", 503), ("GET", "/plugins", 200),
    ("POST", "/build", 501), ("POST", "/commit", 501), ("POST", "/session", 501), ("POST", "/auth", 501),
    ("POST", "/containers/con/pause", 501), ("POST", "/containers/con/unpause", 501), ("GET", "/containers/con/stats", 501),
    ("GET", "/containers/con/archive?path=/", 501), ("GET", "/containers/con/export", 501),
    ("GET", "/containers/con/changes", 501), ("POST", "/containers/con/update", 501), ("GET", "/no/such/page", 404)])
def test_what_cnm_is_not(engine, method, path, status):
    """As a daemon without it answers; each with a message."""
    engine.create("con", "true")
    answer = engine.request(method, path)
    assert answer.status == status, repr(answer)
    assert answer.json == [] if status == 200 else len(answer.message) > 10


@containers.cnm_only
@pytest.mark.parametrize("argv", [("swarm", "init"), ("service", "ls"), ("pause", "con"), ("cp", "con:/etc/passwd", "-"),
                                  ("commit", "con"), ("stats", "--no-stream", "con"), ("export", "con")])
def test_the_client_is_told_what_cnm_is_not(engine, stock, argv):
    engine.create("con", "true")
    refused = stock(*argv)
    assert refused.rc != 0 and len(refused.err.strip()) > 10 and "panic" not in refused.err, repr(refused)


def test_system_commands_of_the_client(engine, client):
    if client.name == "cnm":
        pytest.skip("cnm has version and info of its own")
    client.run("--name", "con", "busybox", *containers.HOLD)
    assert json.loads(client.say("info", "--format", "{{json .Containers}}")) == 1
    assert client("version").rc == 0 and client("info").rc == 0
    assert client("volume", "ls").rc == 0 and client("plugin", "ls").rc == 0


def test_content_type_is_wanted(engine):
    answer = engine.request("POST", "/containers/create", b'{"Image":"busybox"}', {"Content-Type": "text/plain"})
    assert answer.status in words((400, 415), (400, 500))


def test_long_and_odd_requests(engine):
    for target in ("/containers/%s/json" % ("a" * 3000), "/containers/%00/json", "/containers/..%2f..%2fetc/json",
                   "/containers/json?all=1&" + "x=1&" * 500, "/exec/%s/json" % ("b" * 64)):
        answer = engine.request("GET", target)
        assert answer.status < 500 or containers.truth.ASKED, (target, answer)
    assert engine.request("GET", "/_ping").status == 200
