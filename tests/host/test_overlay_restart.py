# SPDX-License-Identifier: LGPL-2.1-or-later
"""A daemon ends, in whichever way, and another takes its place: no packet of what runs is lost, no name."""
import pytest

import cluster
import cluster_truth
import wire
from cluster import knows, overlay
from cluster_world import Names

pytestmark = pytest.mark.xdist_group("overlay-restart")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Two hosts, one and two on a network, and what they have to do with each other."""
    with cluster.started(tmp_path_factory.mktemp("restart"), "etcd", hosts=2) as made:
        a, b = made.hosts
        overlay(made.hosts, "blue", "10.44.0.0/24", "fd44::/64")
        a.sandbox("one", "blue")
        b.sandbox("two", "blue")
        knows(a, "blue", "two")
        knows(b, "blue", "one")
        yield made


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("kill", [False, True], ids=["clean", "kill"])
def test_a_flow(running, kill, family):
    """Datagrams each millisecond, there and back, and a stream; each of the daemons is restarted under them."""
    a, b = running.hosts
    one, two = a.inside("one"), b.inside("two")
    to = b.address("two", "blue", family)
    assert one.reaches(to)
    before = [cluster_truth.kernel_of(host, host.inspect("blue")["Id"]) for host in running.hosts]
    flow, stream = wire.UdpFlow(one, two, to), wire.TcpStream(one, two, to)
    names = Names(one, {"two": [b.address("two", "blue")], "one.blue": [a.address("one", "blue")]})
    for host in (a, b, a):
        host.restart(kill=kill)
        running.is_up(host)
        host.wait_healed()
    for host in running.hosts:
        host.kill9() if kill else host.stop()
    running.start()
    sent, lost = flow.stop()
    assert sent > 100 and lost == 0, "%d of %d datagrams were lost" % (lost, sent)
    came, same = stream.stop()
    assert came and same
    asked, wrong = names.stop()
    assert asked and not wrong, wrong
    assert before == [cluster_truth.kernel_of(host, host.inspect("blue")["Id"]) for host in running.hosts]
    cluster_truth.agrees(running)


def test_what_happened_meanwhile(running):
    """Others come, go and move while a daemon is away: its host reaches who is there, and does not hear of who is not."""
    a, b = running.hosts
    b.sandbox("goes", "blue")
    knows(a, "blue", "goes")
    at = b.address("goes", "blue")
    a.kill9()
    b.remove_sandbox("goes")
    b.sandbox("comes", ("blue", {"IPAMConfig": {"IPv4Address": at}}))
    overlay([b], "red", "10.45.0.0/24")
    b.sandbox("there", "red")
    running.start(a)
    knows(a, "blue", "comes")
    knows(a, "red", "there")
    assert a.inside("one").reaches(at)
    cluster_truth.agrees(running)
