# SPDX-License-Identifier: LGPL-2.1-or-later
"""The store of a cluster, against real etcd, Consul and ZooKeeper: what cluster/kv.h promises
(tests/unit/kv_suite.c), and what becomes of it when servers end, forget, hang, or are not there."""
import collections
import contextlib
import re
import select
import signal
import socket
import subprocess

import pytest

import harness
import netlink
import stores

SUITE = "tests/kv-suite"
MS = "15000"
PATIENCE = str(int(90 * harness.SLOW))
DEAD = "127.0.0.1:9"

Place = collections.namedtuple("Place", "netns folder")


@pytest.fixture
def place(tmp_path):
    """A network namespace with nothing but loopback, where the store and its clients run."""
    holder = harness.Holder("-n")
    harness.run_in(holder.netns, "ip", "link", "set", "lo", "up")
    yield Place(holder.netns, tmp_path)
    holder.end()


@pytest.fixture(params=stores.KINDS)
def store(request, place):
    with stores.start(request.param, place.netns, place.folder) as made:
        yield made


def options(tls):
    return ["--cacert", tls.ca, "--cert", tls.cert, "--key", tls.key] if tls else []


def run_suite(place, url, tls=None, part="check"):
    argv = [harness.program(SUITE), *options(tls), url, part]
    with netlink.inside(place.netns):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=600 * harness.SLOW,
                              env={"CMOCKA_MESSAGE_OUTPUT": "TAP", "LSAN_OPTIONS": harness.LSAN,
                                   "PATH": harness.PATH})
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "not ok" not in said, said
    assert not harness.SANITIZER.search(said), said
    planned = sum(map(int, re.findall(r"^1\.\.(\d+)$", said, re.M)))
    assert len(re.findall(r"^ok \d", said, re.M)) == planned > (30 if part == "check" else 20), said


class Shell:
    """A client of the store that keeps a copy of it, told what to do line by line."""

    def __init__(self, place, url, tls=None, ttl=2):
        argv = [harness.program(SUITE), "--ttl", str(ttl), *options(tls), url, "shell"]
        with netlink.inside(place.netns):
            self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE, text=True,
                                            env={"LSAN_OPTIONS": harness.LSAN, "PATH": harness.PATH})
        self.opened = self.process.stdout.readline().strip()
        self.closed = False

    def say(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def hear(self):
        ready, _, _ = select.select([self.process.stdout], [], [], 200 * harness.SLOW)
        assert ready, "the client does not answer"
        return self.process.stdout.readline().strip()

    def ask(self, *words):
        self.say(*words)
        return self.hear()

    def put(self, key, value):
        assert self.ask("put", key, value, MS) == "ok"

    def sees(self, key, value="-"):
        assert self.ask("sees", key, value, PATIENCE) == "yes", (key, value)

    def is_same(self):
        """Its copy is what the store says; how many keys that are."""
        answer = self.ask("same", PATIENCE).split()
        assert answer[0] == "same", answer
        return int(answer[1])

    def reached(self, yes):
        answer = self.ask("reached", "yes" if yes else "no", PATIENCE)
        assert answer.startswith("yes"), answer
        return answer[4:]

    @property
    def alls(self):
        calls, wrong = map(int, self.ask("alls").split())
        assert wrong == 0
        return calls

    def close(self):
        """No call of the watcher was wrong, nothing leaked."""
        if self.closed:
            return
        assert self.alls >= 0
        self.closed = True
        _, errors = self.process.communicate(timeout=30 * harness.SLOW)
        assert self.process.returncode == 0 and not harness.SANITIZER.search(errors), errors

    def kill(self):
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def shell(place, url, **how):
    made = Shell(place, url, **how)
    try:
        assert made.opened == "open", made.opened
        yield made
        made.close()
    finally:
        if made.process.poll() is None:
            made.kill()


@contextlib.contextmanager
def silent(place):
    """A server that takes connections, and says nothing."""
    with netlink.inside(place.netns):
        sock = socket.create_server(("127.0.0.1", 0))
    with sock:
        yield "127.0.0.1:%d" % sock.getsockname()[1]


@pytest.fixture
def client(place, store):
    with shell(place, store.url("faults")) as made:
        made.reached(True)
        yield made


@pytest.fixture
def other(place, store):
    with shell(place, store.url("faults")) as made:
        made.reached(True)
        yield made


def test_promises(place, store):
    run_suite(place, store.url("suite/a-b.c"))


def test_promises_without_a_prefix(place, store):
    run_suite(place, store.url(), part="brief")


@pytest.mark.parametrize("kind", ["etcd", "consul"])
def test_promises_with_tls(place, kind):
    with stores.start(kind, place.netns, place.folder, tls=True) as store:
        run_suite(place, store.url("suite"), store.certificates, part="brief")


@pytest.mark.parametrize("kind", ["etcd", "zookeeper"])
def test_ipv6(place, kind):
    with stores.start(kind, place.netns, place.folder, addresses=("::1",)) as store:
        with shell(place, store.url("six")) as client:
            client.put("k", "v")
            client.sees("k", "v")
            assert client.ask("server") == store.members[0].name


@pytest.mark.parametrize("kind", ["etcd", "consul"])
def test_the_wrong_ca(place, kind):
    with stores.start(kind, place.netns, place.folder, tls=True) as store:
        others = stores.Certificates(str(place.folder / "others"), "127.0.0.1")
        with shell(place, store.url("p"), tls=others) as client:
            answer = client.ask("get", "k", "3000")
            assert answer.startswith("error unavailable") and store.members[0].name in answer, answer
            assert "certificate" in answer.lower(), answer
            assert client.reached(False)
        with shell(place, store.url("p")) as client:
            assert client.ask("get", "k", "3000").startswith("error unavailable")


def test_zookeeper_has_no_tls(place):
    certificates = stores.Certificates(str(place.folder / "tls"), "127.0.0.1")
    refused = Shell(place, "zk://127.0.0.1:2181", tls=certificates)
    assert refused.opened.startswith("error invalid: TLS"), refused.opened
    refused.process.communicate()


def test_restarted(store, client, other):
    """Nothing is missed, by whoever reads and whoever watches."""
    for i in range(20):
        other.put("before/%d" % i, "1")
    client.sees("before/19", "1")
    for round_ in range(2):
        store.restart()
        client.reached(True)
        other.reached(True)
        other.put("before/0", "round-%d" % round_)
        other.put("after/%d" % round_, "new")
        assert other.ask("delete", "before/%d" % (round_ + 1), MS) == "ok"
        client.sees("after/%d" % round_, "new")
        client.sees("before/%d" % (round_ + 1))
        assert client.is_same() == 20
        assert other.is_same() == 20


def test_a_request_fails_while_it_is_down(store, client):
    client.put("k", "v")
    store.kill()
    for words in (("get", "k"), ("list", "-"), ("put", "k", "w")):
        answer = client.ask(*words, "1000")
        assert answer.startswith("error unavailable") and store.members[0].name in answer, answer
    client.reached(False)
    store.start()
    client.reached(True)
    assert client.ask("get", "k", MS) == "value v"
    client.put("k", "w")
    client.sees("k", "w")


def test_deadlines_while_it_hangs(store, client):
    """Deadlines hold; and all goes on when it does, whatever became of what was asked."""
    client.put("k", "v")
    store.pause()
    for words in (("get", "k"), ("list", "-"), ("put", "k", "w")):
        answer = client.ask(*words, "500")
        assert answer.startswith("error unavailable") and store.members[0].name in answer, answer
    store.resume()
    client.reached(True)
    client.put("k", "x")
    client.sees("k", "x")
    assert client.is_same() == 1


def test_closing_while_it_hangs(place, store):
    with shell(place, store.url("p")) as client:
        client.put("k", "v")
        assert client.ask("keep", "kept", "v") == "ok"
        client.sees("kept", "v")
        store.pause()
        client.say("get", "k", "500")
        client.hear()


def test_wiped(store, client, other):
    for i in range(5):
        client.put("old/%d" % i, "1")
    assert client.ask("keep", "hosts/me", "here") == "ok"
    other.sees("hosts/me", "here")
    other.sees("old/4", "1")
    alls = other.alls
    store.restart(wipe=True)
    assert other.ask("more-alls", str(alls), PATIENCE) == "yes"
    # What is kept is put back, and nothing else.
    other.sees("hosts/me", "here")
    other.sees("old/0")
    client.put("new/0", "1")
    other.sees("new/0", "1")
    assert client.is_same() == 2
    assert other.is_same() == 2


def test_many_keys_over_a_restart(store, client, other):
    """More than fit into what a server takes as one request."""
    assert other.ask("fill", "12000") == "ok"
    assert client.is_same() == 12000
    store.restart()
    other.put("k", "v")
    client.sees("k", "v")
    assert client.is_same() == other.is_same() == 12001


def test_kept_over_a_restart(store, client, other):
    assert client.ask("keep", "hosts/me", "one") == "ok"
    other.sees("hosts/me", "one")
    store.restart()
    other.reached(True)
    assert client.ask("keep", "hosts/me", "two") == "ok"
    other.sees("hosts/me", "two")
    client.close()
    other.sees("hosts/me")


def test_kept_while_it_hangs_too_long(store, client, other):
    """Longer than the lease: it is there again afterwards, whatever the store thought."""
    assert client.ask("keep", "hosts/me", "one") == "ok"
    other.sees("hosts/me", "one")
    store.pause()
    # The watcher's patience is what passes the time: nothing can be seen meanwhile.
    assert client.ask("sees", "hosts/other", "x", "5") == "no"
    store.resume()
    client.reached(True)
    other.reached(True)
    assert client.ask("keep", "hosts/me", "two") == "ok"
    other.sees("hosts/me", "two")


def test_absent_at_open(place):
    for kind in stores.KINDS:
        if stores.missing(kind):
            continue
        store = stores.Store(kind, place.netns, place.folder)
        with shell(place, store.url("later")) as client, contextlib.closing(store):
            why = client.reached(False)
            assert store.members[0].name in why, why
            assert client.ask("keep", "hosts/me", "patient") == "ok"
            store.start()
            client.reached(True)
            client.sees("hosts/me", "patient")
            client.put("k", "v")
            assert client.is_same() == 2


def test_the_first_is_dead(place, store):
    with shell(place, store.url("p", first=(DEAD,))) as client:
        for i in range(10):
            client.put("k%d" % i, "v")
        assert client.is_same() == 10
        assert client.ask("server") == store.members[0].name


def test_the_first_hangs(place, store):
    """It takes connections, and says nothing."""
    with silent(place) as first, shell(place, store.url("p", first=(first,)), ttl=30) as client:
        client.reached(True)
        client.put("k", "v")
        client.sees("k", "v")


def test_compacted_while_away(place):
    """etcd forgets what the watcher has not seen: it is told everything anew."""
    with stores.start("etcd", place.netns, place.folder) as store, \
            shell(place, store.url("p")) as client, shell(place, store.url("p")) as other:
        client.put("gone", "0")
        client.put("k0", "0")
        client.sees("k0", "0")
        alls = client.alls
        client.process.send_signal(signal.SIGSTOP)
        store.restart()
        for i in range(100):
            other.put("k%d" % (i % 10), str(i))
        assert other.ask("delete", "gone", MS) == "ok"
        store.members[0].compact()
        client.process.send_signal(signal.SIGCONT)
        assert client.ask("more-alls", str(alls), PATIENCE) == "yes"
        client.sees("gone")
        assert client.is_same() == 10


@pytest.fixture
def cluster(place):
    addresses = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    with stores.start("etcd", place.netns, place.folder, addresses=addresses) as made:
        yield made


def test_one_of_three_is_killed_under_load(place, cluster):
    with shell(place, cluster.url("p")) as client, shell(place, cluster.url("p")) as other:
        client.put("k", "v")
        other.sees("k", "v")
        assert client.ask("load", "4") == "ok"
        for member in cluster.members:
            member.kill()
            for i in range(20):
                other.put("during/%d-%d" % (member.number, i), "v")
            member.start()
        done, conflicts, failed, *text = client.ask("unload").split(None, 3)
        text = " ".join(text)
        assert "LOST" not in text, text
        # A transaction that was cut off is an error; the next attempt finds another server.
        assert int(done) > 100 and int(failed) < int(done) / 4, (done, conflicts, failed, text)
        assert client.is_same() == other.is_same() == 65


def test_one_of_three_hangs(place, cluster):
    with shell(place, cluster.url("p")) as client:
        client.put("k", "v")
        for member in cluster.members:
            member.pause()
            harness.wait_for(lambda: client.ask("put", "k", str(member.number), MS) == "ok",
                             "a write gets through", timeout=60 * harness.SLOW)
            client.sees("k", str(member.number))
            member.resume()
        assert client.is_same() == 1


def test_under_load_and_restarted(store, client, other):
    assert other.ask("load", "3") == "ok"
    for _ in range(3):
        store.restart()
        client.reached(True)
        client.put("k", "v")
    done, _, _, *text = other.ask("unload").split(None, 3)
    assert int(done) > 0 and "LOST" not in " ".join(text), text
    assert client.is_same() == other.is_same() == 4
