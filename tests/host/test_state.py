# SPDX-License-Identifier: LGPL-2.1-or-later
"""The database and the directory: one owner, newer schemas, damage, a full disk."""
import contextlib
import os
import shutil

import pytest

import harness
import wire

DIRECTORY = "/var/lib/cnm"


def start_fails(host, *options):
    """Its last words."""
    result = host.run(harness.program(harness.DAEMON), "--keeper", harness.program(harness.KEEPER),
                      *options, check=False, timeout=harness.PATIENCE)
    assert result.rc not in (0, 99) and result.rc > 0, repr(result)
    return result.err


def test_the_second_daemon_is_told_the_pid(host):
    pid = host.run("sh", "-c", "cat %s/lock" % DIRECTORY, check=False).out.strip()
    real = next(str(p) for p, line in host.processes() if "/cnmd" in line and "nsenter" not in line)
    words = start_fails(host, "--socket", "/run/cnm/second.sock", "--run-dir", "/run/second")
    assert real in words and DIRECTORY in words, words
    assert pid in ("", real)
    assert host.answers()
    host.run("rm", "-rf", "/run/second")


def sql(host, statement):
    return host.run("sqlite3", DIRECTORY + "/cnm.db", statement).out.strip()


def test_newer_schema(host):
    host.network("net")
    host.stop()
    version = int(sql(host, "PRAGMA user_version"))
    sql(host, "PRAGMA user_version = %d" % (version + 7))
    words = start_fails(host)
    assert "cnm.db" in words and "schema %d" % (version + 7) in words, words
    sql(host, "PRAGMA user_version = %d" % version)
    host.start()
    assert host.inspect("net")


@pytest.mark.parametrize("how", ["header", "middle", "cut"])
def test_damaged_at_start(host, how):
    for number in range(5):
        host.network("n%d" % number)
    host.stop()
    shutil.copyfile(host.database, host.folder + "/good.db")
    size = os.path.getsize(host.database)
    with open(host.database, "r+b") as f:
        if how == "header":
            f.write(b"not a database" * 10)
        elif how == "middle":
            for page in range(1, size // 4096):
                f.seek(page * 4096)
                f.write(b"\xa5" * 2048)
        else:
            f.truncate(size // 2)
    host.compare = False
    host.start(wait=False)
    harness.wait_for(lambda: host.daemon.poll() is not None or host.answers(), "it ends or answers")
    if host.daemon.poll() is None:
        # It serves what it could not read back: then changes are refused, with the file's name.
        answer = host.request("POST", "/networks/create", {"Name": "new"})
        assert answer.status >= 500 and "cnm.db" in answer.message, repr(answer)
        host.kill9()
    else:
        assert host.ended() != 0
        assert "cnm.db" in host.log_text()
    for suffix in ("-wal", "-shm"):
        if os.path.exists(host.database + suffix):
            os.unlink(host.database + suffix)
    shutil.copyfile(host.folder + "/good.db", host.database)
    host.compare = True
    host.start()
    assert host.inspect("n4")


def notes_of(host):
    host.doctor()
    return host.notes


def fill(host):
    """A file that takes what room the state directory's file system has."""
    fd = os.open(host.root + DIRECTORY + "/ballast", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(fd, b"\0" * 4096)
    os.close(fd)


def test_full_disk(bare_host):
    host = bare_host
    host.run("mkdir", "-p", DIRECTORY)
    host.run("mount", "-t", "tmpfs", "-o", "size=1m", "small", DIRECTORY)
    host.start()
    host.network("net")
    host.sandbox("one", "net")
    host.sandbox("two", "net")
    host.wait_healed()
    fill(host)
    refused = None
    for number in range(400):  # until the database's own reserve is used up
        answer = host.api("POST", "/networks/create", {"Name": "n%d" % number, "Labels": {
            "ballast": "x" * 4000}})
        if answer.status >= 400:
            refused = answer
            break
    assert refused and refused.status >= 500 and "cnm.db" in refused.message, repr(refused)
    assert "space" in refused.message
    view = host.inside("one")
    assert view.reaches(host.address("two", "net"))
    assert wire.ask(view, "two").texts == [host.address("two", "net")]
    assert any("cnm.db" in note for note in notes_of(host))
    os.unlink(host.root + DIRECTORY + "/ballast")
    host.network("after")
    host.restart()
    assert host.inspect("after") and host.inspect("net")
    host.wait_healed()
    host.clear()
    host.stop()
    host.tear_down()


def test_state_directory_that_cannot_be_written(bare_host):
    host = bare_host
    host.run("mkdir", "-p", DIRECTORY)
    host.run("mount", "-t", "tmpfs", "-o", "ro", "closed", DIRECTORY)
    assert DIRECTORY in start_fails(host)


def test_tcp_is_refused_by_name(bare_host):
    words = start_fails(bare_host, "-H", "tcp://127.0.0.1:2375")
    assert "tcp://" in words


@pytest.mark.parametrize("options", [
    ("--nosuch",), ("--state-dir",), ("--instance", "not ok"), ("--instance", ""), ("extra",),
    ("--bridge-name", "a-name-of-more-than-15"), ("--state-dir", "/dev/null/x")])
def test_bad_options(bare_host, options):
    assert start_fails(bare_host, *options).strip()


@pytest.mark.daemon("--bridge-name", "br77", "--instance", "other")
def test_instance_and_default_bridge(host):
    assert host.link("br77") and not host.link("cnm0")
    assert ":other:" in host.run("ip", "-d", "link", "show", "br77").out
    assert host.inspect("bridge")["Options"]["com.docker.network.bridge.name"] == "br77"
    host.sandbox("con", "bridge")
    assert host.inside("con").reaches(harness.LAN4)


def test_socket_mode(host):
    info = os.stat(host.socket_path)
    assert info.st_mode & 0o777 == 0o660


@pytest.mark.daemon("--no-ip-forward")
def test_no_forwarding(host):
    answer = host.api("POST", "/networks/create", {"Name": "net"})
    assert answer.status >= 400 and "net.ipv4.ip_forward" in answer.message, repr(answer)
