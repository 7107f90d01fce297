# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many requests at once. These run under ThreadSanitizer too."""
import concurrent.futures
import threading

import pytest

import harness
import wire

pytestmark = pytest.mark.concurrent
WORKERS = 12


def all_of(calls):
    """Run the callables side by side; their results in order."""
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def statuses(host, requests):
    return [answer.status for answer in all_of(
        [lambda r=request: host.request(*r) for request in requests])]


def test_many_networks_and_sandboxes(host):
    host.compare = False
    assert set(statuses(host, [("POST", "/networks/create", {"Name": "n%d" % i, "EnableIPv6": i % 2 == 0})
                               for i in range(20)])) == {201}
    subnets = [c["Subnet"] for n in host.get("/networks") for c in (n["IPAM"]["Config"] or [])]
    assert len(subnets) == len(set(subnets))
    assert set(statuses(host, [("POST", "/cnm/v1/sandboxes", {
        "Name": "s%d" % i, "Networks": [{"Network": "n%d" % (i % 20)}, {"Network": "n%d" % ((i + 1) % 20)}]})
        for i in range(40)])) == {201}
    assert host.doctor() == []
    addresses = [(e["NetworkName"], e["IPv4Address"]) for e in host.get("/cnm/v1/endpoints")]
    assert len(addresses) == len(set(addresses)) == 80
    assert host.inside("s0").reaches(host.address("s20", "n0"))
    assert set(statuses(host, [("DELETE", "/cnm/v1/sandboxes/s%d" % i) for i in range(40)])) == {204}
    assert set(statuses(host, [("DELETE", "/networks/n%d" % i) for i in range(20)])) == {204}


def test_one_name_one_winner(host):
    host.compare = False
    found = statuses(host, [("POST", "/networks/create", {"Name": "net"}) for _ in range(20)])
    assert sorted(found) == [201] + [409] * 19
    found = statuses(host, [("POST", "/cnm/v1/sandboxes", {
        "Name": "con", "Networks": [{"Network": "net"}]}) for _ in range(20)])
    assert sorted(found) == [201] + [409] * 19
    found = statuses(host, [("DELETE", "/cnm/v1/sandboxes/con") for _ in range(20)])
    assert found.count(204) == 1 and set(found) <= {204, 404, 403, 409}


def test_connect_and_disconnect_of_one_sandbox(host):
    host.compare = False
    for i in range(8):
        host.network("n%d" % i)
    host.sandbox("con")
    for _ in range(3):
        found = statuses(host, [("POST", "/networks/n%d/connect" % i, {"Container": "con"})
                                for i in range(8)])
        assert set(found) == {200}
        assert len(host.inside("con").links()) == 8
        found = statuses(host, [("POST", "/networks/n%d/disconnect" % i, {"Container": "con"})
                                for i in range(8)])
        assert set(found) == {200}
        assert host.inside("con").links() == {}
    assert host.doctor() == []


def test_removal_against_connection(host):
    """Whoever comes first wins; nothing half is left."""
    host.compare = False
    for turn in range(10):
        host.network("net")
        host.sandbox("con")
        connected, removed = statuses(host, [
            ("POST", "/networks/net/connect", {"Container": "con"}), ("DELETE", "/networks/net")])
        assert connected in (200, 404, 409, 403) and removed in (204, 403, 409)
        assert (connected == 200) != (removed == 204), (connected, removed)
        host.remove_sandbox("con")
        if removed != 204:
            host.remove_network("net")
    assert host.doctor() == []


def test_sandbox_removed_while_connecting(host):
    host.compare = False
    for i in range(4):
        host.network("n%d" % i)
    for turn in range(10):
        host.sandbox("con")
        found = statuses(host, [("POST", "/networks/n%d/connect" % i, {"Container": "con"})
                                for i in range(4)] + [("DELETE", "/cnm/v1/sandboxes/con")])
        assert set(found[:4]) <= {200, 404, 403, 409, 500}
        if found[4] != 204:
            host.remove_sandbox("con")
    assert host.get("/cnm/v1/endpoints") == [] and host.doctor() == []


def test_readers_see_whole_objects(host):
    host.compare = False
    host.network("net")
    stop, seen = threading.Event(), []

    def read():
        while not stop.is_set():
            for sandbox in host.request("GET", "/cnm/v1/sandboxes").json:
                for settings in sandbox["Networks"].values():
                    seen.append(bool(settings["IPAddress"] and settings["MacAddress"]))
            host.request("GET", "/networks")
    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for i in range(15):
        assert host.request("POST", "/cnm/v1/sandboxes", {
            "Name": "s%d" % i, "Networks": [{"Network": "net"}]}).status == 201
    for i in range(15):
        assert host.request("DELETE", "/cnm/v1/sandboxes/s%d" % i).status == 204
    stop.set()
    for reader in readers:
        reader.join()
    assert seen and all(seen)


def test_names_while_things_come_and_go(host):
    host.compare = False
    host.network("net")
    host.sandbox("con", "net")
    host.sandbox("peer", "net")
    view, address = host.inside("con"), host.address("peer", "net")
    stop, wrong = threading.Event(), []

    def ask():
        while not stop.is_set():
            if wire.ask(view, "peer").texts != [address]:
                wrong.append("peer")
    asker = threading.Thread(target=ask)
    asker.start()
    statuses(host, [("POST", "/cnm/v1/sandboxes", {"Name": "s%d" % i, "Networks": [{"Network": "net"}]})
                    for i in range(20)])
    statuses(host, [("DELETE", "/cnm/v1/sandboxes/s%d" % i) for i in range(20)])
    stop.set()
    asker.join()
    assert not wrong


def test_healing_while_requests_run(host):
    host.compare = False
    host.network("net", Options={"com.docker.network.bridge.name": "brx"})
    calls = [lambda i=i: host.request("POST", "/cnm/v1/sandboxes", {
        "Name": "s%d" % i, "Networks": [{"Network": "net"}]}).status for i in range(20)]
    calls.insert(7, lambda: host.run("nft", "flush", "ruleset").rc)
    calls.insert(14, lambda: host.run("ip", "addr", "flush", "dev", "brx").rc)
    all_of(calls)
    host.wait_healed(harness.PATIENCE)


def test_events_are_told_to_many(host):
    host.compare = False
    clients = [host.popen(harness.program(harness.COMMAND), "events", stdout=-1) for _ in range(4)]
    host.network("first")
    seen = []

    def first_line(client):
        # The client may have come after the first event: make more until it says something.
        seen.append(client.stdout.readline())
    readers = [threading.Thread(target=first_line, args=(client,)) for client in clients]
    for reader in readers:
        reader.start()
    number = 0
    while any(reader.is_alive() for reader in readers):
        number += 1
        host.network("n%d" % number)
        host.remove_network("n%d" % number)
        assert number < 1000
    assert all(seen)
    for client in clients:
        client.kill()
        client.wait()
        client.stdout.close()
