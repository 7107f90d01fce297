# SPDX-License-Identifier: LGPL-2.1-or-later
"""A person at a terminal: run -it, attach, exec -it, detaching, resizing."""
import contextlib

import containers

pytest_plugins = ["container_fixtures"]
PROMPT = "/ # "
DETACH = "\x10\x11"


def ask(term, line, pattern):
    """Type a line; what it says. The terminal shows what is typed too, which is not the answer."""
    term.send(line + "\r")
    term.expect(r"\r\n")
    return term.expect(pattern)


def resize(term, rows, columns, asked):
    """Until it is followed: a client begins to watch its terminal when the container runs already."""
    def followed():
        term.resize(rows, columns + 1)
        term.resize(rows, columns)
        return asked() == "%d %d" % (rows, columns)
    containers.harness.wait_for(followed, "the size is followed", every=0.2)


def shell_size(term):
    term.send("\r")
    term.expect(PROMPT)
    return ask(term, "stty size", r"(\d+ \d+|Interrupted)").group(1)


def test_shell(engine, client):
    with client.terminal("run", "-it", "--rm", "--name", "con", "busybox", rows=30, columns=100) as term:
        term.expect(PROMPT)
        containers.harness.wait_for(lambda: shell_size(term) == "30 100", "its size is the terminal's")
        term.expect(PROMPT)
        ask(term, "tty", r"/dev/pts/0|/dev/console")
        ask(term, "echo $TERM-$((6 * 7))", r"xterm-42")
        assert engine.container("con")["Config"]["Tty"]
        term.send("exit 42\r")
        assert term.end()[0] == 42
    assert engine.request("GET", "/containers/con/json").status == 404


def test_resize(client):
    with client.terminal("run", "-it", "--rm", "--name", "con", "busybox", "sh", "-c",
                         "trap 'stty size' WINCH; echo ready; while :; do sleep 100000 & wait $!; done") as term:
        term.expect("ready")

        def told():
            with contextlib.suppress(AssertionError):
                return term.expect(r"(\d+ \d+)\r\n", timeout=1).group(1)
        for rows, columns in ((33, 77), (50, 120), (20, 60), (24, 80)):
            resize(term, rows, columns, told)
        client("kill", "con", check=True)
        assert term.end()[0] == 137


def test_resize_of_a_shell(client):
    with client.terminal("run", "-it", "--rm", "busybox") as term:
        term.expect(PROMPT)
        resize(term, 33, 77, lambda: shell_size(term))
        term.send("exit\r")
        assert term.end()[0] == 0


def test_control_c_is_the_programs(client):
    with client.terminal("run", "-it", "--rm", "busybox") as term:
        term.expect(PROMPT)
        term.send("sh -c 'echo on; exec sleep 100000'\r")
        term.expect("\non\r\n")
        term.send("\x03")
        term.expect(PROMPT)
        ask(term, "echo code $?", "code 130")
        term.expect(PROMPT)
        term.send("\x04")
        term.end()


def test_detach_and_attach_again(engine, client):
    with client.terminal("run", "-it", "--name", "con", "busybox") as term:
        term.expect(PROMPT)
        ask(term, "word=kept", PROMPT)
        term.send(DETACH)
        assert term.end()[0] == 0
    assert engine.status("con") == "running"
    with client.terminal("attach", "con") as term:
        term.send("\r")
        term.expect(PROMPT)
        ask(term, "echo $word", "kept")
        term.send("exit 3\r")
        assert term.end()[0] == 3


def test_other_detach_keys(engine, client):
    with client.terminal("run", "-it", "--detach-keys", "ctrl-a,x", "--name", "con", "busybox") as term:
        term.expect(PROMPT)
        ask(term, "echo a-x", "a-x")
        term.send("\x01x")
        assert term.end()[0] == 0
    assert engine.status("con") == "running"


def test_half_of_the_detach_keys_is_typed(client):
    with client.terminal("run", "-it", "--rm", "busybox", "sh", "-c",
                         "stty raw -echo; echo ready; dd bs=1 count=2 2>/dev/null | od -An -tx1") as term:
        term.expect("ready")
        term.send("\x10z")
        term.expect("10 7a")
        assert term.end()[0] == 0


def test_two_at_one_terminal(client):
    client.run("-it", "--name", "con", "busybox")
    with client.terminal("attach", "con") as one, client.terminal("attach", "con") as two:
        one.send("\r")
        one.expect(PROMPT)
        two.send("\r")  # by now it may have missed the first
        two.expect(PROMPT)
        two.send("echo both-$((40 + 2))\r")
        one.expect("both-42")
        two.expect("both-42")
        one.send(DETACH)
        one.end()
        two.send("exit 9\r")
        assert two.end()[0] == 9


def test_exec(engine, client):
    client.run("--name", "con", "busybox", *containers.HOLD)
    with client.terminal("exec", "-it", "con", "sh", rows=31, columns=99) as term:
        term.expect(PROMPT)
        containers.harness.wait_for(lambda: shell_size(term) == "31 99", "its size is the terminal's")
        resize(term, 40, 90, lambda: shell_size(term))
        term.send("exit 12\r")
        assert term.end()[0] == 12
    assert engine.status("con") == "running"


def test_exec_detaches(engine, client):
    client.run("--name", "con", "busybox", *containers.HOLD)
    with client.terminal("exec", "-it", "con", "sh") as term:
        term.expect(PROMPT)
        term.send(DETACH)
        term.end()
    assert engine.status("con") == "running"


def test_a_terminal_that_is_closed_does_not_end_the_container(engine, client):
    with client.terminal("run", "-it", "--name", "con", "busybox") as term:
        term.expect(PROMPT)
        term.process.kill()
    engine.await_status("con", "running")
    with client.terminal("attach", "con") as term:
        term.send("exit 2\r")
        assert term.end()[0] == 2
