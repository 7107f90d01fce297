# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stop, kill, restart, rename, rm: what they do, what they answer, what they refuse."""
import pytest

import containers
import harness
from containers import words

pytest_plugins = ["container_fixtures"]
client = containers.fixture_of("docker", "cnm")


def test_stop_asks_first(engine, client):
    client.run("--name", "con", "busybox", *containers.POLITE)
    engine.await_logged("con", b"ready\n")
    assert client.say("stop", "con") == "con\n"
    state = engine.container("con")["State"]
    assert (state["Status"], state["ExitCode"], state["Running"], state["Pid"]) == ("exited", 9, False, 0)


def test_stop_kills_what_does_not_listen(engine, client):
    # Before it is the container's own, process 1 is the runtime's, and ends at SIGTERM with 2.
    client.run("--name", "con", "busybox", "sh", "-c", "echo ready; exec sleep 100000")
    engine.await_logged("con", b"ready\n")
    assert client.say("stop", "-t", "1", "con") == "con\n"
    assert engine.container("con")["State"]["ExitCode"] == 137


def test_stop_signal_and_timeout_of_the_container(engine, client):
    client.run("--name", "con", "--stop-signal", "USR1", "--stop-timeout", "60", "busybox", "sh", "-c",
               "trap 'exit 11' USR1; echo ready; while :; do sleep 100000 & wait $!; done")
    engine.await_logged("con", b"ready\n")
    client("stop", "con", check=True)
    assert engine.container("con")["State"]["ExitCode"] == 11


def test_kill(engine, client):
    client.run("--name", "con", "busybox", *containers.POLITE)
    engine.await_logged("con", b"ready\n")
    assert client.say("kill", "-s", "TERM", "con") == "con\n"
    assert engine.exit_code("con") == 9
    client("start", "con", check=True)
    client("kill", "con", check=True)
    assert engine.exit_code("con") == 137
    refused = client("kill", "con")
    assert refused.rc == 1 and "is not running" in refused.err
    client("start", "con", check=True)
    refused = client("kill", "-s", "NONSENSE", "con")
    assert refused.rc == 1 and "nvalid signal: NONSENSE" in refused.err


def test_restart(engine, client):
    client.run("--name", "con", "busybox", *containers.POLITE)
    engine.await_logged("con", b"ready\n")
    before = engine.container("con")["State"]
    assert client.say("restart", "con") == "con\n"
    after = engine.container("con")["State"]
    assert after["Running"] and after["Pid"] != before["Pid"] and after["StartedAt"] > before["StartedAt"]
    client("stop", "-t", "0", "con", check=True)
    client("restart", "con", check=True)
    assert engine.status("con") == "running"


def test_start_again_keeps_what_was_written(engine, client):
    client.run("--name", "con", "busybox", "sh", "-c", "cat /tmp/file; echo written >/tmp/file")
    engine.exit_code("con")
    assert client.say("start", "-a", "con") == "written\n"


def test_statuses_of_what_is_so_already(engine):
    made = engine.create("con", *containers.HOLD)
    assert engine.request("POST", "/containers/con/stop").status == 304
    assert engine.request("POST", "/containers/con/start").status == 204
    assert engine.request("POST", "/containers/%s/start" % made[:12]).status == 304
    assert engine.request("POST", "/containers/con/stop?t=0").status == 204
    assert engine.request("POST", "/containers/con/stop").status == 304
    killed = engine.request("POST", "/containers/con/kill")
    assert killed.status == 409
    assert killed.message == words("cannot kill container: con: container %s is not running" % made,
                                   "Cannot kill container: con: Container %s is not running" % made)


def test_rm(engine, client):
    client.run("--name", "con", "busybox", *containers.HOLD)
    refused = client("rm", "con")
    assert refused.rc == 1
    assert words('cannot remove container "con": container is running: stop the container before removing '
                 "or force remove", "You cannot remove a running container") in refused.err.replace("/con", "con")
    assert engine.status("con") == "running"
    assert client.say("rm", "-f", "con") == "con\n"
    missing = client("rm", "con")
    assert missing.rc == 1 and "No such container: con" in missing.err
    forced = client("rm", "-f", "con")
    assert "No such container: con" in forced.err


def test_rm_refused_by_the_api(engine):
    engine.running("con")
    answer = engine.request("DELETE", "/containers/con")
    assert answer.status == 409
    if not words(False, True):
        assert answer.message == ('cannot remove container "/con": container is running: stop the container '
                                  "before removing or force remove")
    assert engine.request("DELETE", "/containers/con?force=1").status == 204
    assert engine.request("DELETE", "/containers/con?force=1").status == 404


def test_rename(engine, client):
    client.run("--name", "con", "busybox", *containers.HOLD)
    client.run("--name", "other", "busybox", *containers.HOLD)
    client("rename", "con", "fresh", check=True)
    assert engine.container("fresh")["Name"] == "/fresh"
    assert engine.request("GET", "/containers/con/json").status == 404
    refused = client("rename", "fresh", "other")
    assert refused.rc == 1 and 'is already in use by container "' in refused.err
    refused = client("rename", "fresh", "not/valid")
    assert refused.rc == 1 and "Invalid container name" in refused.err
    refused = client("rename", "fresh", "fresh")
    assert refused.rc == 1 and "same name" in refused.err
    assert engine.container("fresh")["Name"] == "/fresh"


def test_a_name_is_taken_once(engine, client):
    made = engine.create("con", "true")
    refused = client("run", "--name", "con", "busybox", "true")
    assert refused.rc == 125
    assert ('The container name "/con" is already in use by container "%s". You have to remove (or rename) '
            "that container to be able to reuse that name." % made) in refused.err
    answer = engine.request("POST", "/containers/create?name=con", {"Image": "busybox"})
    assert answer.status == 409 and answer.message.startswith("Conflict. ")


def test_names_are_made(engine, client):
    """A container without a name gets one."""
    made = client.run("busybox", "true")
    name = engine.container(made)["Name"]
    assert harness.re.fullmatch(r"/[a-z0-9]+_[a-z0-9]+", name)
    assert engine.container(name[1:])["Id"] == made


def test_references(engine, client):
    made = client.run("--name", "con", "busybox", *containers.HOLD)
    for ref in ("con", made, made[:12], made[:4]):
        assert engine.container(ref)["Id"] == made, ref
    assert engine.request("GET", "/containers/nobody/json").message == "No such container: nobody"


def test_wait(engine, client):
    client.run("--name", "one", "busybox", "sh", "-c", "exit 3")
    client.run("--name", "two", "busybox", "sh", "-c", "exit 4")
    assert client.say("wait", "one", "two") == "3\n4\n"
    missing = client("wait", "nobody")
    assert missing.rc == 1 and "No such container: nobody" in missing.err


def test_several_at_once_and_one_missing(engine, client):
    for name in ("one", "two"):
        client.run("--name", name, "busybox", *containers.HOLD)
    result = client("stop", "-t", "0", "one", "nobody", "two")
    assert result.rc == 1 and sorted(result.out.split()) == ["one", "two"] and "nobody" in result.err
    assert engine.status("one") == engine.status("two") == "exited"


def test_the_end_of_the_first_process_is_the_end_of_all(engine, client):
    client.run("--name", "con", "busybox", "sh", "-c", "sleep 77777 & sleep 77777 & echo on; exec sleep 100000")
    engine.await_logged("con", b"on\n")
    client("kill", "con", check=True)
    engine.exit_code("con")
    harness.wait_for(lambda: not [line for _, line in engine.processes() if "77777" in line],
                     lambda: "none of its processes is left: %r" % engine.processes())


def test_force_while_it_is_being_started(engine):
    """Whatever comes first, nothing is left."""
    for _ in range(3):
        engine.create("con", *containers.HOLD)
        with engine.stream("POST", "/containers/con/wait?condition=removed") as gone:
            starting = engine.later("POST", "/containers/con/start")
            engine.request("DELETE", "/containers/con?force=1")
            starting()
            engine.request("DELETE", "/containers/con?force=1")
            gone.rest()
        assert engine.request("GET", "/containers/con/json").status == 404


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "kill", "rename?name=x1", "wait", "resize?h=1&w=1"])
def test_of_nobody(engine, verb):
    answer = engine.request("POST", "/containers/nobody/" + verb)
    assert answer.status == 404 and answer.message.endswith("No such container: nobody")
