# SPDX-License-Identifier: LGPL-2.1-or-later
"""`cnm dns`: what a sandbox can resolve, where the rest goes, and what became of what was asked."""
import re

import pytest

import containers
import harness
import wire
from wire import A, NOERROR, NXDOMAIN, SERVFAIL

pytest_plugins = ["container_fixtures"]
pytestmark = containers.cnm_only

FORWARDED = "%s (asked from the host)" % harness.LAN4


@pytest.fixture
def upstream(engine):
    """The file's tests share a cache: each asks for names of its own."""
    server = wire.Server(engine, {("counted.example", A): "203.0.113.5"})
    yield server
    server.close()


@pytest.fixture
def pair(engine):
    """con and web on backend, db on frontend."""
    for network in ("backend", "frontend"):
        engine.network(network)
    engine.sandbox("con", "backend")
    engine.sandbox("web", ("backend", {"Aliases": ["shared"]}))
    engine.sandbox("db", "frontend")
    return engine


def rows(engine, sandbox):
    """The table: {(name, network): [address, ...]}"""
    table, _, _ = engine.cnm("dns", sandbox, check=True).out.partition("\n\n")
    head, *lines = table.splitlines()
    assert head.split() == ["NAME", "NETWORK", "IPv4", "IPv6"]
    found = {}
    for line in lines:
        name, network, *addresses = re.split(r" {2,}", line.strip())
        found.setdefault((name, network), []).extend(addresses)
    return found


def rest(engine, sandbox):
    """The lines after the table."""
    return engine.cnm("dns", sandbox, check=True).out.partition("\n\n")[2].splitlines()


def says(engine, sentence, *question, rc=0):
    answer = engine.cnm("dns", *question)
    assert (answer.rc, answer.out, answer.err) == (rc, sentence + "\n", ""), repr(answer)


def asked(engine, name):
    return engine.get("/cnm/v1/dns/" + name)


def test_names_come_and_go(pair):
    con, web, db = (pair.address(name, network) for name, network in (
        ("con", "backend"), ("web", "backend"), ("db", "frontend")))
    short = pair.get("/cnm/v1/sandboxes/web")["Id"][:12]
    before = rows(pair, "con")
    assert before["con", "backend"] == [con]
    for name in ("web", "shared", short):
        assert before[name, "backend"] == [web], name
    assert not [name for name, network in before if network == "frontend"]
    pair.connect("frontend", "con", Aliases=["nick"])
    both = rows(pair, "con")
    assert both["db", "frontend"] == [db] and both["web", "backend"] == [web]
    assert both["nick", "frontend"] == [pair.address("con", "frontend")]
    pair.disconnect("frontend", "con")
    assert rows(pair, "con") == before
    pair.remove_sandbox("web")
    assert {name for name, _ in rows(pair, "con")} == {name for name, _ in before} - {"web", "shared", short}


def test_both_families(engine):
    engine.network("net", EnableIPv6=True)
    engine.sandbox("con", "net")
    addresses = [engine.address("con", "net", family) for family in (4, 6)]
    assert rows(engine, "con")["con", "net"] == addresses
    says(engine, "con is %s and %s, by net" % tuple(addresses), "con", "con")


def test_the_order_of_networks(engine):
    """The first of the gateways' networks that knows a name counts, and it comes first."""
    for network in ("net1", "net2"):
        engine.network(network)
        engine.sandbox("on-" + network, (network, {"Aliases": ["same"]}))
    engine.sandbox("con", ("net1", {"GwPriority": 1}), ("net2", {"GwPriority": 2}))
    networks = [name["Network"] for name in asked(engine, "con")["Names"]]
    assert networks == sorted(networks, reverse=True) and set(networks) == {"net1", "net2"}
    at = engine.address("on-net2", "net2")
    says(engine, "same is %s, by net2" % at, "con", "same")
    assert wire.ask(engine.inside("con"), "same").texts == [at]


def test_a_name(pair):
    web, con = pair.address("web", "backend"), pair.address("con", "backend")
    for name in ("web", "WEB", "web.backend", "web.BACKEND"):
        says(pair, "%s is %s, by backend" % (name, web), "con", name)
    says(pair, "web is %s, by backend" % web, "con", "web.")
    says(pair, "%s is web.backend" % web, "con", web)
    pair.sandbox("web2", ("backend", {"Aliases": ["shared"]}))
    answer = pair.cnm("dns", "con", "shared", check=True).out
    assert re.fullmatch(r"shared is \S+ and \S+, by backend\n", answer), answer
    assert set(re.findall(r"[\d.]{7,}", answer)) == {web, pair.address("web2", "backend")}
    says(pair, "con is %s, by backend" % con, pair.get("/cnm/v1/sandboxes/con")["Id"][:8], "con")


def test_a_name_of_another_network(pair):
    sentence = ("%s is not a name on con's networks (backend); it is one on frontend: "
                "`cnm network connect frontend con` would join it")
    for name in ("db", "db.frontend"):
        says(pair, sentence % name, "con", name, rc=1)
    pair.cnm("network", "connect", "frontend", "con", check=True)
    says(pair, "db is %s, by frontend" % pair.address("db", "frontend"), "con", "db")


def test_a_name_of_nobody(pair):
    says(pair, "nobody.example is not a name on con's networks (backend): it would be forwarded to " + FORWARDED,
         "con", "nobody.example")
    says(pair, "192.0.2.77 is not a name on con's networks (backend): it would be forwarded to " + FORWARDED,
         "con", "192.0.2.77")
    assert rest(pair, "con")[0] == "other names go to " + FORWARDED
    empty = pair.cnm("dns", "con", ".")
    assert empty.rc == 1 and empty.err == 'invalid name ".": it is empty\n'


def test_links(pair):
    web = pair.address("web", "backend")
    pair.sandbox("linked", ("backend", {"Links": ["web:nick", "web", "later:soon"]}))
    assert ("nick", "(link to web)") in rows(pair, "linked")
    says(pair, "nick is %s, by linked's link to web" % web, "linked", "nick")
    assert wire.ask(pair.inside("linked"), "nick").texts == [web]
    says(pair, "web is %s, by linked's link to web" % web, "linked", "web")
    assert ("nick", "(link to web)") not in rows(pair, "con")
    says(pair, "soon is linked's link to later, which is not a name on its networks (backend): "
         "it would be forwarded to " + FORWARDED, "linked", "soon")
    pair.sandbox("later", "backend")
    says(pair, "soon is %s, by linked's link to later" % pair.address("later", "backend"), "linked", "soon")


def test_internal(engine):
    why = "all its networks are internal, and it has no servers of its own (--dns)"
    engine.network("inner", Internal=True)
    engine.network("outer")
    engine.sandbox("con", "inner")
    answer = asked(engine, "con")
    assert (answer["Embedded"], answer["Forward"], answer["ForwardDotless"], answer["Why"]) == (
        True, False, False, why)
    assert rest(engine, "con")[0] == "nothing is forwarded: " + why
    says(engine, "x.example is not a name on con's networks (inner), and nothing is forwarded: " + why,
         "con", "x.example", rc=1)
    engine.connect("outer", "con")
    answer = asked(engine, "con")
    assert (answer["Forward"], answer["ForwardDotless"], answer["Why"]) == (True, True, "")


def test_counts(engine, upstream):
    engine.network("inner", Internal=True)
    engine.network("net")
    engine.sandbox("con", "net")
    engine.sandbox("closed", "inner")
    con, closed = engine.inside("con"), engine.inside("closed")
    assert not any(asked(engine, "con")["Counters"].values())
    begun = asked(engine, "con")["Servers"]

    def counts(name="con"):
        return {key: value for key, value in asked(engine, name)["Counters"].items() if value}
    assert wire.ask(con, "con").code == NOERROR
    assert counts() == {"Queries": 1, "Local": 1}
    assert wire.ask(con, "con", tcp=True).code == NOERROR
    assert counts() == {"Queries": 2, "Local": 2, "Tcp": 1}
    assert wire.ask(con, "counted.example").code == NOERROR
    assert counts() == {"Queries": 3, "Local": 2, "Tcp": 1, "Forwarded": 1}
    assert wire.ask(con, "counted.example").code == NOERROR
    assert counts() == {"Queries": 4, "Local": 2, "Tcp": 1, "Forwarded": 1, "Cached": 1}
    assert wire.ask(con, "nobody.example").code == NXDOMAIN
    assert counts()["Forwarded"] == 2
    assert wire.ask(closed, "counted.example").code == SERVFAIL
    assert counts("closed") == {"Queries": 1, "Failed": 1}
    server, = asked(engine, "con")["Servers"]
    assert (server["Address"], server["From"]) == (harness.LAN4, "host")
    assert server["Queries"] >= begun[0]["Queries"] + 2 and server["Answers"] >= begun[0]["Answers"] + 2
    queries, at = rest(engine, "con")[1:]
    assert queries == ("queries: 5 (1 by TCP): 2 answered here, 1 from the cache, 2 forwarded, 0 failed, "
                       "0 refused, 0 on their way")
    assert re.fullmatch(r"192\.0\.2\.1: \d+ asked, \d+ answered, \d+ failed, [\d.e+-]+ ms", at), at


def test_failures_are_counted(engine):
    """Nobody is at the server's address."""
    engine.network("net")
    engine.sandbox("con", "net")
    before, = asked(engine, "con")["Servers"]
    assert wire.ask(engine.inside("con"), "silent.example", timeout=30).code == SERVFAIL
    after, = asked(engine, "con")["Servers"]
    assert after["Failures"] > before["Failures"]
    assert asked(engine, "con")["Counters"]["Failed"] == 1


def test_own_servers(engine):
    engine.network("inner", Internal=True)
    engine.sandbox("con", "inner", Dns=["198.51.100.1"], DnsOptions=["ndots:1"])
    answer = asked(engine, "con")
    assert [(s["Address"], s["From"]) for s in answer["Servers"]] == [("198.51.100.1", "sandbox")]
    assert (answer["Forward"], answer["ForwardDotless"], answer["Why"]) == (True, False, "")
    assert rest(engine, "con")[:2] == ["other names go to 198.51.100.1 (asked from con)",
                                       "names without a dot are not forwarded"]
    says(engine, "x is not a name on con's networks (inner), and names without a dot are not forwarded",
         "con", "x", rc=1)
    says(engine, "x.y is not a name on con's networks (inner): "
         "it would be forwarded to 198.51.100.1 (asked from con)", "con", "x.y")


def test_without_names(engine):
    """The default bridge, the host's network, none, and no network at all: by the file."""
    engine.network("net")
    engine.sandbox("db", "net")
    engine.sandbox("legacy", "bridge")
    answer = asked(engine, "legacy")
    assert (answer["Embedded"], answer["Names"], answer["Servers"], answer["Counters"]) == (
        False, [], [{"Address": harness.LAN4, "From": "sandbox"}], {})
    head = "%s is on no network with names"
    knows = head + ": it has those of its hosts file, and asks "
    looks = head + ": it looks for %s in its hosts file, and then asks "
    says(engine, knows % "legacy" + harness.LAN4 + " for others itself", "legacy")
    says(engine, looks % ("legacy", "x") + harness.LAN4, "legacy", "x")
    says(engine, head % "legacy" + "; db is a name on net: `cnm network connect net legacy` would join it",
         "legacy", "db", rc=1)
    engine.sandbox("hosted", "host")
    says(engine, looks % ("hosted", "db") + harness.LAN4, "hosted", "db")
    for name, networks in (("nowhere", ["none"]), ("alone", [])):
        engine.sandbox(name, *networks)
        says(engine, knows % name + "nobody for others: it is on no network", name)
        says(engine, looks % (name, "x") + "nobody: it is on no network", name, "x", rc=1)


def test_json(pair):
    out = pair.cnm("dns", "--format", "json", "con", check=True)
    answer = out.json
    assert (answer["Sandbox"], answer["SandboxName"]) == (pair.get("/cnm/v1/sandboxes/con")["Id"], "con")
    assert list(answer) == ["Sandbox", "SandboxName", "Embedded", "Names", "More", "Servers", "Forward",
                            "ForwardDotless", "Why", "Counters"]
    assert {"Name", "Network", "IPv4", "IPv6", "Endpoint"} == set(answer["Names"][0])
    assert {"Address", "From", "Queries", "Answers", "Failures", "Milliseconds"} == set(answer["Servers"][0])
    assert {"Queries", "Local", "Cached", "Forwarded", "Failed", "Refused", "Tcp", "InFlight"} == set(answer["Counters"])
    assert pair.cnm("dns", "-f", "{{.SandboxName}} {{.Forward}}", "con", check=True).out == "con true\n"


def test_refused(pair):
    unknown = pair.cnm("dns", "nosuch")
    assert (unknown.rc, unknown.out) == (1, "") and "No such container: nosuch" in unknown.err
    assert pair.cnm("dns", "").err == "invalid sandbox name or ID: value is empty\n"
    for words, rc in (((), 1), (("con", "x", "y"), 1), (("--nosuch", "con"), 125), (("-f", "json", "con", "web"), 125)):
        refused = pair.cnm("dns", *words)
        assert refused.rc == rc and "Usage:  cnm dns [OPTIONS] SANDBOX [NAME]" in refused.err, repr(refused)
    page = pair.cnm("dns", "--help", check=True).out
    assert "Usage:  cnm dns [OPTIONS] SANDBOX [NAME]" in page and "--format" in page
    assert re.search(r"^  dns +\S", pair.cnm("--help", check=True).out, re.M)


def test_containers(engine, cnm):
    """By name and id prefix; one that shares another's network is where that one is; one that is not
    running resolves nothing."""
    cnm("network", "create", "backend", check=True)
    made = cnm.run("--name", "con", "--net", "backend", "busybox", *containers.HOLD)
    cnm.run("--name", "web", "--net", "backend", "busybox", *containers.HOLD)
    cnm.run("--name", "guest", "--net", "container:con", "busybox", *containers.HOLD)
    web = engine.address("web", "backend")
    for name in ("con", made, made[:12], "guest"):
        says(engine, "web is %s, by backend" % web, name, "web")
        assert asked(engine, name)["SandboxName"] == "con"
    cnm("stop", "-t", "0", "web", check=True)
    says(engine, "web is not a name on con's networks (backend); it is one on backend while web runs: `cnm start web`",
         "con", "web", rc=1)
    refused = cnm("dns", "web")
    assert (refused.rc, refused.out) == (1, "") and refused.err == (
        "Error response from daemon: container web is not running, and resolves names only then: start it with `cnm start web`\n")
    assert engine.request("GET", "/cnm/v1/dns/web").status == 409
    cnm("start", "web", check=True)
    says(engine, "web is %s, by backend" % engine.address("web", "backend"), "con", "web")
    cnm("rename", "web", "new", check=True)
    assert ("new", "backend") in rows(engine, "con") and ("web", "backend") not in rows(engine, "con")


def test_after_a_restart(pair):
    before = rows(pair, "con")
    for kill in (False, True):
        pair.restart(kill=kill)
        assert rows(pair, "con") == before
