# SPDX-License-Identifier: LGPL-2.1-or-later
"""Not one packet of a running flow is lost while the daemon restarts."""
import socket

import pytest

import harness
import netlink
import wire


@pytest.mark.parametrize("kill", [False, True], ids=["clean", "kill"])
def test_restarts_lose_nothing(host, kill):
    host.network("net", EnableIPv6=True)
    host.network("other")
    host.sandbox("a", "net")
    host.sandbox("b", "net")
    host.sandbox("c", "bridge")
    a, b, c = host.inside("a"), host.inside("b"), host.inside("c")
    lan = LanView(host)
    a.reaches(host.address("b", "net"))
    a.reaches(host.address("b", "net", 6))
    flows = [wire.UdpFlow(a, b, host.address("b", "net")),
             wire.UdpFlow(a, b, host.address("b", "net", 6), 9002),
             wire.UdpFlow(c, lan, harness.LAN4, 9003)]  # through NAT and out of the host
    stream = wire.TcpStream(a, b, host.address("b", "net"))
    outward = wire.TcpStream(c, lan, harness.LAN4, 9004)
    for _ in range(10):
        host.restart(kill=kill)
        host.wait_healed()
    for flow in flows:
        sent, lost = flow.stop()
        assert sent > 100 and lost == 0, "%d of %d lost" % (lost, sent)
    for flow in (stream, outward):
        count, same = flow.stop()
        assert count > 100000 and same


class LanView:
    """The LAN, as wire wants its namespaces."""

    def __init__(self, host):
        self.host = host

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM):
        with netlink.inside(self.host.lan.netns):
            return socket.socket(family, kind)


def test_other_changes_lose_nothing(host):
    host.compare = False
    host.network("net")
    host.sandbox("a", "net")
    host.sandbox("b", "net")
    a, b = host.inside("a"), host.inside("b")
    a.reaches(host.address("b", "net"))
    flow = wire.UdpFlow(a, b, host.address("b", "net"))
    for number in range(10):
        host.network("n%d" % number, EnableIPv6=True)
        host.sandbox("s%d" % number, "net", "n%d" % number)
        host.connect("n%d" % number, "b")
    for number in range(10):
        host.remove_sandbox("s%d" % number)
        host.disconnect("n%d" % number, "b")
        host.remove_network("n%d" % number)
    host.doctor(repair=True)
    sent, lost = flow.stop()
    assert sent > 100 and lost == 0, "%d of %d lost" % (lost, sent)
