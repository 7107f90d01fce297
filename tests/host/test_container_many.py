# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many containers at once."""
import concurrent.futures

import pytest

import containers
import dump
import harness

pytest_plugins = ["container_fixtures"]
pytestmark = pytest.mark.concurrent
MANY = 40


def all_of(calls):
    with concurrent.futures.ThreadPoolExecutor(MANY) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def requests(engine, method, *paths, body=None):
    return {answer.status for answer in all_of(
        [lambda p=path: engine.request(method, p, body, timeout=2 * harness.DEADLINE) for path in paths])}


def test_started_and_removed_at_once_ten_rounds(engine):
    names = ["c%d" % i for i in range(MANY)]
    engine.request_ok("POST", "/networks/create", {"Name": "net"})
    engine.running("warm", host={"NetworkMode": "net"})
    engine.request_ok("DELETE", "/containers/warm?force=1")
    before = harness.lasting(engine.dump()) if not containers.truth.ASKED else {}
    descriptors = len(containers.descriptors(engine))
    body = {"Image": "busybox", "Cmd": list(containers.HOLD), "HostConfig": {"NetworkMode": "net"}}
    for _ in range(10):
        assert requests(engine, "POST", *["/containers/create?name=" + n for n in names], body=body) == {201}
        assert requests(engine, "POST", *["/containers/%s/start" % n for n in names]) == {204}
        listed = engine.request("GET", "/containers/json").json
        assert len(listed) == MANY
        addresses = {c["NetworkSettings"]["Networks"]["net"]["IPAddress"] for c in listed}
        assert len(addresses) == MANY
        assert requests(engine, "DELETE", *["/containers/%s?force=1" % n for n in names]) == {204}
    if not containers.truth.ASKED:
        assert not dump.difference(before, harness.lasting(engine.dump()))
        assert not [line for _, line in engine.processes() if "conmon" in line or "runc" in line]
        harness.wait_for(lambda: len(containers.descriptors(engine)) <= descriptors + 4,
                         lambda: "descriptors: %d before, now %r" % (descriptors, containers.descriptors(engine)))


def test_one_name_one_winner(engine):
    body = {"Image": "busybox", "Cmd": ["true"]}
    found = sorted(answer.status for answer in all_of(
        [lambda: engine.request("POST", "/containers/create?name=con", body) for _ in range(12)]))
    assert found == [201] + [409] * 11


def test_starts_of_one(engine):
    engine.create("con")
    found = sorted(answer.status for answer in all_of(
        [lambda: engine.request("POST", "/containers/con/start") for _ in range(8)]))
    assert found == [204] + [304] * 7 or containers.truth.ASKED
    harness.wait_for(lambda: [line for _, line in engine.processes() if "sleep" in line] == ["sleep 100000"],
                     lambda: "one process: %r" % engine.processes())


def test_everything_at_one_container(engine):
    """Requests of all kinds at one container: each is answered in its own right, none hangs."""
    engine.running("con")
    verbs = ["start", "stop?t=0", "restart?t=0", "kill", "start", "rename?name=con", "resize?h=1&w=1"]
    for _ in range(2):
        found = requests(engine, "POST", *["/containers/con/" + verb for verb in verbs * 2])
        assert found <= {200, 204, 304, 400, 409, 500}, found
    assert engine.request("POST", "/containers/con/start").status in (204, 304)
    assert engine.status("con") == "running"


def test_ends_at_once(engine):
    """Short ones, each with its own exit code, waited for while others come and go."""
    def run(i):
        engine.create("c%d" % i, "sh", "-c", "exit %d" % i)
        with engine.stream("POST", "/containers/c%d/wait?condition=next-exit" % i) as waiting:
            engine.begin("c%d" % i)
            return waiting.json["StatusCode"]
    assert all_of([lambda i=i: run(i) for i in range(20)]) == list(range(20))


def test_many_followers_of_one_log(engine):
    engine.running("con", "sh", "-c", "read x; for i in $(seq 200); do echo line $i; done", OpenStdin=True)
    streams = [engine.stream("GET", "/containers/con/logs?stdout=1&follow=1") for _ in range(10)]
    with engine.stream("POST", "/containers/con/attach?stream=1&stdin=1", upgrade=True) as talk:
        talk.send(b"\n")
        wanted = b"".join(b"line %d\n" % i for i in range(1, 201))
        for stream in streams:
            with stream:
                assert stream.output()[0] == wanted
