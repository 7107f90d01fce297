# SPDX-License-Identifier: LGPL-2.1-or-later
"""Restart policies: after an end, after kill -9, after the daemon's restart, after a reboot."""
import os
import signal

import pytest

import containers
import harness
import machine

pytest_plugins = ["container_fixtures"]
client = containers.fixture_of("docker", "cnm")


def restarted(engine, name, than):
    """Wait until it runs again as another process; the container as inspected."""
    def again():
        found = engine.container(name)
        state = found["State"]
        return found if state["Status"] == "running" and state["Pid"] not in (0, than) else None
    return harness.wait_for(again, lambda: "%s runs again: %r" % (name, engine.container(name)["State"]))


def kill_first_process(engine, name):
    pid = engine.pid_of(name)
    os.kill(pid, signal.SIGKILL)
    return pid


def test_no(engine, client):
    client.run("--name", "con", "busybox", *containers.HOLD)
    kill_first_process(engine, "con")
    engine.await_status("con", "exited")
    assert engine.container("con")["State"]["ExitCode"] == 137
    assert engine.container("con")["RestartCount"] == 0


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_after_kill_9_of_its_process(engine, client, policy):
    client.run("--name", "con", "--restart", policy, "busybox", *containers.HOLD)
    pid = kill_first_process(engine, "con")
    found = restarted(engine, "con", pid)
    assert found["RestartCount"] == 1 and found["HostConfig"]["RestartPolicy"]["Name"] == policy
    assert client("exec", "con", "true").rc == 0


def test_on_failure_gives_up(engine, client):
    client.run("--name", "con", "--restart", "on-failure:3", "busybox", "sh", "-c", "echo try; exit 7")
    harness.wait_for(lambda: engine.container("con")["RestartCount"] == 3
                     and engine.status("con") == "exited", lambda: repr(engine.container("con")["State"]))
    assert client.say("logs", "con") == "try\n" * 4
    assert engine.container("con")["State"]["ExitCode"] == 7
    assert engine.container("con")["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}


def test_on_failure_is_content_with_success(engine, client):
    client.run("--name", "con", "--restart", "on-failure", "busybox", "true")
    assert engine.exit_code("con") == 0
    engine.await_status("con", "exited")
    assert engine.container("con")["RestartCount"] == 0


@pytest.mark.parametrize("verb", [("stop", "-t", "0"), ("kill",)], ids=["stop", "kill"])
def test_stopped_by_hand_it_stays_so(engine, client, verb):
    client.run("--name", "con", "--restart", "always", "busybox", *containers.HOLD)
    client(*verb, "con", check=True)
    engine.await_status("con", "exited")
    client("start", "con", check=True)
    pid = kill_first_process(engine, "con")
    restarted(engine, "con", pid)


def test_stop_while_it_waits_to_be_restarted(engine, client):
    client.run("--name", "con", "--restart", "always", "busybox", "sh", "-c", "exit 1")
    harness.wait_for(lambda: engine.container("con")["RestartCount"] > 2, "it was restarted")
    client("stop", "con", check=True)
    engine.await_status("con", "exited")
    count = engine.container("con")["RestartCount"]
    client("rm", "con", check=True)
    assert count > 2 and engine.request("GET", "/containers/con/json").status == 404


def test_rm_while_it_waits_to_be_restarted(engine, client):
    client.run("--name", "con", "--restart", "always", "busybox", "false")
    harness.wait_for(lambda: engine.container("con")["RestartCount"] > 1, "it was restarted")
    client("rm", "-f", "con", check=True)
    assert engine.request("GET", "/containers/con/json").status == 404


def test_refused(client):
    for argv, said in ((("--restart", "sometimes"), "invalid restart policy"),
                       (("--restart", "always:3"), "maximum r"),
                       (("--rm", "--restart", "always"), "--rm")):
        refused = client("run", "-d", *argv, "busybox", "true")
        assert refused.rc != 0 and said in refused.err.lower(), repr(refused)


def policies(engine):
    """One of each; those of the second row were stopped by hand."""
    for name, policy in (("no", ""), ("failing", "on-failure"), ("always", "always"), ("unless", "unless-stopped"),
                         ("always-stopped", "always"), ("unless-stopped", "unless-stopped")):
        engine.running(name, *containers.HOLD, host={"RestartPolicy": {"Name": policy}})
        if name.endswith("-stopped"):
            engine.request_ok("POST", "/containers/%s/stop?t=0" % name)


def running(engine):
    return {c["Names"][0][1:] for c in engine.request("GET", "/containers/json").json if c["State"] == "running"}


@containers.cnm_only
@pytest.mark.parametrize("kill", [False, True], ids=["clean", "kill"])
def test_over_the_daemons_restart(engine, kill):
    """What runs goes on as it is; nothing that was stopped is started, but "always"."""
    policies(engine)
    pids = {name: engine.pid_of(name) for name in running(engine)}
    assert set(pids) == {"no", "failing", "always", "unless"}
    engine.restart(kill=kill)
    assert {name: engine.pid_of(name) for name in pids} == pids
    assert running(engine) - set(pids) <= {"always-stopped"} and engine.status("unless-stopped") == "exited"


@containers.cnm_only
def test_ended_while_the_daemon_was_away(engine):
    policies(engine)
    pids = {name: engine.pid_of(name) for name in running(engine)}
    engine.kill9()
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    engine.start()
    for name in ("failing", "always", "unless"):
        restarted(engine, name, pids[name])
    engine.await_status("no", "exited")
    assert engine.container("no")["State"]["ExitCode"] == 137


@containers.cnm_only
def test_reboot(engine, cnm):
    engine.request_ok("POST", "/networks/create", {"Name": "net1", "IPAM": {"Config": [{"Subnet": "10.61.0.0/24"}]}})
    policies(engine)
    engine.running("on-net", *containers.HOLD, host={"NetworkMode": "net1", "RestartPolicy": {"Name": "always"}})
    engine.running("plain", *containers.HOLD, host={"NetworkMode": "net1"})
    before = {name: engine.container(name)["NetworkSettings"]["Networks"]["net1"] for name in ("on-net", "plain")}
    pid = engine.pid_of("always")
    machine.reboot(engine)
    engine.start()
    harness.wait_for(lambda: {"always", "unless", "on-net"} <= running(engine), lambda: repr(running(engine)))
    assert running(engine) <= {"always", "unless", "on-net", "always-stopped", "failing"}
    assert engine.pid_of("always") != pid
    for name in ("no", "plain"):
        state = engine.container(name)["State"]
        assert state["Status"] == "exited" and state["ExitCode"] != 0 and state["Pid"] == 0
    cnm("start", "plain", check=True)
    for name, was in before.items():
        now = engine.container(name)["NetworkSettings"]["Networks"]["net1"]
        assert (now["IPAddress"], now["MacAddress"]) == (was["IPAddress"], was["MacAddress"])
    assert cnm("exec", "plain", "ping", "-c1", "-W5", "on-net").rc == 0
    engine.wait_healed()
