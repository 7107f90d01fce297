# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real traffic: services that say who they are and whom they see, and probes that ask them.

A *place* is anything with a network namespace in .netns: a host, its LAN, a sandbox seen from inside
(harness.Inside), a container (Place). Services and probes live in this process, on sockets that were
opened inside; nothing is started in the namespaces.

A probe ends as "NAME PEER" (who answered, and whose address it saw), "refused", "unreachable" or
"silent". Probes go out together, so many that must not be answered cost the time of one.
"""
import contextlib
import os
import re
import selectors
import socket
import struct
import sys
import threading
import time

import harness
import netlink

# After so long nothing more is expected. Waiting longer could find more, waiting less never fails.
SILENCE = 0.4 * harness.SLOW
ERRORS = {111: "refused", 104: "refused", 101: "unreachable", 113: "unreachable", 1: "unreachable"}


class Place:
    """A namespace by one of its processes."""

    def __init__(self, pid):
        self.netns = os.open("/proc/%d/ns/net" % pid, os.O_RDONLY | os.O_CLOEXEC)

    def close(self):
        os.close(self.netns)

    def run(self, *argv, **how):
        return harness.run_in(self.netns, *argv, **how)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM, proto=0):
        return open_socket(self, family, kind, proto)


def lan(host):
    """The LAN of a host, as a place with sockets."""
    return _remember(host, Place(host.lan.pid))


def outside(host):
    """The host itself, as a place with sockets."""
    return _remember(host, Place(host.pid))


def of_container(host, name):
    return _remember(host, Place(host.pid_of(name)))


def _remember(host, place):
    host.leftovers.append(place)
    return place


def open_socket(place, family, kind, proto=0):
    with netlink.inside(place.netns):
        return socket.socket(family, kind | socket.SOCK_CLOEXEC, proto)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Services:
    """Every service of a test, on one thread. A datagram is answered by one, a connection by a line
    and its end."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.names = {}  # socket: (name, protocol)
        self.ours, theirs = socket.socketpair()
        self.selector.register(theirs, selectors.EVENT_READ)
        self.stop = theirs
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def add(self, place, name, *ports, protocols=("tcp", "udp"), addresses=("0.0.0.0", "::")):
        for port in ports:
            for protocol in protocols:
                for address in addresses:
                    self._listen(place, name, protocol, address, port)

    def _listen(self, place, name, protocol, address, port):
        sock = open_socket(place, family_of(address), KINDS[protocol])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in address:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.setblocking(False)
        if protocol == "tcp":
            sock.listen(128)
        self.names[sock] = name, protocol
        self.selector.register(sock, selectors.EVENT_READ)

    def _serve(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.stop:
                    return
                with contextlib.suppress(OSError):
                    self._answer(key.fileobj)

    def _answer(self, sock):
        name, protocol = self.names[sock]
        if protocol == "udp":
            _, peer = sock.recvfrom(2048)
            sock.sendto(_said(name, peer), peer)
            return
        client, peer = sock.accept()
        with client:
            client.sendall(_said(name, peer))

    def close(self):
        self.ours.close()
        self.thread.join()
        self.stop.close()
        self.selector.close()
        for sock in self.names:
            sock.close()


def _said(name, peer):
    return ("%s %s" % (name, peer[0])).encode()


# ------------------------------------------------------------------------------- probes

class _Probe:
    """One question on its way."""

    def __init__(self, place, protocol, address, port, source=None):
        self.protocol, self.outcome, self.said = protocol, None, b""
        self.sock = open_socket(place, family_of(address), KINDS[protocol])
        self.sock.setblocking(False)
        try:
            if source:
                self.sock.bind(source if isinstance(source, tuple) else (source, 0))
            self.sock.connect((address, port))
        except BlockingIOError:
            pass
        except OSError as error:
            self.outcome = ERRORS.get(error.errno, error.strerror)
        self.wanted = selectors.EVENT_READ
        self.send()

    def send(self):
        """A datagram, again until it is answered."""
        if self.protocol == "udp" and self.outcome is None:
            self._try(lambda: self.sock.send(b"?"))

    def ready(self):
        if self.outcome is None:
            self._try(self._receive)

    def _receive(self):
        data = self.sock.recv(2048)
        self.said += data
        if not data or self.protocol == "udp":
            self.outcome = self.said.decode() or "closed"

    def _try(self, action):
        try:
            action()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            # A connection that is not there yet is not an answer.
            if error.errno != 107:
                self.outcome = ERRORS.get(error.errno, error.strerror)


def probe_all(wanted, answering=None):
    """{key: outcome} of {key: (place, protocol, address, port[, source])}. Those that must be
    answered (default: all) are waited for with patience, the others until there is silence."""
    answering = set(wanted) if answering is None else set(answering)
    probes = {key: _Probe(*what) for key, what in wanted.items()}
    start = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for probe in probes.values():
            selector.register(probe.sock, probe.wanted, probe)
        while _undecided(probes, answering, time.monotonic() - start):
            for key, _ in selector.select(0.1):
                key.data.ready()
                if key.data.outcome is not None:
                    selector.unregister(key.fileobj)
            for probe in probes.values():
                probe.send()
    for probe in probes.values():
        probe.sock.close()
    return {key: probe.outcome or "silent" for key, probe in probes.items()}


def _undecided(probes, answering, elapsed):
    waiting = [key for key, probe in probes.items() if probe.outcome is None]
    if not waiting:
        return False
    return elapsed < SILENCE or (elapsed < harness.PATIENCE and bool(answering & set(waiting)))


def ask(place, protocol, address, port, source=None):
    """What the one who must be there says."""
    return probe_all({0: (place, protocol, address, port, source)})[0]


def silent(place, protocol, address, port, source=None):
    """Nobody answers: neither now nor soon."""
    outcome = probe_all({0: (place, protocol, address, port, source)}, ())[0]
    return outcome in ("silent", "refused", "unreachable")


def answers(name, *question):
    """For what must be so soon: a network of the host's that has just come is not used at once."""
    said = []

    def asked():
        said[:] = [ask(*question)]
        return said[0].split()[:1] == [name]
    harness.wait_for(asked, lambda: "%s answers %r: %r" % (name, question[1:], said))
    return said[0].split()[1]


# ------------------------------------------------------------------------------- SCTP, by hand

SCTP = 132


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x82F63B78 if crc & 1 else crc >> 1
    return crc ^ 0xFFFFFFFF


def sctp_init(source_port, port):
    """An INIT chunk in a packet with the right checksum."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 0x11223344, 65536, 1, 1, 1)
    head = struct.pack("!HHI", source_port, port, 0)
    return head + struct.pack("<I", crc32c(head + b"\0\0\0\0" + chunk)) + chunk


def sctp_arrives(source, address, port, target, arriving=True):
    """Send an INIT: ("peer", port it came to) at the target, with its checksum verified, or None."""
    family = family_of(address)
    got = open_socket(target, family, socket.SOCK_RAW, SCTP)
    sender = open_socket(source, family, socket.SOCK_RAW, SCTP)
    got.settimeout(0.1)
    end = time.monotonic() + (harness.PATIENCE if arriving else SILENCE)
    with got, sender:
        while time.monotonic() < end:
            sender.sendto(sctp_init(5555, port), (address, 0))
            with contextlib.suppress(socket.timeout):
                data, peer = got.recvfrom(2048)
                packet = data[(data[0] & 15) * 4:] if family == socket.AF_INET else data
                came_from, came_to, _, crc = struct.unpack_from("!HHII", packet)
                assert came_from == 5555
                crc, = struct.unpack_from("<I", packet, 8)
                assert crc == crc32c(packet[:8] + b"\0\0\0\0" + packet[12:]), "checksum"
                return peer[0], came_to
    return None


# ------------------------------------------------------------------------------- requests

def published(*specs):
    """["8080:80", "127.0.0.1:81:80/udp", "9000-9009:9000-9009", "80"] as the API of sandboxes has
    them; an IPv6 address stands in brackets."""
    return [_published(spec) for spec in specs]


def _published(spec):
    rest, _, protocol = spec.partition("/")
    address, host, container = re.fullmatch(
        r"(?:(\[[^]]*\]|\d+\.[\d.]+):)?(?:([\d-]*):)?([\d-]+)", rest).groups()
    first, last = _run(container)
    host_first, host_last = _run(host) if host else (0, 0)
    return {"Protocol": protocol or "tcp", "HostIp": (address or "").strip("[]"),
            "HostFirst": host_first, "HostLast": host_last, "First": first, "Last": last}


def exposed(*specs):
    """["80", "90-99/udp"]"""
    out = []
    for spec in specs:
        ports, _, protocol = spec.partition("/")
        first, last = _run(ports)
        out.append({"Protocol": protocol or "tcp", "First": first, "Last": last})
    return out


def _run(text):
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def bindings(*specs):
    """The same as a container's HostConfig.PortBindings, for single ports."""
    out = {}
    for entry in published(*specs):
        host = str(entry["HostFirst"]) if entry["HostFirst"] else ""
        if entry["HostLast"] != entry["HostFirst"]:
            host += "-%d" % entry["HostLast"]
        out.setdefault("%d/%s" % (entry["First"], entry["Protocol"]), []).append(
            {"HostIp": entry["HostIp"], "HostPort": host})
    return out


def ports_of(host, sandbox):
    """[(protocol, host address, first host port, last, first, last)] as they are now."""
    return sorted((p["Protocol"], p["HostIp"], p["HostFirst"], p["HostLast"], p["First"], p["Last"])
                  for p in host.get("/cnm/v1/sandboxes/" + sandbox)["Ports"])


# ------------------------------------------------------------------------------- the host

BRIDGE = "com.docker.network.bridge."


def bridge_netfilter(host, on):
    """bridge-nf-call-iptables and its like; False if this kernel has none."""
    return host.run("sh", "-c", "cd /proc/sys/net/bridge && for f in bridge-nf-call-ip*tables; do "
                    "echo %d >$f || exit 1; done" % on, check=False).rc == 0


def elements(host, name, family="inet"):
    """The elements of a set or map, as nft -j has them."""
    for entry in host.run("nft", "-j", "list", "table", family, "cnm").json["nftables"]:
        (kind, body), = entry.items()
        if kind in ("set", "map") and body["name"] == name:
            return body.get("elem", [])
    raise AssertionError("there is no set %s" % name)


@contextlib.contextmanager
def host_of_a_file(request, folder, *options, prepare=None, **how):
    """A host that the tests of a file share, held to have nothing left at the end."""
    made = harness.Host(folder)
    failed = request.session.testsfailed
    try:
        made.compare = False
        if prepare:
            prepare(made)
        made.start(*options, **how)
        made.wait_healed()
        baseline = made.dump()
        yield made
        if request.session.testsfailed == failed:
            made.finish(baseline)
    finally:
        if request.session.testsfailed != failed and os.path.exists(made.log_path):
            print(made.log_text()[-8000:], file=sys.stderr)
        made.close()
    made.check_log()


@contextlib.contextmanager
def unchanged(host):
    """All that is asked for in the body is refused: nothing has changed after it."""
    before = host.dump()
    yield
    host.assert_unchanged(before, "what was refused")


def both_families(host, name, number, **more):
    """A network with 10.N.0.0/24 and fd00:N::/64."""
    return host.network(name, EnableIPv6=True, IPAM={"Config": [
        {"Subnet": "10.%d.0.0/24" % number}, {"Subnet": "fd00:%d::/64" % number}]}, **more)


def routes_from_lan(host, *numbers):
    """The LAN knows the way to the networks of both_families()."""
    for number in numbers:
        host.run_lan("ip", "route", "replace", "10.%d.0.0/24" % number, "via", harness.UP4)
        host.run_lan("ip", "-6", "route", "replace", "fd00:%d::/64" % number, "via", harness.UP6)


# ------------------------------------------------------------------------------- flows

class Stream:
    """One connection that says a word at a time, to see whether it still leads to where it led."""

    def __init__(self, source, address, port, target, target_port):
        family = family_of(address)
        self.listener = open_socket(target, family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", target_port))
        self.listener.listen(1)
        self.sock = open_socket(source, family, socket.SOCK_STREAM)
        self.sock.settimeout(harness.PATIENCE)
        self.sock.connect((address, port))
        self.listener.settimeout(harness.PATIENCE)
        self.far, self.peer = self.listener.accept()
        self.far.settimeout(harness.PATIENCE)

    def lives(self):
        self.sock.sendall(b"word")
        assert self.far.recv(4) == b"word"
        self.far.sendall(b"back")
        return self.sock.recv(4) == b"back"

    def close(self):
        for sock in (self.sock, self.far, self.listener):
            sock.close()
