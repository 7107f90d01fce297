# SPDX-License-Identifier: LGPL-2.1-or-later
"""The connections that clients take over, byte by byte: attach, exec, wait."""
import hashlib
import json
import random

import pytest

import containers
import hijack
from containers import words

pytest_plugins = ["container_fixtures"]
ALL = "/containers/con/attach?stream=1&stdin=1&stdout=1&stderr=1"
# Docker loses what comes behind the request before it has answered.
EARLY = words(b"early ", b"")
OUTPUT = "/containers/con/attach?stream=1&stdout=1&stderr=1"
ECHO = ("sh", "-c", "read x; echo out:$x; echo err:$x >&2; exit 3")
upgrades = pytest.mark.parametrize("upgrade", [True, False], ids=["upgrade", "plain"])


def opened(engine, *cmd, **config):
    engine.create("con", *cmd, OpenStdin=True, StdinOnce=True, AttachStdin=True, AttachStdout=True,
                  AttachStderr=True, **config)


@upgrades
def test_attach_before_start(engine, upgrade):
    opened(engine, *ECHO)
    with engine.stream("POST", "/v1.41" + ALL, upgrade=upgrade) as stream:
        if upgrade:
            assert stream.status == 101 and stream.reason == "UPGRADED"
            assert stream.headers["connection"].lower() == "upgrade"
            assert stream.headers["upgrade"].lower() == "tcp"
        else:
            assert stream.status == 200
        assert stream.headers["content-type"] == "application/vnd.docker.raw-stream"
        assert stream.nothing_yet()
        engine.begin("con")
        stream.send(b"word\n")
        assert stream.output() == (b"out:word\n", b"err:word\n")
    assert engine.exit_code("con") == 3


def test_the_kind_of_stream_is_told_to_newer_clients(engine):
    if words(False, True):
        pytest.skip("since API 1.42")
    opened(engine, "true")
    with engine.stream("POST", "/v1.42" + OUTPUT, upgrade=True) as stream:
        assert stream.headers["content-type"] == "application/vnd.docker.multiplexed-stream"
    engine.running("term", Tty=True)
    with engine.stream("POST", "/v1.42/containers/term/attach?stream=1&stdout=1", upgrade=True) as stream:
        assert stream.headers["content-type"] == "application/vnd.docker.raw-stream"


@upgrades
def test_early_bytes_and_half_close(engine, upgrade):
    """What comes behind the request in the same segment is the container's; the end of sending is the
    end of its stdin, and the other direction goes on."""
    opened(engine, "sh", "-c", "cat; echo after")
    with engine.stream("POST", ALL, upgrade=upgrade, early=b"early ") as stream:
        stream.send(b"late\n")
        stream.end_sending()
        engine.begin("con")
        assert stream.output() == (EARLY + b"late\nafter\n", b"")


def test_a_megabyte_there_and_back(engine):
    data = random.Random(2).randbytes(1 << 20)
    opened(engine, "cat")
    with engine.stream("POST", ALL, upgrade=True) as stream:
        engine.begin("con")
        got = b""
        for at in range(0, len(data), 65536):
            stream.send(data[at:at + 65536])
            while len(got) < at:  # cat holds no more than its pipes do
                kind, piece = stream.frame()
                assert kind == 1
                got += piece
        stream.end_sending()
        got += stream.output()[0]
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def test_a_client_that_does_not_read_holds_up_nobody_else(engine):
    """Its container waits for it; another client's requests are served."""
    engine.create("con", "sh", "-c", "dd if=/dev/zero bs=65536 count=200 2>/dev/null; echo end >&2")
    with engine.stream("POST", OUTPUT, upgrade=True) as stream:
        engine.begin("con")
        stream.frame()
        engine.running("other", "true")
        assert engine.exit_code("other") == 0
        out, err = stream.output()
        assert err == b"end\n" and set(out) == {0}


def test_terminal_is_raw(engine):
    opened(engine, "sh", "-c", "stty -echo; read x; echo got:$x; echo err >&2", Tty=True)
    with engine.stream("POST", ALL, upgrade=True) as stream:
        engine.begin("con")
        stream.send(b"word\n")
        stream.until(b"got:word\r\n")
        assert stream.rest() == b"err\r\n"


def test_detach_keys(engine):
    opened(engine, "cat", Tty=True)
    with engine.stream("POST", ALL + "&detachKeys=ctrl-a,b", upgrade=True) as stream:
        engine.begin("con")
        stream.send(b"word\n")
        stream.until(b"word\r\nword\r\n")
        stream.send(b"\x01b")
        stream.rest()
    assert engine.status("con") == "running"


@pytest.mark.skipif(not containers.truth.ASKED, reason="cnm refuses it by name: test_attach_refused")
def test_attach_with_logs_sees_what_was_said_before(engine):
    opened(engine, "sh", "-c", "echo before; read x; echo after")
    engine.begin("con")
    engine.await_logged("con", b"before\n")
    with engine.stream("POST", ALL + "&logs=1", upgrade=True) as stream:
        assert stream.frame() == (1, b"before\n")
        stream.send(b"\n")
        assert stream.output() == (b"after\n", b"")
    with engine.stream("POST", "/containers/con/attach?logs=1&stdout=1&stderr=1", upgrade=True) as stream:
        assert stream.output() == (b"before\nafter\n", b"")


def test_two_attached_see_the_same(engine):
    opened(engine, *ECHO)
    with engine.stream("POST", ALL, upgrade=True) as one, engine.stream("POST", OUTPUT) as two:
        engine.begin("con")
        one.send(b"word\n")
        assert one.output() == two.output() == (b"out:word\n", b"err:word\n")


def test_attach_refused(engine):
    answer = engine.request("POST", "/containers/con/attach?stream=1&stdout=1")
    assert answer.status == 404 and "No such container: con" in answer.text
    engine.running("con", "cat", Tty=True)
    if not containers.truth.ASKED:
        answer = engine.request("POST", "/containers/con/attach?logs=1&stdout=1")
        assert answer.status == 501 and "logs=1" in answer.message
    answer = engine.request("POST", OUTPUT + "&detachKeys=ctrl-nonsense")
    assert answer.status == 400 and "nvalid" in answer.text


@pytest.mark.parametrize("condition", ["", "?condition=not-running", "?condition=next-exit"])
def test_wait_sends_its_head_at_once(engine, condition):
    engine.running("con")
    with engine.stream("POST", "/containers/con/wait" + condition) as waiting:
        assert waiting.status == 200 and waiting.headers["content-type"] == "application/json"
        assert waiting.nothing_yet()
        engine.request_ok("POST", "/containers/con/kill")
        assert waiting.json["StatusCode"] == 137


def test_wait_conditions_on_one_that_does_not_run(engine):
    engine.create("con", "sh", "-c", "exit 4")
    assert engine.exit_code("con") == 0  # it is not running
    with engine.stream("POST", "/containers/con/wait?condition=next-exit") as waiting:
        assert waiting.nothing_yet()
        engine.begin("con")
        assert waiting.json["StatusCode"] == 4
    assert engine.exit_code("con") == 4
    with engine.stream("POST", "/containers/con/wait?condition=removed") as waiting:
        assert waiting.status == 200 and waiting.nothing_yet()
        engine.request_ok("DELETE", "/containers/con")
        assert waiting.json["StatusCode"] == 4


def test_wait_removed_of_one_that_removes_itself(engine):
    engine.create("con", "sh", "-c", "exit 5", host={"AutoRemove": True})
    with engine.stream("POST", "/containers/con/wait?condition=removed") as waiting:
        engine.begin("con")
        assert waiting.json["StatusCode"] == 5
    assert engine.request("GET", "/containers/con/json").status == 404


def test_wait_refused(engine):
    answer = engine.request("POST", "/containers/con/wait")
    assert answer.status == 404 and answer.message == "No such container: con"
    engine.create("con", "true")
    answer = engine.request("POST", "/containers/con/wait?condition=sometime")
    assert words(answer.status == 400 and answer.message.startswith('invalid condition: "sometime"'), True)


def execution(engine, *cmd, **more):
    answer = engine.request("POST", "/containers/con/exec", {
        "AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Cmd": list(cmd), **more})
    assert answer.status == 201, repr(answer)
    return answer.json["Id"]


@upgrades
def test_exec_stream(engine, upgrade):
    engine.running("con")
    made = execution(engine, *ECHO)
    shown = engine.request("GET", "/exec/%s/json" % made).json
    assert shown["ContainerID"] == engine.container("con")["Id"]
    assert not shown["Running"] and shown["ExitCode"] is None
    with engine.stream("POST", "/exec/%s/start" % made, {"Detach": False, "Tty": False},
                       upgrade=upgrade) as stream:
        assert stream.status == (101 if upgrade else 200)
        assert engine.request("GET", "/exec/%s/json" % made).json["Running"]
        stream.send(b"word\n")
        assert stream.output() == (b"out:word\n", b"err:word\n")
    containers.harness.wait_for(
        lambda: engine.request("GET", "/exec/%s/json" % made).json["Running"] is False, "its end is told")
    shown = engine.request("GET", "/exec/%s/json" % made).json
    assert shown["ExitCode"] == 3 and shown["ProcessConfig"]["entrypoint"] == "sh"
    assert engine.status("con") == "running"


def test_exec_half_close(engine):
    engine.running("con")
    with engine.stream("POST", "/exec/%s/start" % execution(engine, "sh", "-c", "cat; echo after"),
                       {"Detach": False}, upgrade=True, early=b"early ") as stream:
        stream.send(b"late\n")
        stream.end_sending()
        assert stream.output() == (EARLY + b"late\nafter\n", b"")


def test_resize_also_after_the_end(engine):
    engine.running("con", "sh", "-c", "read x; stty size; read x", Tty=True, OpenStdin=True)
    assert engine.request("POST", "/containers/con/resize?h=40&w=100").status == 200
    with engine.stream("POST", ALL, upgrade=True) as stream:
        stream.send(b"\n")
        stream.until(b"40 100")
        stream.send(b"\n")
    assert engine.exit_code("con") == 0
    assert engine.request("POST", "/containers/con/resize?h=40&w=100").status == words(409, 409)
    assert engine.request("POST", "/containers/con/resize?h=x&w=1").status == 400
    assert engine.request("POST", "/containers/nobody/resize?h=1&w=1").status == 404


@containers.cnm_only
def test_a_client_that_is_gone_is_noticed(engine):
    """Its waits and attachments end; the container goes on."""
    engine.running("con", "sh", "-c", "while :; do echo x; sleep 0.05; done")
    before = len(containers.descriptors(engine))
    streams = [engine.stream("POST", target, upgrade=False) for target in (
        OUTPUT, "/containers/con/wait", "/containers/con/wait?condition=removed")]
    streams += [engine.stream("GET", target) for target in (
        "/containers/con/logs?follow=1&stdout=1", "/events")]
    for stream in streams:
        stream.close()
    containers.harness.wait_for(lambda: len(containers.descriptors(engine)) <= before,
                                lambda: "no more descriptors: %r" % containers.descriptors(engine))
    assert engine.status("con") == "running"


def test_events_tell_the_life_of_a_container(engine):
    with engine.stream("GET", "/events?filters=" + hijack.quote({"type": ["container"]})) as events:
        assert events.status == 200
        engine.create("con", "sh", "-c", "exit 3", host={"NetworkMode": "bridge"}, Labels={"who": "me"})
        engine.begin("con")
        assert engine.exit_code("con") == 3
        engine.request_ok("POST", "/containers/con/rename?name=con2")
        engine.request_ok("DELETE", "/containers/con2")
        seen = []
        while not seen or seen[-1]["Action"] != "destroy":
            seen.append(json.loads(events.until(b"\n")))
    actions = [event["Action"] for event in seen]
    assert [a for a in actions if a in ("create", "start", "die", "rename", "destroy")] == [
        "create", "start", "die", "rename", "destroy"], actions
    assert seen[0]["Actor"]["Attributes"]["name"] == "con"
    assert seen[0]["Actor"]["Attributes"]["image"] == "busybox"
    assert seen[0]["Actor"]["Attributes"]["who"] == "me"
    died = next(event for event in seen if event["Action"] == "die")
    assert died["Actor"]["Attributes"]["exitCode"] == "3"
