# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts of a cluster that come and go, and containers on its networks as a user of Docker runs them."""
import hashlib
import os
import signal
import subprocess

import pytest

import cluster
import containers
import harness
from cluster import knows
from names import found
from test_overlay import overlay, resolves, store_notes

QUICK = ("--cluster-store-opt", "discovery.heartbeat=1", "--cluster-store-opt", "discovery.ttl=2",
         "--cluster-store-opt", "cnm.grace=8")


@pytest.fixture
def pair(tmp_path):
    yield from started(cluster.Cluster(tmp_path, "etcd", hosts=2))


@pytest.fixture
def quick(tmp_path):
    """With a lease of two seconds and a grace time of eight."""
    yield from started(cluster.Cluster(tmp_path, "etcd", hosts=2, options=QUICK))


@pytest.fixture
def patient(tmp_path):
    """Whose names linger for as long as a daemon on a busy machine may take to start."""
    yield from started(cluster.Cluster(tmp_path, "etcd", hosts=2,
                                       options=("--cluster-store-opt", "cnm.linger=120")))


def started(made):
    try:
        made.start()
        yield made
    finally:
        made.close()


def on_both(made, name="blue", subnet="10.44.0.0/24", **more):
    overlay(made.hosts[0], name, subnet, **more)
    for host in made.hosts:
        knows(host, name, None)


def test_containers(pair):
    """docker run, exec, stop, start, rename, connect and -p, on two hosts."""
    a, b = pair.hosts
    here, there = containers.client_of(a, "docker"), containers.client_of(b, "docker")
    here("network", "create", "-d", "overlay", "blue", check=True)
    knows(b, "blue", None)
    assert "blue" in there("network", "ls", "--filter", "scope=global", check=True).out
    here("run", "-d", "--name", "con1", "--net", "blue", "busybox", "sleep", "600", check=True)
    there("run", "-d", "--name", "con2", "--net", "blue", "-p", "8080:80", "busybox",
          "httpd", "-f", "-h", "/etc", check=True)
    knows(a, "blue", "con2")
    here("exec", "con1", "ping", "-c1", "con2", check=True)
    assert here("exec", "con1", "wget", "-qO-", "http://con2/hostname", check=True).out.strip()
    b.network("backend")
    there("network", "connect", "backend", "con2", check=True)
    here("exec", "con1", "ping", "-c1", "con2", check=True)
    there("network", "disconnect", "blue", "con2", check=True)
    knows(a, "blue", "con2", there=False)
    there("network", "connect", "--alias", "web", "blue", "con2", check=True)
    knows(a, "blue", "con2")
    here("exec", "con1", "ping", "-c1", "web", check=True)
    there("rename", "con2", "con3", check=True)
    knows(a, "blue", "con3")
    here("exec", "con1", "ping", "-c1", "con3", check=True)
    there("stop", "-t0", "con3", check=True)
    knows(a, "blue", "con3", there=False)
    there("start", "con3", check=True)
    knows(a, "blue", "con3")
    here("exec", "con1", "ping", "-c1", "con3", check=True)
    refused = here("network", "rm", "blue")
    assert refused.rc and "con3" in refused.err
    here("rm", "-f", "con1", check=True)
    there("rm", "-f", "con3", check=True)
    knows(a, "blue", "con3", there=False)
    here("network", "rm", "blue", check=True)
    harness.wait_for(lambda: b.request("GET", "/networks/blue").status == 404, "it is gone there")


def test_a_transfer(pair):
    """Larger than any packet, both ways, byte by byte."""
    a, b = pair.hosts
    on_both(pair)
    b.running("server", "sh", "-c", "while :; do nc -l -p 7000 -e cat; done", networking={"blue": {}})
    knows(a, "blue", "server")
    data = os.path.join(a.folder, "data")
    with open(data, "wb") as f:
        f.write(os.urandom(65536))
    a.sandbox("client", "blue")
    at = b.container("server")["NetworkSettings"]["Networks"]["blue"]["IPAddress"]
    assert a.inside("client").reaches(at)
    back = a.inside("client").run(
        "python3", "-c", "import socket,sys,hashlib\n"
        "d=open(sys.argv[1],'rb').read(); s=socket.create_connection((sys.argv[2],7000),10)\n"
        "s.sendall(d); s.shutdown(1); r=b''\n"
        "while True:\n c=s.recv(65536)\n if not c: break\n r+=c\n"
        "print(hashlib.sha256(r).hexdigest())", data, at).out.strip()
    assert back == hashlib.sha256(open(data, "rb").read()).hexdigest()


def test_a_host_that_dies(quick):
    """Its names go, and whoever takes its place may have them; later its addresses; it comes back to what is left."""
    a, b = quick.hosts
    on_both(quick)
    a.sandbox("one", "blue")
    b.sandbox("web", ("blue", {"IPAMConfig": {"IPv4Address": "10.44.0.20"}}))
    b.sandbox("kept", ("blue", {"IPAMConfig": {"IPv4Address": "10.44.0.30"}}))
    knows(a, "blue", "web")
    knows(a, "blue", "kept")
    view = a.inside("one")
    resolves(view, "web", "10.44.0.20")
    a.refused("DELETE", "/cnm/v1/nodes/" + quick.nodes(a)[b.underlay]["Id"], status=409)
    b.kill9()
    harness.wait_for(lambda: quick.state(a, b) == "lost", "it is lost")
    resolves(view, "web")
    assert view.can_ping("10.44.0.20"), "its containers run on"
    answer = a.api("POST", "/cnm/v1/sandboxes", {"Name": "taker", "Networks": [
        {"Network": "blue", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.44.0.20"}}}]})
    assert answer.status == 403, "an address is not given away before the grace time has ended"
    a.sandbox("web", "blue")
    resolves(view, "web", a.address("web", "blue"))
    knows(a, "blue", "kept", there=False)
    harness.wait_for(lambda: len([e for e in a.get("/cnm/v1/endpoints")
                              if e["NetworkName"] == "blue"]) == 2, "both of b's are gone")
    a.sandbox("taker", ("blue", {"IPAMConfig": {"IPv4Address": "10.44.0.20"}}))
    quick.start(b)
    knows(a, "blue", "kept")
    resolves(view, "kept", "10.44.0.30")
    assert view.reaches("10.44.0.30")
    harness.wait_for(lambda: "blue" not in b.get("/cnm/v1/sandboxes/web")["Networks"], "the other web stays")
    assert "another has its" in b.log_text()
    for host in quick.hosts:
        harness.wait_for(lambda: not store_notes(host), lambda: store_notes(host))
        host.wait_healed()


def test_a_host_is_removed(quick):
    """By name or id, when it is lost; what it had is free at once, and it takes note when it is back."""
    a, b = quick.hosts
    on_both(quick)
    b.sandbox("web", "blue")
    knows(a, "blue", "web")
    node = quick.nodes(a)[b.underlay]["Id"]
    b.kill9()
    harness.wait_for(lambda: quick.state(a, b) == "lost", "it is lost")
    a.cnm("node", "rm", node[:12], check=True)
    knows(a, "blue", "web", there=False)
    harness.wait_for(lambda: b.underlay not in quick.nodes(a), "it is not listed")
    quick.start(b)
    harness.wait_for(lambda: not b.get("/cnm/v1/sandboxes/web")["Networks"], "it knows")
    harness.wait_for(lambda: quick.state(a, b) == "up", "it is listed again")


def test_a_daemon_is_restarted(patient):
    """Its names are answered meanwhile."""
    a, b = patient.hosts
    on_both(patient)
    a.sandbox("one", "blue")
    b.sandbox("two", "blue")
    knows(a, "blue", "two")
    view, at = a.inside("one"), b.address("two", "blue")
    resolves(view, "two", at)
    b.stop()
    assert found(view, "two")[1] == [at]
    patient.start(b)
    assert found(view, "two")[1] == [at]
    assert view.can_ping(at)


def test_the_store_is_away_at_start(pair):
    """The daemon runs; networks of one host work, those known before have their traffic and names, leaving works."""
    a, b = pair.hosts
    on_both(pair)
    for name in "one", "gone":
        a.sandbox(name, "blue")
    b.sandbox("two", "blue")
    knows(a, "blue", "two")
    knows(b, "blue", "gone")
    view, at = a.inside("one"), b.address("two", "blue")
    a.stop()
    pair.store.stop()
    pair.start(a, wait=False)
    assert view.can_ping(at)
    resolves(view, "two", at)
    a.network("backend")
    a.sandbox("three", "backend")
    a.refused("POST", "/networks/create", {"Name": "red", "Driver": "overlay"}, 503, matching="etcd")
    a.refused("POST", "/cnm/v1/sandboxes", {"Name": "four", "Networks": [{"Network": "blue"}]}, 503, matching="etcd")
    assert any("not reached" in note for note in store_notes(a))
    a.remove_sandbox("gone")
    knows(b, "blue", "gone")
    pair.store.start()
    knows(b, "blue", "gone", there=False)
    a.sandbox("four", "blue")
    knows(b, "blue", "four")
    for host in pair.hosts:
        harness.wait_for(lambda: not store_notes(host), lambda: store_notes(host))


def test_a_wiped_store_takes_nothing_away(quick):
    """What a host has whose daemon does not run stays within reach, and is put back when it does."""
    a, b = quick.hosts
    on_both(quick)
    a.sandbox("one", "blue")
    b.sandbox("two", "blue")
    knows(a, "blue", "two")
    view, at = a.inside("one"), b.address("two", "blue")
    assert view.reaches(at)
    b.kill9()
    with a.popen("ip", "netns", "exec", "one", "ping", "-n", "-i0.1", "-W1", at, stdout=subprocess.PIPE, text=True) as ping:
        quick.store.kill()
        quick.store.wipe()
        quick.store.start()
        harness.wait_for(lambda: quick.state(a, a) == "up", "it is in the cluster again")
        knows(a, "blue", "two")
        ping.send_signal(signal.SIGINT)
        told = ping.communicate()[0]
    assert " 0% packet loss" in told, told
    quick.start(b)
    harness.wait_for(lambda: quick.state(a, b) == "up", "it is back")
    for host in quick.hosts:
        harness.wait_for(lambda: not store_notes(host), lambda: store_notes(host))
    assert view.can_ping(at)


def test_a_daemon_without_its_cluster(pair):
    """Started without the store it forgets what others have, and may remove what was shared."""
    a, b = pair.hosts
    on_both(pair)
    b.sandbox("two", "blue")
    knows(a, "blue", "two")
    a.stop()
    a.started = None
    a.start()
    assert a.inspect("blue")["Containers"] == {}
    a.refused("POST", "/cnm/v1/sandboxes", {"Name": "one", "Networks": [{"Network": "blue"}]}, 500,
              matching="is not initialized")
    a.remove_network("blue")


def test_questions_about_others(pair):
    """`cnm why`, `cnm dns` and `cnm trace` know of endpoints on other hosts."""
    a, b = pair.hosts
    on_both(pair)
    a.network("backend")
    a.sandbox("one", "blue")
    a.sandbox("apart", "backend")
    b.sandbox("two", "blue")
    knows(a, "blue", "two")
    yes = a.cnm("why", "one", "two")
    assert yes.rc == 0 and "VXLAN" in yes.out and b.underlay in yes.out and "answered the echo" in yes.out
    no = a.cnm("why", "apart", "two")
    assert no.rc == 1 and "share no network" in no.out and "cnm network connect blue apart" in no.out
    there = a.cnm("why", "two", "one")
    assert there.rc == 1 and "ask there" in there.err
    assert "another host" in a.cnm("trace", "one", "two").err
    assert b.address("two", "blue") in a.cnm("dns", "one", "two").out


def test_the_kernel_keeps_few_neighbours(pair):
    """doctor says so, where the limit can be seen."""
    a, b = pair.hosts
    on_both(pair)
    a.sandbox("one", "blue")
    b.sandbox("two", "blue")
    knows(a, "blue", "two")
    a.run("sh", "-ec", """
        mount -t tmpfs neigh /proc/sys/net/ipv4/neigh
        mkdir /proc/sys/net/ipv4/neigh/default
        echo 1 >/proc/sys/net/ipv4/neigh/default/gc_thresh3
        """)
    a.doctor()
    assert any("gc_thresh3=4" in note for note in a.notes), a.notes
    a.run("umount", "/proc/sys/net/ipv4/neigh")
