# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a container said, afterwards and as it goes on."""
import datetime
import re

import pytest

import containers
import truth

pytest_plugins = ["container_fixtures"]
client = containers.fixture_of("docker", "cnm")
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
TICKS = ("sh", "-c", "for i in 1 2 3 4 5; do echo line $i; done; echo err >&2")


def ended(engine, client, *cmd, flags=()):
    client.run("--name", "con", *flags, "busybox", *cmd)
    engine.exit_code("con")


def test_both_streams(engine, client):
    ended(engine, client, *TICKS)
    result = client("logs", "con", check=True)
    assert result.out.splitlines() == ["line %d" % i for i in range(1, 6)]
    assert result.err == "err\n"


def test_tail(engine, client):
    ended(engine, client, "sh", "-c", "for i in $(seq 1000); do echo line $i; done")
    assert client.say("logs", "-n", "3", "con").splitlines() == ["line 998", "line 999", "line 1000"]
    assert client.say("logs", "--tail", "0", "con") == ""
    assert len(client.say("logs", "--tail", "all", "con").splitlines()) == 1000
    assert len(client.say("logs", "--tail", "5000", "con").splitlines()) == 1000


def test_timestamps(engine, client):
    ended(engine, client, *TICKS)
    lines = client.say("logs", "-t", "con").splitlines()
    assert all(re.fullmatch(STAMP + r" line \d", line) for line in lines), lines
    assert lines == sorted(lines) and len(lines) == 5
    started = engine.container("con")["State"]["StartedAt"]
    assert started <= lines[0].split()[0] or truth.ASKED  # Docker looks at the clock afterwards


def test_since_and_until(engine, client):
    client.run("-i", "--name", "con", "busybox", "sh", "-c", "echo one; read x; echo two; read x; echo three")
    engine.await_logged("con", b"one\n")
    with engine.stream("POST", "/containers/con/attach?stream=1&stdin=1", upgrade=True) as stream:
        stream.send(b"\n")
        engine.await_logged("con", b"two\n")
        stream.send(b"\n")
        assert engine.exit_code("con") == 0
    lines = client.say("logs", "-t", "con").splitlines()
    stamps = [line.split(" ")[0] for line in lines]
    assert client.say("logs", "--since", stamps[1], "con") == "two\nthree\n"
    assert client.say("logs", "--until", stamps[0], "con") == "one\n"
    assert client.say("logs", "--since", stamps[1], "--until", stamps[1], "con") == "two\n"
    assert client.say("logs", "--since", "10m", "con") == "one\ntwo\nthree\n"
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)
    assert client.say("logs", "--since", later.strftime("%Y-%m-%dT%H:%M:%SZ"), "con") == ""


def test_follow_to_the_end(engine, client):
    client.run("-i", "--name", "con", "busybox", "sh", "-c", "echo one; read x; echo two; read x; exit 3")
    with client.popen("logs", "-f", "con", stdout=-1) as following, \
            engine.stream("POST", "/containers/con/attach?stream=1&stdin=1", upgrade=True) as stream:
        assert following.stdout.readline() == b"one\n"
        stream.send(b"\n")
        assert following.stdout.readline() == b"two\n"
        assert following.poll() is None
        stream.send(b"\n")
        assert following.stdout.read() == b""
        assert following.wait(containers.harness.PATIENCE) == 0


def test_follow_with_a_tail(engine, client):
    client.run("-i", "--name", "con", "busybox", "sh", "-c", "echo one; echo two; read x; echo three")
    engine.await_logged("con", b"two\n")
    with client.popen("logs", "-f", "--tail", "1", "con", stdout=-1) as following, \
            engine.stream("POST", "/containers/con/attach?stream=1&stdin=1", upgrade=True) as stream:
        assert following.stdout.readline() == b"two\n"
        stream.send(b"\n")
        assert following.stdout.read() == b"three\n"
        following.wait(containers.harness.PATIENCE)


def test_follow_a_line_as_it_grows(engine):
    """A piece without a newline is there at once."""
    engine.running("con", "sh", "-c", "printf piece; read x; echo ' and rest'", OpenStdin=True)
    with engine.stream("GET", "/containers/con/logs?stdout=1&follow=1") as log, \
            engine.stream("POST", "/containers/con/attach?stream=1&stdin=1", upgrade=True) as stream:
        stream.send(b"\n")
        assert log.output() == (b"piece and rest\n", b"")


def test_a_megabyte(engine, client):
    text = "".join("%07d %s\n" % (i, "x" * (i % 200)) for i in range(10000))
    assert len(text) > 1 << 20
    ended(engine, client, "awk", """BEGIN { for (i = 0; i < 10000; i++) {
        s = sprintf("%" (i % 200) "s", ""); gsub(" ", "x", s); printf "%07d %s\\n", i, s } }""")
    assert client.say("logs", "con") == text


def test_one_long_line(engine, client):
    """Longer than any buffer on the way: it comes out as it went in, with one newline."""
    ended(engine, client, "sh", "-c", "head -c 300000 /dev/zero | tr '\\0' a; echo; echo end")
    assert client.say("logs", "con") == "a" * 300000 + "\nend\n"
    lines = client.say("logs", "--tail", "1", "con").splitlines()
    assert lines[-1] == "end"


def test_binary(engine, client):
    ended(engine, client, "printf", r"\000\001\r\377\n")
    assert client("logs", "con", text=False).out == containers.words(
        b"\0\1\r\xff\n", b"\0\1\r\xef\xbf\xbd\n")  # JSON has no such byte


def test_terminal(engine, client):
    ended(engine, client, "sh", "-c", "echo out; echo err >&2", flags=["-t"])
    result = client("logs", "con", check=True)
    assert (result.out, result.err) == ("out\r\nerr\r\n", "")


def test_over_the_containers_restart(engine, client):
    ended(engine, client, "sh", "-c", "echo once")
    client("start", "con", check=True)
    engine.exit_code("con")
    assert client.say("logs", "con") == "once\nonce\n"


@pytest.mark.parametrize("kill", [False, True], ids=["clean", "kill"])
def test_over_the_daemons_restart(engine, stock, kill):
    stock.run("-i", "--name", "con", "busybox", "sh", "-c", "echo before; read x; echo after; read x")
    engine.await_logged("con", b"before\n")
    engine.restart(kill=kill)
    assert stock.say("logs", "con") == "before\n"
    with stock.popen("logs", "-f", "con", stdout=-1) as following, \
            engine.stream("POST", "/containers/con/attach?stream=1&stdin=1", upgrade=True) as stream:
        stream.send(b"\n")
        assert following.stdout.readline() == b"before\n"
        assert following.stdout.readline() == b"after\n"
        stream.send(b"\n")
        assert following.stdout.read() == b""
        following.wait(containers.harness.PATIENCE)


def test_of_one_that_never_ran(engine, client):
    engine.create("con", "true")
    result = client("logs", "con", check=True)
    assert (result.out, result.err) == ("", "")
    missing = client("logs", "nobody")
    assert missing.rc == 1 and "No such container: nobody" in missing.err


def test_wire(engine):
    engine.running("con", *TICKS)
    engine.exit_code("con")
    answer = engine.request("GET", "/containers/con/logs")
    assert answer.status == 400
    assert answer.message == "Bad parameters: you must choose at least one stream"
    with engine.stream("GET", "/containers/con/logs?stderr=1") as stream:
        assert stream.output() == (b"", b"err\n")
    with engine.stream("GET", "/containers/con/logs?stdout=true&tail=6") as stream:
        assert stream.output()[0].startswith(b"line 1\n")
    refused = engine.request("GET", "/containers/con/logs?stdout=1&since=nonsense")
    assert refused.status in containers.words((400,), (400, 500))
