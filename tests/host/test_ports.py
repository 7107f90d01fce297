# SPDX-License-Identifier: LGPL-2.1-or-later
"""Publishing, as the clients ask for it and show it: every form of -p, -P, --expose; inspect, ps and
port. What Docker shows is what 20.10 showed to the same client (CNM_TRUTH=1)."""
import re
import subprocess

import pytest

import containers
import harness
import traffic

pytest_plugins = ["container_fixtures"]
client = containers.fixture_of("docker", "cnm")

FORMS = ("-p", "8001:80", "-p", "127.0.0.1:8002:80", "-p", "8003:80/udp", "-p", "127.0.0.1::81", "-p", "82",
         "-p", "8100-8102:90-92", "-p", "8200-8202:83", "-p", "[::1]:8004:80", "-p", "192.0.2.2:8005:84",
         "-p", "[2001:db8::2]:8006:84/udp", "-p", "0.0.0.0:8007:85", "-p", "[::]:8008:85",
         "-p", "published=8009,target=86,protocol=udp", "--expose", "99", "--expose", "120-122/udp")
# Two host ports of one container port, one container port at several addresses: {port: {(address, port)}}
SHOWN = {
    "80/tcp": {("0.0.0.0", 8001), ("::", 8001), ("127.0.0.1", 8002), ("::1", 8004)},
    "80/udp": {("0.0.0.0", 8003), ("::", 8003)}, "81/tcp": {("127.0.0.1", 0)}, "82/tcp": {("0.0.0.0", 0), ("::", 0)},
    "83/tcp": {("0.0.0.0", 8200), ("::", 8200)}, "84/tcp": {("192.0.2.2", 8005)}, "84/udp": {("2001:db8::2", 8006)},
    "85/tcp": {("0.0.0.0", 8007), ("::", 8008)}, "86/udp": {("0.0.0.0", 8009), ("::", 8009)},
    "90/tcp": {("0.0.0.0", 8100), ("::", 8100)}, "91/tcp": {("0.0.0.0", 8101), ("::", 8101)},
    "92/tcp": {("0.0.0.0", 8102), ("::", 8102)}, "99/tcp": set(), "120/udp": set(), "121/udp": set(),
    "122/udp": set()}


def shown_ports(engine, name):
    """NetworkSettings.Ports as {port: {(address, port)}}, what is merely exposed with nothing."""
    return {port: {(at["HostIp"], int(at["HostPort"])) for at in found or ()}
            for port, found in engine.container(name)["NetworkSettings"]["Ports"].items()}


def without_chosen(shown):
    """Ports that were chosen are 0."""
    first, last = 32768, 60999
    return {port: {(ip, 0 if first <= number <= last else number) for ip, number in found}
            for port, found in shown.items()}


def test_every_form(engine, client):
    client.run("--name", "con", *FORMS, "busybox", *containers.HOLD)
    shown = shown_ports(engine, "con")
    assert without_chosen(shown) == SHOWN
    assert len({number for _, number in shown["82/tcp"]}) == 1  # the same in both families
    found = engine.container("con")
    assert set(found["Config"]["ExposedPorts"]) == set(SHOWN)
    asked = found["HostConfig"]["PortBindings"]
    assert set(asked) == {port for port, at in SHOWN.items() if at}
    assert asked["83/tcp"] == [{"HostIp": "", "HostPort": "8200-8202"}]
    assert asked["81/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": ""}]
    assert asked["91/tcp"] == [{"HostIp": "", "HostPort": "8101"}]
    assert found["NetworkSettings"]["Ports"]["99/tcp"] is None


def test_listed(engine, client):
    client.run("--name", "con", *FORMS, "busybox", *containers.HOLD)
    listed, = engine.request("GET", "/containers/json").json
    got = {}
    for port in listed["Ports"]:
        assert set(port) in ({"PrivatePort", "Type"}, {"IP", "PrivatePort", "PublicPort", "Type"}), port
        key = "%d/%s" % (port["PrivatePort"], port["Type"])
        got.setdefault(key, set())
        if "IP" in port:
            got[key].add((port["IP"], port["PublicPort"]))
    assert got == shown_ports(engine, "con")


def test_tables(engine, client):
    """ps and port: both clients show the same. Chosen ports vary, so they are left out."""
    client.run("--name", "con", "-p", "8001:80", "-p", "127.0.0.1:8002:80", "-p", "8003:80/udp", "-p", "8100-8101:90-91",
               "-p", "9000-9002:9000-9002", "-p", "[::1]:8004:80", "--expose", "99", "--expose", "120-122/udp", "busybox", *containers.HOLD)
    # Joined where the host's ports are the container's.
    assert client.say("ps", "--format", "{{.Ports}}") == (
        "99/tcp, 120-122/udp, 0.0.0.0:9000-9002->9000-9002/tcp, [::]:9000-9002->9000-9002/tcp, 0.0.0.0:8001->80/tcp, "
        "0.0.0.0:8003->80/udp, 127.0.0.1:8002->80/tcp, [::]:8001->80/tcp, [::]:8003->80/udp, [::1]:8004->80/tcp, "
        "0.0.0.0:8100->90/tcp, [::]:8100->90/tcp, 0.0.0.0:8101->91/tcp, [::]:8101->91/tcp\n")
    assert client.say("port", "con") == (
        "80/tcp -> 0.0.0.0:8001\n80/tcp -> 127.0.0.1:8002\n80/tcp -> [::1]:8004\n80/tcp -> [::]:8001\n"
        "80/udp -> 0.0.0.0:8003\n80/udp -> [::]:8003\n90/tcp -> 0.0.0.0:8100\n90/tcp -> [::]:8100\n"
        "91/tcp -> 0.0.0.0:8101\n91/tcp -> [::]:8101\n"
        "9000/tcp -> 0.0.0.0:9000\n9000/tcp -> [::]:9000\n9001/tcp -> 0.0.0.0:9001\n9001/tcp -> [::]:9001\n"
        "9002/tcp -> 0.0.0.0:9002\n9002/tcp -> [::]:9002\n")
    assert client.say("port", "con", "80/udp") == "0.0.0.0:8003\n[::]:8003\n"
    assert client.say("port", "con", "91") == "0.0.0.0:8101\n[::]:8101\n"
    for port in ("77", "99"):
        missing = client("port", "con", port)
        assert missing.rc == 1 and "No public port '%s" % port in missing.err, repr(missing)


def test_publish_all(engine, client):
    """Every exposed port, each at one of its own that is chosen."""
    client.run("--name", "con", "-P", "--expose", "80", "--expose", "90-91/udp", "-p", "8001:81", "busybox", *containers.HOLD)
    shown = shown_ports(engine, "con")
    assert without_chosen(shown) == {"80/tcp": {("0.0.0.0", 0), ("::", 0)}, "90/udp": {("0.0.0.0", 0), ("::", 0)},
                                     "91/udp": {("0.0.0.0", 0), ("::", 0)}, "81/tcp": {("0.0.0.0", 8001), ("::", 8001)}}
    chosen = [{number for _, number in shown[port]} for port in ("80/tcp", "90/udp", "91/udp")]
    assert all(len(numbers) == 1 for numbers in chosen) and chosen[1] != chosen[2]


def test_publish_all_of_the_image(engine, client, tmp_path):
    """Ports that the image exposes."""
    (tmp_path / "hello").write_text("x")
    subprocess.run(["tar", "-C", str(tmp_path), "-cf", str(tmp_path / "image.tar"), "hello"], check=True)
    engine.docker("import", "-c", "EXPOSE 85", "-c", 'CMD ["/bin/sh"]', str(tmp_path / "image.tar"), "exposing", check=True)
    client("create", "--name", "con", "-P", "exposing", "x", check=True)
    assert engine.container("con")["Config"]["ExposedPorts"] == {"85/tcp": {}}


def test_stopped(engine, client):
    """What was asked for stays, what was allotted is gone, and the ports are free."""
    client.run("--name", "con", "-p", "8001:80", "-p", "82", "busybox", *containers.HOLD)
    client("stop", "-t", "0", "con", check=True)
    found = engine.container("con")
    assert found["NetworkSettings"]["Ports"] == {} and found["HostConfig"]["PortBindings"]["80/tcp"]
    assert client.say("port", "con") == ""
    assert client.say("ps", "-a", "--format", "{{.Ports}}") == "\n"
    client.run("--name", "heir", "-p", "8001:80", "busybox", *containers.HOLD)
    assert ("0.0.0.0", 8001) in shown_ports(engine, "heir")["80/tcp"]
    taken = client("start", "con")
    assert taken.rc == 1 and "Bind for 0.0.0.0:8001 failed: port is already allocated" in taken.err
    client("rm", "-f", "heir", check=True)
    client("start", "con", check=True)
    assert ("0.0.0.0", 8001) in shown_ports(engine, "con")["80/tcp"]


def test_packets(engine, client):
    """From the LAN, by the host's address and by 127.0.0.1, in both families and protocols."""
    client.run("--name", "con", "-p", "8001:80", "-p", "8001:80/udp", "-p", "127.0.0.1:8002:80", "busybox", *containers.HOLD)
    services, lan, host = traffic.Services(), traffic.lan(engine), traffic.outside(engine)
    services.add(traffic.of_container(engine, "con"), "con", 80)
    try:
        said = traffic.probe_all({
            (where, protocol, address): (place, protocol, address, 8001)
            for where, place, addresses in (("lan", lan, (harness.UP4, harness.UP6)),
                                            ("host", host, (harness.UP4, harness.UP6, "127.0.0.1", "::1")))
            for protocol in ("tcp", "udp") for address in addresses})
        assert {key: outcome.split()[0] for key, outcome in said.items()} == dict.fromkeys(said, "con")
        for protocol in ("tcp", "udp"):
            assert said["lan", protocol, harness.UP4] == "con " + harness.LAN4
        assert traffic.ask(host, "tcp", "127.0.0.1", 8002).split()[0] == "con"
        assert traffic.silent(lan, "tcp", harness.UP4, 8002)
    finally:
        services.close()


def test_a_server_of_the_containers_own(engine, client):
    """Nothing of the test's in the way: busybox serves a page."""
    client.run("--name", "con", "-p", "8001:80", "busybox", "sh", "-c", "echo page >/tmp/index.html; exec httpd -f -p 80 -h /tmp")
    page = ("busybox", "wget", "-qO-", "http://%s:8001/" % harness.UP4)
    harness.wait_for(lambda: harness.run_in(engine.lan.netns, *page, check=False).out == "page\n", "the page")


def test_default_address_of_a_network(engine, client):
    """host_binding_ipv4; an address that is given counts."""
    client("network", "create", "-o", traffic.BRIDGE + "host_binding_ipv4=127.0.0.1", "net1", check=True)
    client.run("--name", "con", "--net", "net1", "-p", "8001:80", "-p", "0.0.0.0:8002:80", "-p", "82", "busybox", *containers.HOLD)
    assert without_chosen(shown_ports(engine, "con")) == {"80/tcp": {("127.0.0.1", 8001), ("0.0.0.0", 8002)},
                                                          "82/tcp": {("127.0.0.1", 0)}}
    services = traffic.Services()
    try:
        services.add(traffic.of_container(engine, "con"), "con", 80)
        assert traffic.ask(traffic.outside(engine), "tcp", "127.0.0.1", 8001).split()[0] == "con"
        assert traffic.silent(traffic.lan(engine), "tcp", harness.UP4, 8001)
        assert traffic.ask(traffic.lan(engine), "tcp", harness.UP4, 8002) == "con " + harness.LAN4
    finally:
        services.close()


@containers.cnm_only
def test_default_address_of_ipv6(engine, client):
    """An IPv6 address there: IPv6 alone."""
    client("network", "create", "--ipv6", "-o", traffic.BRIDGE + "host_binding_ipv4=2001:db8::2", "net1", check=True)
    client.run("--name", "con", "--net", "net1", "-p", "8001:80", "busybox", *containers.HOLD)
    assert shown_ports(engine, "con") == {"80/tcp": {("2001:db8::2", 8001)}}


@pytest.mark.parametrize("mode", ["none", "host"])
def test_modes_without_ports(engine, client, mode):
    made = client("run", "-d", "--name", "con", "--net", mode, "-p", "8070:80", "--expose", "81", "busybox",
                  *containers.HOLD, check=True)
    assert shown_ports(engine, "con") == {}
    assert engine.container("con")["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "8070"}]}
    assert ("Published ports are discarded when using host network mode" in made.err) == (mode == "host")


def test_mode_container_refused(engine, client):
    client.run("--name", "one", "busybox", *containers.HOLD)
    for flags, said in ((("-p", "80:80"), "conflicting options: port publishing and the container type network mode"),
                        (("-P",), "conflicting options: port publishing and the container type network mode"),
                        (("--expose", "80"), "conflicting options: port exposing and the container type network mode")):
        refused = client("run", "--rm", "--net", "container:one", *flags, "busybox", "true")
        assert refused.rc == 125 and said in refused.err, repr(refused)


@containers.cnm_only
def test_internal_networks_publish_nothing(engine, client):
    client("network", "create", "--internal", "net1", check=True)
    client.run("--name", "con", "--net", "net1", "-p", "8001:80", "busybox", *containers.HOLD)
    assert shown_ports(engine, "con") == {"80/tcp": set()}
    assert traffic.silent(traffic.outside(engine), "tcp", harness.UP4, 8001)


# (argument of -p, what the stock client says to it; None: it is accepted by the client)
BAD = (
    ("8000-8001:80-82", "invalid ranges specified for container and host Ports: 80-82 and 8000-8001"),
    ("65536:80", "invalid hostPort: 65536"), ("80:65536", "invalid containerPort: 65536"),
    ("81-80:80", "invalid hostPort: 81-80"), ("80:81-80", "invalid containerPort: 81-80"), ("x:80", "invalid hostPort: x"),
    ("80:x", "invalid containerPort: x"), ("80/foo", "invalid proto: foo"), ("1.2.3:80:80", "invalid IP address: 1.2.3"),
    ("1.2.3.4:80", "invalid hostPort: 1.2.3.4"), (":::80", "invalid IP address: :"), ("-80", "invalid containerPort: -80"),
    ("1:2:3:4", "invalid IP address: 1:2"), ("", "no port specified: <empty>"))


def test_bad_forms(engine, client):
    with traffic.unchanged(engine):
        for spec, said in BAD:
            refused = client("run", "--name", "con", "-p", spec, "busybox", "true")
            assert refused.rc == 125 and said in refused.err, repr(refused)
        for spec in ("x", "65536", "90-80", ""):
            refused = client("run", "--name", "con", "--expose", spec, "busybox", "true")
            assert refused.rc == 125 and "invalid range format for --expose: " + spec in refused.err, repr(refused)


BAD_BINDINGS = (
    ({"80/tcp": [{"HostPort": "x"}]}, "x"), ({"x/tcp": [{"HostPort": "80"}]}, "x"),
    ({"65536/tcp": [{"HostPort": "80"}]}, "65536"), ({"80/tcp": [{"HostPort": "65536"}]}, "65536"),
    ({"80/tcp": [{"HostPort": "90-80"}]}, "90-80"))
# What Docker takes in silence, or answers with 500.
WORSE_BINDINGS = (
    {"80/foo": [{"HostPort": "80"}]}, {"0/tcp": [{"HostPort": "80"}]}, {"/tcp": [{"HostPort": "80"}]}, {"": []},
    {"80/tcp": [{"HostIp": "nonsense", "HostPort": "80"}]}, {"80/tcp": "x"}, {"80/tcp": [{"HostPort": 80}]},
    {"80/tcp": ["x"]}, [], "x", {"80/tcp": [{"HostPort": "80", "HostIp": 4}]}, {"80/tcp/x": []},
    {"80/tcp": [{"HostPort": "99999999999999999999"}]}, {"80/tcp": [{"HostPort": "80-"}]}, {"80/tcp": [{"HostPort": " 80"}]},
    {"80-82/tcp": [{"HostPort": "80-81"}]})
BAD_EXPOSED = ({"x/tcp": {}}, {"80/foo": {}}, {"0/tcp": {}}, {"65536": {}}, [80], "80")


def refused(engine, **config):
    answer = engine.request("POST", "/containers/create?name=con", {"Image": "busybox", **config})
    assert answer.status == 400 and answer.message, (config, answer)
    return answer.message


def test_bad_bindings(engine):
    """By the API."""
    with traffic.unchanged(engine):
        for bindings, named in BAD_BINDINGS:
            assert refused(engine, HostConfig={"PortBindings": bindings}) == 'invalid port specification: "%s"' % named


@containers.cnm_only
def test_worse_bindings(engine):
    with traffic.unchanged(engine):
        for bindings in WORSE_BINDINGS:
            refused(engine, HostConfig={"PortBindings": bindings})
        for exposed in BAD_EXPOSED:
            refused(engine, ExposedPorts=exposed)


def test_empty_bindings(engine):
    """One that names nothing asks for a port that is chosen; none at all asks for nothing."""
    engine.running("con", ExposedPorts={"80/tcp": {}, "82": {}, "83/tcp": {}}, host={"PortBindings": {
        "83/tcp": [{}]}})
    shown = without_chosen(shown_ports(engine, "con"))
    assert shown == {"80/tcp": set(), "82/tcp": set(), "83/tcp": {("0.0.0.0", 0), ("::", 0)}}


@containers.cnm_only
def test_ranges_by_the_api(engine):
    """A key may be a range, so that 50,000 ports are one line of a request."""
    engine.running("con", ExposedPorts={"80-82/tcp": {}}, host={"PortBindings": {
        "80-82/tcp": [{"HostPort": "8080-8082"}], "10000-59999/udp": [{"HostIp": "127.0.0.1", "HostPort": "10000-59999"}]}})
    shown = shown_ports(engine, "con")
    assert shown["81/tcp"] == {("0.0.0.0", 8081), ("::", 8081)} and shown["59999/udp"] == {("127.0.0.1", 59999)}
    assert len(shown) == 50003


def test_said_in_events_and_logs(engine, client):
    """A failed start is in the container's state, too."""
    client.run("--name", "one", "-p", "8001:80", "busybox", *containers.HOLD)
    refused = client("run", "-d", "--name", "two", "-p", "8001:80", "busybox", *containers.HOLD)
    assert refused.rc == 125 and re.search(
        r"driver failed programming external connectivity on endpoint two \([0-9a-f]{64}\): "
        r"Bind for 0\.0\.0\.0:8001 failed: port is already allocated", refused.err), repr(refused)
    state = engine.container("two")["State"]
    assert state["Status"] == "created" and state["ExitCode"] == 128
    assert "Bind for 0.0.0.0:8001 failed: port is already allocated" in state["Error"]
    assert shown_ports(engine, "two") == {}
