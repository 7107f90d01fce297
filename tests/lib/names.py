# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests of names share: servers on the far side that do as they are told, questions in a tight loop, and
messages that no resolver library would make.

A *place* is anything with .socket(family=, kind=), which opens one in a network namespace: harness.Inside,
traffic.Place."""
import contextlib
import heapq
import ipaddress
import re
import selectors
import socket
import struct
import threading
import time

import harness
import traffic
import wire
from wire import A, AAAA, NXDOMAIN, SERVFAIL

RESOLVER = ("127.0.0.11", 53)
FORMERR = 1
SOA, OPT = 6, 41
TCP_MAX = 65535


def reverse(address):
    return ipaddress.ip_address(address).reverse_pointer


# ------------------------------------------------------------------------------- messages

def name_of(*labels):
    """Any bytes as labels, of any length below 256."""
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def question(name, kind=A):
    return (name if isinstance(name, bytes) else wire.encode_name(name)) + struct.pack("!2H", kind, 1)


def message(*questions, number=0x1234, flags=0x0100, counts=None, more=b""):
    """counts: (questions, answers, authority, additional), where they are not the true ones."""
    counts = counts or (len(questions), 0, 0, 0)
    return struct.pack("!6H", number, flags, *counts) + b"".join(questions) + more


def with_edns(name, kind=A, size=4096, number=0x1234, version=0, dnssec=False):
    record = b"\0" + struct.pack("!HHBBHH", OPT, size, 0, version, 0x8000 if dnssec else 0, 0)
    return message(question(name, kind), number=number, counts=(1, 0, 0, 1), more=record)


class Reply(wire.Reply):
    """Also with what the tests of messages look at."""

    def __init__(self, data):
        super().__init__(data)
        self.data = data
        self.counts = struct.unpack_from("!4H", data, 4)
        self.edns = self.counts[3] > 0


def connect(place, tcp=False, server=RESOLVER, timeout=5 * harness.SLOW):
    sock = place.socket(kind=socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    sock.settimeout(timeout)
    sock.connect(server)
    return sock


def exchange(place, data, known, **how):
    """The reply to one message by UDP, or None if there is none that comes before the reply to a question for the
    name `known`, which is sent behind it."""
    with connect(place, **how) as sock:
        sock.send(data)
        sock.send(message(question(known), number=0xFFFE))
        got = sock.recv(TCP_MAX)
        return None if got[:2] == b"\xff\xfe" else Reply(got)


def exchange_tcp(place, *messages, **how):
    """The replies to messages that are sent in one piece over one connection, by their numbers."""
    with connect(place, tcp=True, **how) as sock:
        sock.sendall(b"".join(struct.pack("!H", len(data)) + data for data in messages))
        stream = sock.makefile("rb")
        replies = {}
        for _ in messages:
            head = stream.read(2)
            if len(head) < 2:
                raise ConnectionError("closed without a reply")
            reply = Reply(stream.read(struct.unpack("!H", head)[0]))
            replies[reply.number] = reply
        return replies


def ask(place, name, kind=A, tcp=False, number=0x1234, timeout=5 * harness.SLOW):
    """One question, once."""
    data = message(question(name, kind), number=number)
    if tcp:
        return exchange_tcp(place, data, timeout=timeout)[number]
    with connect(place, timeout=timeout) as sock:
        sock.send(data)
        return Reply(sock.recv(TCP_MAX))


def found(place, name, kind=A, **how):
    """(code, addresses)"""
    reply = ask(place, name, kind, **how)
    return reply.code, reply.texts


# ------------------------------------------------------------------------------- servers

class Asked:
    """A query as it came to a server."""

    def __init__(self, data, peer, tcp):
        self.data, self.peer, self.tcp = data, peer, tcp
        self.name, pos = _spelled(data)
        self.kind, = struct.unpack_from("!H", data, pos)
        self.question = data[12:pos + 4]
        self.key = self.name.lower()


def _spelled(data):
    """The name as it is written, odd bytes as Latin-1."""
    labels, pos = [], 12
    while data[pos]:
        labels.append(data[pos + 1:pos + 1 + data[pos]].decode("latin-1"))
        pos += 1 + data[pos]
    return ".".join(labels), pos + 1


def record(kind, body, ttl=0, owner=b"\xc0\x0c"):
    return owner + struct.pack("!HHIH", kind, 1, ttl, len(body)) + body


def reply_to(asked, code=0, answers=(), authority=(), flags=0x8180, number=None, asked_for=None):
    return struct.pack("!6H", struct.unpack_from("!H", asked.data)[0] if number is None else number, flags | code,
                       1, len(answers), len(authority), 0) + (
        asked_for or asked.question) + b"".join(answers) + b"".join(authority)


# Behaviours: functions of what was asked that return [(seconds from now, reply), ...].

def says(*addresses, ttl=0):
    """The addresses of the kind that is asked for. Nothing is to be kept unless a test says for how long."""
    def behave(asked):
        wanted = [socket.inet_pton(traffic.family_of(a), a) for a in addresses
                  if (":" in a) == (asked.kind == AAAA)] if asked.kind in (A, AAAA) else []
        answers = [record(asked.kind, body, ttl) for body in wanted]
        return [(0, reply_to(asked, answers=answers, authority=() if answers else (_soa(ttl),)))]
    return behave


def _soa(ttl):
    numbers = struct.pack("!5I", 1, 3600, 600, 86400, ttl)
    return record(SOA, name_of(b"ns") + name_of(b"admin") + numbers, ttl, owner=b"\0")


def missing(ttl=None):
    """NXDOMAIN, for so long; None: it does not say how long."""
    return lambda asked: [(0, reply_to(asked, NXDOMAIN, authority=(_soa(ttl),) if ttl else ()))]


def fails(code=SERVFAIL):
    return lambda asked: [(0, reply_to(asked, code))]


def never(asked):
    return []


def late(seconds, behave):
    return lambda asked: [(seconds + at, data) for at, data in behave(asked)]


def first(junk, behave):
    """junk: a function of what was asked that makes bytes; what is right comes after it."""
    return lambda asked: [(0, junk(asked)), *late(0.05, behave)(asked)]


def only(junk):
    return lambda asked: [(0, junk(asked))]


WRONG = {
    "garbage": lambda asked: b"\xa5" * 300,
    "nothing": lambda asked: b"",
    "short": lambda asked: asked.data[:11],
    "another id": lambda asked: reply_to(asked, number=struct.unpack_from("!H", asked.data)[0] ^ 0x5555, answers=[
        record(A, bytes(4))]),
    "another name": lambda asked: reply_to(asked, answers=[record(A, bytes(4))], asked_for=question("other.example")),
    "another type": lambda asked: reply_to(asked, answers=[record(A, bytes(4))], asked_for=question(asked.name, 99)),
    "no reply": lambda asked: asked.data,
    "no question": lambda asked: asked.data[:2] + struct.pack("!5H", 0x8180, 0, 0, 0, 0),
    "half a question": lambda asked: reply_to(asked)[:-3],
}


def padded(size, ttl=0):
    """A reply of this many bytes; truncated by UDP where the query takes less."""
    def behave(asked):
        left, answers = size - 12 - len(asked.question), []
        while left:
            length = min(left, 12 + 256)
            if 0 < left - length < 14:  # no room for another
                length -= 14
            text = bytes([length - 13]) + b"x" * (length - 13)
            answers.append(record(wire.TXT, text, ttl))
            left -= length
        data = reply_to(asked, answers=answers)
        assert len(data) == size, (len(data), size)
        if not asked.tcp and size > udp_size(asked.data):
            data = reply_to(asked, flags=0x8380)
        return [(0, data)]
    return behave


def udp_size(data):
    """What a query says it takes."""
    additional, = struct.unpack_from("!H", data, 10)
    if not additional:
        return 512
    _, pos = _spelled(data)
    kind, size = struct.unpack_from("!HH", data, pos + 5)
    return max(512, size) if kind == OPT else 512


class Upstream:
    """A DNS server by UDP and TCP. script: {name in lower case: behaviour}, other for the rest. Keeps all it was
    asked."""

    def __init__(self, place, address="192.0.2.1", script=None, other=None, port=53):
        self.script, self.other, self.asked = dict(script or {}), other or missing(), []
        self.selector = selectors.DefaultSelector()
        self.later, self.number = [], 0  # a heap of (when, number, function)
        self.udp = _bound(place, address, socket.SOCK_DGRAM, port)
        self.tcp = _bound(place, address, socket.SOCK_STREAM, port)
        self.tcp.listen(64)
        self.ours, theirs = socket.socketpair()
        self.selector.register(self.udp, selectors.EVENT_READ, self._datagram)
        self.selector.register(self.tcp, selectors.EVENT_READ, self._accept)
        self.selector.register(theirs, selectors.EVENT_READ, None)
        self.streams = {}
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            wait = max(0, self.later[0][0] - time.monotonic()) if self.later else None
            for key, _ in self.selector.select(wait):
                if key.data is None:
                    key.fileobj.close()
                    return
                # What a client does wrong, or that it is gone, does not end the server.
                with contextlib.suppress(OSError, IndexError, struct.error):
                    key.data(key.fileobj)
            while self.later and self.later[0][0] <= time.monotonic():
                with contextlib.suppress(OSError):
                    heapq.heappop(self.later)[2]()

    def _datagram(self, sock):
        data, peer = sock.recvfrom(TCP_MAX)
        for at, reply in self._behave(Asked(data, peer, False)):
            self._send(at, lambda reply=reply: sock.sendto(reply, peer))

    def _accept(self, sock):
        stream, peer = sock.accept()
        stream.setblocking(False)
        self.streams[stream] = b""
        self.selector.register(stream, selectors.EVENT_READ, lambda s: self._stream(s, peer))

    def _stream(self, stream, peer):
        try:
            data = stream.recv(TCP_MAX)
        except ConnectionError:
            data = b""
        if not data:
            self.selector.unregister(stream)
            del self.streams[stream]
            stream.close()
            return
        self.streams[stream] += data
        length = struct.unpack_from("!H", self.streams[stream])[0] if len(self.streams[stream]) > 1 else TCP_MAX
        if len(self.streams[stream]) < 2 + length:
            return
        data, self.streams[stream] = self.streams[stream][2:2 + length], self.streams[stream][2 + length:]
        for at, reply in self._behave(Asked(data, peer, True)):
            self._send(at, lambda reply=reply: _send_all(stream, struct.pack("!H", len(reply)) + reply))

    def _behave(self, asked):
        self.asked.append(asked)
        return self.script.get(asked.key, self.other)(asked)

    def _send(self, seconds, send):
        if seconds:
            self.number += 1
            heapq.heappush(self.later, (time.monotonic() + seconds, self.number, send))
        else:
            send()

    def times(self, name, kind=None):
        """How often it was asked for a name."""
        return sum(asked.key == name.lower() and kind in (None, asked.kind) for asked in list(self.asked))

    @property
    def keys(self):
        return {asked.key for asked in list(self.asked)}

    def close(self):
        self.ours.close()
        self.thread.join()
        for sock in (self.udp, self.tcp, *self.streams):
            sock.close()
        self.selector.close()


def _send_all(stream, data):
    stream.setblocking(True)
    stream.settimeout(harness.PATIENCE)
    stream.sendall(data)
    stream.setblocking(False)


def _bound(place, address, kind, port):
    sock = traffic.open_socket(place, traffic.family_of(address), kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if kind == socket.SOCK_DGRAM:
        wire.patient(sock)
    sock.bind((address, port))
    return sock


@contextlib.contextmanager
def upstream(host, address=harness.LAN4, script=None, other=None, place=None):
    """On the LAN, at an address that is added where it is not there."""
    if not place:
        place = traffic.lan(host)
        if address != harness.LAN4:
            host.run_lan("ip", "addr", "replace", address + "/24", "dev", "lan0")
    server = Upstream(place, address, script, other)
    try:
        yield server
    finally:
        server.close()


# ------------------------------------------------------------------------------- the host's file

class ResolvConf:
    """The host's /etc/resolv.conf: written in place, as it is a mount point. `restore` puts back what was there."""

    def __init__(self, host):
        self.path = host.folder + "/resolv.conf"
        with open(self.path) as f:
            self.before = f.read()

    def write(self, text):
        with open(self.path, "w") as f:
            f.write(text)

    def restore(self):
        self.write(self.before)


def nameservers(*addresses, more=""):
    return "".join("nameserver %s\n" % address for address in addresses) + more


# ------------------------------------------------------------------------------- without a pause

class Loop:
    """Asks name after name from one place without a pause: one query at a time, none of them twice, so that one
    that is not answered in time is a failure. expected: {name: addresses}."""

    def __init__(self, place, expected, timeout=2 * harness.SLOW, fresh=None):
        """fresh: makes the n-th name of those that nobody has asked for before, and what it leads to."""
        self.place, self.expected, self.timeout, self.fresh = place, expected, timeout, fresh
        self.answered, self.wrong, self.slowest, self.stopping = 0, [], 0.0, False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        number = 0
        while not self.stopping:
            for name, addresses in self._names(number):
                self._ask(name, sorted(addresses), number & 0xFFFF)
                number += 1

    def _names(self, number):
        yield from self.expected.items()
        if self.fresh:
            yield self.fresh(number)

    def _ask(self, name, addresses, number):
        begun = time.monotonic()
        try:
            got = found(self.place, name, number=number, timeout=self.timeout)
        except OSError as error:
            got = repr(error)
        self.slowest = max(self.slowest, time.monotonic() - begun)
        self.answered += 1
        if got != (0, addresses):
            self.wrong.append((name, got, addresses))

    def advance(self, count=20):
        """Wait for so many answers more."""
        wanted = self.answered + count
        harness.wait_for(lambda: self.answered >= wanted, lambda: "%d answers: %r" % (count, self.wrong[-3:]))

    def stop(self):
        """Ends it; all answers have been right."""
        self.stopping = True
        self.thread.join()
        assert not self.wrong, "%d of %d: %r" % (len(self.wrong), self.answered, self.wrong[:5])
        return self.answered


# ------------------------------------------------------------------------------- files

LOCALHOST4 = "127.0.0.1\tlocalhost\n"
LOCALHOST6 = ("::1\tlocalhost ip6-localhost ip6-loopback\nfe00::%s\tip6-localnet\nff00::%s\tip6-mcastprefix\n"
              "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n")


def own_lines(text):
    """A hosts file without the lines for localhost, of which those of IPv6 are there or not as one."""
    assert text.startswith(LOCALHOST4), text
    rest = text[len(LOCALHOST4):]
    for zero in ("", "0"):
        lines = LOCALHOST6 % (zero, zero)
        if rest.startswith(lines):
            rest = rest[len(lines):]
    assert "localhost" not in rest and "ip6-" not in rest, text
    return rest.splitlines()


def resolv(text):
    """{"nameserver": [...], "search": [...], "options": [...]}; comments, empty lines and the order of unlike lines
    do not matter."""
    out = {"nameserver": [], "search": [], "options": []}
    for line in text.splitlines():
        words = re.split(r"\s+", line.strip())
        if not words[0] or words[0][0] in "#;":
            continue
        if words[0] == "nameserver":
            assert len(words) == 2, line
            out["nameserver"].append(words[1])
        elif words[0] in ("search", "domain"):
            out["search"] = words[1:]
        elif words[0] == "options":
            out["options"] += words[1:]
        else:
            out[words[0]] = words[1:]
    return out

