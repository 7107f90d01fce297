# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the hosts of a cluster.Cluster send to one another.

    with segment.Tap(cluster) as tap:
        ...
        for packet in tap.packets():     all that was sent since, of any host, in each one's order
"""
import os
import socket
import struct

import cluster
import harness
import netlink

IANA_PORT = 4789
ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
GROUP_BIT = 1
SOLICITATION, ADVERTISEMENT = 135, 136


def mac_text(raw):
    return ":".join("%02x" % byte for byte in raw)


class Packet:
    """One of a host (.number): outer addresses, .port (UDP, to), and if it bears VXLAN .id and the frame within."""

    def __init__(self, number, frame, ports):
        self.number, self.frame, self.length = number, frame, len(frame) - 14
        self.port = self.id = self.inner = None
        kind, = struct.unpack_from("!H", frame, 12)
        self.fragment = False
        if kind == IPV4:
            self.source, self.to = (socket.inet_ntoa(frame[at:at + 4]) for at in (26, 30))
            self.fragment = struct.unpack_from("!H", frame, 20)[0] & 0x3FFF != 0
            protocol, payload = frame[23], frame[14 + (frame[14] & 15) * 4:]
        elif kind == IPV6:
            self.source, self.to = (socket.inet_ntop(socket.AF_INET6, frame[at:at + 16]) for at in (22, 38))
            protocol, payload = frame[20], frame[54:]
            self.fragment = protocol == 44
        else:
            self.source = self.to = None
            return
        if protocol == 17 and not self.fragment:
            self.port, = struct.unpack_from("!H", payload, 2)
            if self.port in ports:
                flags, self.id = struct.unpack_from("!B3xI", payload, 8)
                assert flags == 8, "a VXLAN header with nothing but an id"
                self.id >>= 8
                self.inner = payload[16:]

    def __repr__(self):
        return "host %d: %s -> %s:%s id %s %s" % (self.number, self.source, self.to, self.port, self.id,
                                                 self.inner and (self.inner_from, self.inner_to, hex(self.inner_kind)))

    @property
    def inner_to(self):
        return mac_text(self.inner[:6])

    @property
    def inner_from(self):
        return mac_text(self.inner[6:12])

    @property
    def inner_kind(self):
        return struct.unpack_from("!H", self.inner, 12)[0]

    @property
    def is_to_one(self):
        return not self.inner[0] & GROUP_BIT

    @property
    def asks(self):
        """Is it ARP, or a neighbour's solicitation or advertisement?"""
        return self.inner_kind == ARP or (
            self.inner_kind == IPV6 and self.inner[20] == 58 and self.inner[54] in (SOLICITATION, ADVERTISEMENT))


class Tap:
    """At the segment's end of each host's link, so that it tells who sent what."""

    def __init__(self, made, ports=(IANA_PORT,)):
        self.cluster, self.ports, self.socks = made, ports, {}
        for host in made.hosts:
            with netlink.inside(made.segment.netns):
                sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            sock.bind(("seg%d" % host.number, 0))
            sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
            sock.settimeout(harness.PATIENCE)
            self.socks[host.number] = sock

    def packets(self):
        """Up to a word that each host sends last."""
        found = []
        for host in self.cluster.hosts:
            word = os.urandom(16)
            with netlink.inside(host.netns):
                sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with sender:
                sender.sendto(word, (cluster.STORE, 9))
            found += self._until(host.number, word)
        return found

    def _until(self, number, word):
        found = []
        while True:
            frame, how = self.socks[number].recvfrom(65535)
            if how[2] == socket.PACKET_OUTGOING:
                continue
            if word in frame:
                return found
            found.append(Packet(number, frame, self.ports))

    def carried(self, network_id=None):
        """Those that bear VXLAN."""
        return [p for p in self.packets() if p.inner and network_id in (None, p.id)]

    def __enter__(self):
        return self

    def __exit__(self, *what):
        for sock in self.socks.values():
            sock.close()
