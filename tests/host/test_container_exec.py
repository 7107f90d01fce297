# SPDX-License-Identifier: LGPL-2.1-or-later
"""Further processes in a container."""
import hashlib
import random

import pytest

import containers

pytest_plugins = ["container_fixtures"]


@pytest.fixture
def con(engine, client):
    client.run("--name", "con", "-e", "OWN=container", "busybox", *containers.HOLD)
    return client


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_exit_code(con, code):
    assert con("exec", "con", "sh", "-c", "exit %d" % code).rc == code


def test_a_signal(con):
    assert con("exec", "con", "sh", "-c", "kill -9 $$").rc == 137


def test_what_cannot_be_executed(con):
    for program, code, said in (
            ("no-such-program", 127, r"executable file not found in \$PATH"),
            ("/no/such/program", 127, "no such file or directory"),
            ("/etc/passwd", 126, "permission denied")):
        result = con("exec", "con", program)
        # 20.10 says it on the attached stdout, and the code is 126 for all.
        assert result.rc == containers.words(code, result.rc) and result.rc in (126, 127), repr(result)
        assert containers.re.search(said, result.out + result.err), repr(result)


def test_streams(con):
    result = con("exec", "-i", "con", "sh", "-c", "cat; echo err >&2", input="in")
    assert (result.rc, result.out, result.err) == (0, "in", "err\n")
    assert con("exec", "con", "cat", input="lost").out == ""


def test_a_megabyte(con):
    data = random.Random(3).randbytes(1 << 20)
    result = con("exec", "-i", "con", "cat", input=data, text=False)
    assert result.rc == 0 and hashlib.sha256(result.out).digest() == hashlib.sha256(data).digest()


def test_environment(con):
    shown = con.say("exec", "-e", "MORE=x y", "-e", "OWN=exec", "con", "env").splitlines()
    assert "MORE=x y" in shown and "OWN=exec" in shown and "OWN=container" not in shown
    assert "HOME=/root" in shown and any(line.startswith("PATH=/usr/local/sbin:") for line in shown)


def test_directory(con):
    assert con.say("exec", "con", "pwd") == "/\n"
    assert con.say("exec", "-w", "/tmp", "con", "pwd") == "/tmp\n"
    refused = con("exec", "-w", "/no/such", "con", "pwd")
    assert refused.rc != 0


def test_user(con):
    assert con.say("exec", "-u", "nobody", "con", "id", "-u") == "65534\n"
    assert con.say("exec", "-u", "12:34", "con", "sh", "-c", "id -u; id -g") == "12\n34\n"
    refused = con("exec", "-u", "stranger", "con", "id")
    assert refused.rc == 126 or refused.rc == 1
    assert "unable to find user stranger: no matching entries in passwd file" in refused.err + refused.out


def test_its_processes_are_the_containers(engine, con):
    con("exec", "-d", "con", "sleep", "77777", check=True)
    shown = con.say("exec", "con", "ps")
    assert "sleep 77777" in shown and "sleep 100000" in shown
    assert "sleep 77777" in con.say("top", "con")


def test_detached(engine, con):
    result = con("exec", "-d", "con", "sh", "-c", "echo said; echo done >/tmp/file")
    assert (result.rc, result.out) == (0, "")
    containers.harness.wait_for(lambda: con("exec", "con", "cat", "/tmp/file").out == "done\n", "it has run")
    assert engine.logged("con") == (b"", b"")


def test_not_of_one_that_does_not_run(engine, client):
    made = engine.create("con", "true")
    refused = client("exec", "con", "true")
    assert refused.rc == 1 and "is not running" in refused.err
    answer = engine.request("POST", "/containers/con/exec", {"Cmd": ["true"]})
    assert answer.status == 409
    assert answer.message == containers.words("container %s is not running", "Container %s is not running") % made
    missing = client("exec", "nobody", "true")
    assert missing.rc == 1 and "No such container: nobody" in missing.err


def test_privileged(con):
    assert "00000000a80425fb" in con.say("exec", "con", "grep", "CapEff", "/proc/self/status")
    lifted = con("exec", "--privileged", "con", "grep", "CapEff", "/proc/self/status")
    # 20.10 asks for capabilities that the machine itself may not have.
    assert lifted.rc == containers.words(0, lifted.rc) and "00000000a80425fb" not in lifted.out


def test_confined_like_the_container(con):
    shown = con.say("exec", "con", "grep", "-E", "^(CapBnd|CapInh|Seccomp):", "/proc/self/status")
    assert dict(line.split() for line in shown.splitlines())["Seccomp:"] == "2"
    assert "CapBnd:\t00000000a80425fb" in shown


def test_the_end_of_the_container_ends_it(engine, con):
    with con.popen("exec", "con", *containers.HOLD, stdout=-1, stderr=-1) as running:
        containers.harness.wait_for(lambda: con.say("exec", "con", "ps").count("sleep 100000") == 2, "it runs")
        con("kill", "con", check=True)
        assert running.wait(containers.harness.PATIENCE) == 137


def test_a_background_process_does_not_hold_it(con):
    """The end of the process is the end, though another has its stdout."""
    assert con("exec", "con", "sh", "-c", "sleep 100000 & echo out").out == "out\n"


def test_inspect(engine):
    engine.running("con")
    answer = engine.request("POST", "/containers/con/exec", {
        "AttachStdout": True, "Cmd": ["sh", "-c", "exit 6"], "Tty": True, "User": "nobody"})
    made = answer.json["Id"]
    assert answer.status == 201 and len(made) == 64
    assert engine.container("con")["ExecIDs"] == [made]
    with engine.stream("POST", "/exec/%s/start" % made, {"Tty": True}, upgrade=True) as stream:
        stream.rest()
    shown = containers.harness.wait_for(lambda: (lambda found: found if not found["Running"] else None)(
        engine.request("GET", "/exec/%s/json" % made).json), "it has ended")
    assert shown["ID"] == made and shown["ExitCode"] == 6 and shown["OpenStdout"] is True
    assert shown["ProcessConfig"] == {"tty": True, "entrypoint": "sh", "arguments": ["-c", "exit 6"],
                                      "privileged": False, "user": "nobody"}
    again = engine.request("POST", "/exec/%s/start" % made, {"Detach": True})
    assert again.status == 409
    assert engine.request("GET", "/exec/nosuch/json").message == "No such exec instance: nosuch"
    refused = engine.request("POST", "/containers/con/exec", {"Cmd": []})
    assert (refused.status, refused.message) == (400, "No exec command specified")


def test_many_at_once(engine, stock):
    stock.run("--name", "con", "busybox", *containers.HOLD)
    running = [stock.popen("exec", "con", "sh", "-c", "echo %d; exit %d" % (i, i), stdout=-1) for i in range(10)]
    for i, process in enumerate(running):
        with process:
            assert process.stdout.read() == b"%d\n" % i
            assert process.wait() == i
    # Nothing of them is left in the container.
    containers.harness.wait_for(lambda: len(stock.say("top", "con").splitlines()) == 2, "they are gone")
