# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 of the daemon, of conmon, of the container's process and of the runtime; a full disk; a
missing program. What runs goes on, what was begun is undone, and nothing is left."""
import os
import signal
import stat

import pytest

import containers
import harness
import machine

pytest_plugins = ["container_fixtures"]
pytestmark = containers.cnm_only
ATTACH = "/containers/con/attach?stream=1&stdin=1&stdout=1&stderr=1"
TALK = ("sh", "-c", "echo on; while read x; do echo got:$x; test $x != end || exit 33; done")


def test_attach_wait_and_logs_go_on(engine, cnm):
    cnm.run("-i", "--name", "con", "busybox", *TALK)
    with engine.stream("POST", ATTACH, upgrade=True) as stream:
        stream.send(b"one\n")
        stream.until(b"got:one\n")
        engine.kill9()
        stream.rest()
    engine.start()
    with engine.stream("POST", ATTACH + "&logs=0", upgrade=True) as stream, \
            engine.stream("POST", "/containers/con/wait") as waiting:
        stream.send(b"two\n")
        stream.until(b"got:two\n")
        stream.send(b"end\n")
        assert waiting.json["StatusCode"] == 33
    assert cnm.say("logs", "con").splitlines() == ["on", "got:one", "got:two", "got:end"]
    assert engine.container("con")["State"]["ExitCode"] == 33


def test_an_end_while_nobody_looked(engine, cnm):
    cnm.run("-i", "--name", "con", "busybox", *TALK)
    cnm.run("--name", "killed", "busybox", *containers.HOLD)
    cnm.run("--rm", "--name", "gone", "busybox", *containers.HOLD)
    pids = [engine.pid_of(name) for name in ("killed", "gone")]
    talk = engine.stream("POST", ATTACH, upgrade=True)
    engine.kill9()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    talk.close()
    engine.start()
    assert engine.exit_code("killed") == 137
    harness.wait_for(lambda: engine.request("GET", "/containers/gone/json").status == 404, "it removed itself")
    assert engine.status("con") == "running"


def test_terminal_over_a_kill(engine, cnm):
    with cnm.terminal("run", "-it", "--name", "con", "busybox") as term:
        term.expect("/ # ")
        engine.kill9()
        engine.start()
        term.end()
    with cnm.terminal("attach", "con", rows=40, columns=120) as term:
        term.send("\r")
        term.expect("/ # ")
        term.send("stty size; exit 4\r")
        term.expect("40 120")
        assert term.end()[0] == 4


def test_exec_ends_with_the_daemon_and_can_be_repeated(engine, cnm):
    cnm.run("--name", "con", "busybox", *containers.HOLD)
    running = cnm.popen("exec", "con", "sleep", "55555", stdout=-1, stderr=-1)
    with running:
        harness.wait_for(lambda: "sleep 55555" in cnm.say("top", "con"), "it runs")
        engine.kill9()
        engine.start()  # whom the command asks how it ended
        assert running.wait(harness.PATIENCE) != 0
    assert cnm("exec", "con", "true").rc == 0
    assert engine.container("con")["ExecIDs"] is None
    cnm("stop", "-t", "0", "con", check=True)
    assert not [line for _, line in engine.processes() if "55555" in line]


def test_conmon_is_killed(engine, cnm):
    """Nobody holds the container any more: it is ended, and told so; it can be started again."""
    cnm.run("--name", "con", "busybox", *containers.HOLD)
    os.kill(engine.conmon_of("con"), signal.SIGKILL)
    engine.await_status("con", "exited")
    assert engine.container("con")["State"]["ExitCode"] != 0
    cnm("start", "con", check=True)
    assert cnm("exec", "con", "true").rc == 0
    os.kill(engine.conmon_of("con"), signal.SIGKILL)
    cnm("rm", "-f", "con", check=True)


def test_conmon_is_killed_while_nobody_looks(engine, cnm):
    cnm.run("--name", "con", "busybox", *containers.HOLD)
    conmon = engine.conmon_of("con")
    engine.kill9()
    os.kill(conmon, signal.SIGKILL)
    engine.start()
    engine.await_status("con", "exited")
    cnm("start", "con", check=True)


def test_the_container_is_killed(engine, cnm):
    cnm.run("--name", "con", "busybox", *containers.HOLD)
    with engine.stream("POST", "/containers/con/wait") as waiting:
        os.kill(engine.pid_of("con"), signal.SIGKILL)
        assert waiting.json["StatusCode"] == 137


WRAPPER = """#!/bin/sh
for word; do
    case $word in create | start | exec | delete | kill)
        if [ -e %(folder)s/kill-$word ]; then kill -9 $$; fi
        if [ -e %(folder)s/hang-$word ]; then echo $$ >%(folder)s/hangs; exec sleep 100000; fi ;;
    esac
done
exec runc "$@"
"""


@pytest.fixture(scope="module")
def shared_wrapped(request, tmp_path_factory):
    """A host whose runtime dies or hangs on demand."""
    folder = tmp_path_factory.mktemp("wrapped")
    path = folder / "runtime"
    path.write_text(WRAPPER % {"folder": folder})
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    with containers.host_with_containers(request, folder, runtime=str(path)) as host:
        host.cases = folder
        yield host


@pytest.fixture
def wrapped(shared_wrapped):
    yield shared_wrapped
    withdraw(shared_wrapped)
    shared_wrapped.tidy()


def demand(host, what):
    (host.cases / what).touch()


def withdraw(host):
    for path in host.cases.glob("kill-*"):
        path.unlink()
    for path in host.cases.glob("hang*"):
        path.unlink()


@pytest.mark.parametrize("word", ["create", "start"])
def test_the_runtime_is_killed(wrapped, word):
    made = wrapped.create("con")
    before = wrapped.dump()
    demand(wrapped, "kill-" + word)
    answer = wrapped.request("POST", "/containers/con/start")
    assert answer.status == 500 and answer.message, repr(answer)
    withdraw(wrapped)
    assert wrapped.status("con") == "created" and wrapped.container("con")["State"]["Error"]
    assert not [line for _, line in wrapped.processes() if made in line], wrapped.processes()
    after = wrapped.dump()
    for section in ("mounts", "cgroups", "links"):
        assert before[section] == after[section], section
    wrapped.begin("con")


def test_the_runtime_is_killed_by_an_exec(wrapped):
    wrapped.running("con")
    made = wrapped.request("POST", "/containers/con/exec", {"Cmd": ["true"], "AttachStdout": True}).json["Id"]
    demand(wrapped, "kill-exec")
    with wrapped.stream("POST", "/exec/%s/start" % made, {}) as stream:
        assert b"killed by signal 9" in stream.rest()
    assert wrapped.request("GET", "/exec/%s/json" % made).json["ExitCode"] not in (None, 0)
    withdraw(wrapped)
    assert wrapped.status("con") == "running"


def test_the_daemon_is_killed_while_the_runtime_hangs(wrapped):
    made = wrapped.create("con")
    demand(wrapped, "hang-create")
    starting = wrapped.later("POST", "/containers/con/start")
    harness.wait_for(lambda: (wrapped.cases / "hangs").exists(), "the runtime hangs")
    wrapped.kill9()
    with pytest.raises(Exception):
        starting()
    withdraw(wrapped)
    wrapped.start()
    harness.wait_for(lambda: not [line for _, line in wrapped.processes() if made in line],
                     lambda: "what was begun is ended: %r" % wrapped.processes())
    assert wrapped.status("con") in ("created", "exited")
    wrapped.begin("con")


def test_full_disk(engine, cnm):
    cnm.run("--name", "on", "busybox", *containers.HOLD)
    with machine.full_disk(engine):
        refused = cnm("run", "--name", "con", "busybox", "true")
        assert refused.rc == 125, repr(refused)
        assert "no space left" in refused.err.lower(), repr(refused)
        assert cnm("exec", "on", "true").rc == 0
        assert engine.status("on") == "running"
    assert not [c for c in engine.request("GET", "/containers/json?all=1").json if c["State"] == "running"
                and c["Names"] != ["/on"]]
    engine.request("DELETE", "/containers/con?force=1")
    assert cnm("run", "--rm", "busybox", "true").rc == 0


@pytest.mark.parametrize("option,reason", [("--runtime", "/no/such/runtime"), ("--conmon", "/no/such/conmon"),
                                           ("--seccomp", "/no/such/profile"), ("--busybox", "/no/such/busybox")])
def test_a_missing_part(bare_host, option, reason):
    """Networks are served; containers say why not."""
    bare_host.start(option, reason)
    bare_host.network("net1")
    bare_host.sandbox("box", "net1")
    bare_host.compare = False
    made = bare_host.request("POST", "/containers/create?name=con", {"Image": "busybox", "Cmd": ["true"]})
    answer = bare_host.request("POST", "/containers/con/start") if made.status == 201 else made
    assert answer.status in ((503,) if option in ("--runtime", "--conmon") else (404, 500, 503)), repr(answer)
    assert reason in answer.message, repr(answer)
    bare_host.clear()
    bare_host.stop()
    bare_host.tear_down()


def test_upgrade(engine, cnm):
    """The daemon ends cleanly and another takes over; a client that comes between waits."""
    cnm.run("-i", "--name", "con", "busybox", *TALK)
    pid = engine.pid_of("con")
    engine.stop()
    engine.start()
    assert engine.pid_of("con") == pid
    assert cnm("attach", "con", input="end\n").rc == 33


def test_nothing_of_the_daemon_is_in_the_container(engine, cnm):
    """The container and its conmon hold no descriptor of the daemon's: not its database, not its socket."""
    cnm.run("--name", "con", "busybox", *containers.HOLD)
    for pid in (engine.pid_of("con"), engine.conmon_of("con")):
        for fd in os.listdir("/proc/%d/fd" % pid):
            target = os.readlink("/proc/%d/fd/%s" % (pid, fd))
            assert "cnm.db" not in target and "cnmd.log" not in target and "keeper" not in target, target
