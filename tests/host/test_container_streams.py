# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes in and out of a container by `run` without a terminal, and how it ends."""
import hashlib
import random

import pytest

import containers

pytest_plugins = ["container_fixtures"]
MEGABYTE = random.Random(1).randbytes(1 << 20)


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_exit_code(client, code):
    assert client("run", "--rm", "busybox", "sh", "-c", "exit %d" % code).rc == code


def test_exit_code_of_a_signal(engine, client):
    assert client("run", "--name", "con", "busybox", "sh", "-c", "sh -c 'kill -9 $$'; exit $?").rc == 137
    assert engine.container("con")["State"]["ExitCode"] == 137


def test_what_cannot_be_executed(engine, client):
    for program, code, said in (
            ("no-such-program", 127, r"executable file not found in \$PATH"),
            ("/no/such/program", 127, "no such file or directory"),
            ("/etc/passwd", 126, "permission denied"),
            ("/etc", 126, "permission denied|is a directory")):
        result = client("run", "--name", "con", "busybox", program)
        assert result.rc == code, repr(result)
        assert containers.re.search(said, result.err) and result.out == "", repr(result)
        state = engine.container("con")["State"]
        assert (state["Status"], state["ExitCode"]) == ("created", code), state
        assert client("rm", "con").rc == 0


def test_what_the_daemon_refuses_is_125(client):
    for argv, said in (
            (("run", "--net", "nonet", "busybox", "true"), "network nonet not found"),
            (("run", "-w", "relative", "busybox", "true"), "the working directory 'relative' is invalid, it needs to be an absolute path"),
            (("run", "--name", "a/b", "busybox", "true"), "Invalid container name"),
            (("run", "--memory", "1k", "busybox", "true"), "Minimum memory limit"),
            (("run", "-u", "stranger", "busybox", "true"), "unable to find user stranger: no matching entries in passwd file"),
            (("run", "--no-such-flag", "busybox", "true"), "unknown flag: --no-such-flag")):
        result = client(*argv)
        assert result.rc == 125 and said in result.err, repr(result)


def test_streams_are_apart(client):
    result = client("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; echo more")
    assert (result.rc, result.out, result.err) == (0, "out\nmore\n", "err\n")


def test_one_stream_only(client):
    both = ("busybox", "sh", "-c", "echo out; echo err >&2")
    result = client("run", "--rm", "-a", "stderr", *both)
    assert (result.out, result.err) == ("", "err\n")
    result = client("run", "--rm", "-a", "stdout", *both)
    assert (result.out, result.err) == ("out\n", "")


def test_a_megabyte_through_cat(client):
    result = client("run", "--rm", "-i", "busybox", "cat", input=MEGABYTE, text=False)
    assert result.rc == 0 and result.err == b""
    assert hashlib.sha256(result.out).digest() == hashlib.sha256(MEGABYTE).digest()


def test_a_megabyte_out_of_each(client):
    result = client("run", "--rm", "busybox", "sh", "-c",
                    "dd if=/dev/zero bs=4096 count=256 2>/dev/null & "
                    "dd if=/dev/zero bs=4096 count=256 >&2 2>/dev/null; wait")
    assert result.rc == 0 and len(result.out) == len(result.err) == 1 << 20


def test_without_i_stdin_is_empty(client):
    result = client("run", "--rm", "busybox", "cat", input="lost")
    assert (result.rc, result.out) == (0, "")


def test_the_end_of_stdin_ends_the_reader(client):
    result = client("run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo after; exit 4", input="")
    assert (result.rc, result.out) == (4, "after\n")


def test_stdin_that_nobody_reads(client):
    """The end of the container is the end of the command, whatever is left in the pipe."""
    result = client("run", "--rm", "-i", "busybox", "sh", "-c", "exit 6", input=MEGABYTE, text=False)
    assert result.rc == 6


def test_detached_says_the_id_and_goes(engine, client):
    made = client.run("--name", "con", "busybox", "sh", "-c", "read x; echo got:$x; exit 5")
    assert engine.container("con")["Id"] == made
    assert engine.exit_code("con") == 5  # its stdin is /dev/null
    assert engine.logged("con") == (b"got:\n", b"")


def test_detached_with_stdin_open_waits_for_it(engine, client):
    client.run("-i", "--name", "con", "busybox", "sh", "-c", "read x; echo got:$x; exit 5")
    assert engine.status("con") == "running"
    with client.popen("attach", "con", stdin=-1, stdout=-1) as attached:
        # The end of what is typed would end the attachment, as it is not the end of its stdin.
        attached.stdin.write(b"word\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == b"got:word\n"
        assert attached.wait(containers.harness.PATIENCE) == 5
    assert engine.exit_code("con") == 5


def test_detached_with_a_terminal(engine, client):
    client.run("-t", "--name", "con", "busybox", "sh", "-c", "test -t 0 && test -t 1 && echo yes")
    assert engine.exit_code("con") == 0
    assert client.say("logs", "con") == "yes\r\n"


def test_a_terminal_wants_a_terminal(client):
    result = client("run", "--rm", "-it", "busybox", "true", input="")
    assert result.rc == 1 and "the input device is not a TTY" in result.err


def test_output_with_a_terminal_but_no_stdin(client):
    result = client("run", "--rm", "-t", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.rc, result.out, result.err) == (7, "out\r\nerr\r\n", "")


def test_rm_removes_it_with_its_volumes(engine, client):
    assert client("run", "--rm", "-v", "/data", "busybox", "true").rc == 0
    assert client.say("ps", "-aq") == ""
    assert not engine.request("GET", "/volumes").json["Volumes"]


def test_a_detached_one_removes_itself(engine, client):
    made = client.run("--rm", "busybox", *containers.HOLD)
    assert client("kill", made).rc == 0
    containers.harness.wait_for(
        lambda: engine.request("GET", "/containers/%s/json" % made).status == 404, "it is gone")


def test_start_attached_after_create(engine, client):
    client.say("create", "-i", "--name", "con", "busybox", "sh", "-c", "cat; exit 8")
    assert engine.status("con") == "created"
    result = client("start", "-ai", "con", input="words")
    assert (result.rc, result.out) == (8, "words")
    result = client("start", "-ai", "con", input="again")
    assert (result.rc, result.out) == (8, "again")
    assert client.say("logs", "con") == "wordsagain"


def test_signals_are_handed_on(engine, client):
    with client.popen("run", "--name", "con", "busybox", *containers.POLITE, stdout=-1) as running:
        assert running.stdout.readline() == b"ready\n"
        running.terminate()
        assert running.wait(containers.harness.PATIENCE) == 9
    assert engine.container("con")["State"]["ExitCode"] == 9


def test_cidfile(tmp_path, engine, client):
    made = client.run("--cidfile", str(tmp_path / "cid"), "busybox", "true")
    assert (tmp_path / "cid").read_text() == made
    engine.exit_code(made)
    again = client("run", "-d", "--cidfile", str(tmp_path / "cid"), "busybox", "true")
    assert again.rc == 125 and "container ID file found" in again.err
