# SPDX-License-Identifier: LGPL-2.1-or-later
"""/etc/hosts, /etc/hostname and /etc/resolv.conf, as a container sees them: what is in them, what the flags do,
what becomes of edits, and what is refused."""
import os
import stat

import pytest

import containers
import harness
import names
import traffic
from containers import words
from names import own_lines, resolv

pytest_plugins = ["container_fixtures"]
pytestmark = pytest.mark.xdist_group("test_files")
client = containers.fixture_of("docker", "cnm")
HOSTS = {"nameserver": [harness.LAN4], "search": ["example.test"], "options": []}
EMBEDDED = {"nameserver": ["127.0.0.11"], "search": ["example.test"], "options": ["ndots:0"]}
PUBLIC = ["8.8.8.8", "8.8.4.4"]
SHOW = "cat /etc/hosts; echo +; cat /etc/resolv.conf; echo +; cat /etc/hostname; echo +; hostname"


class Seen:
    """What a container finds."""

    def __init__(self, text):
        self.hosts_text, self.resolv_text, self.hostname_file, self.hostname = text.split("+\n")
        self.resolv = resolv(self.resolv_text)

    @property
    def lines(self):
        """Of hosts, without those for localhost."""
        return own_lines(self.hosts_text)


@pytest.fixture
def see(client):
    """see(flags of run): from a container that ends; see.of(name): from one that runs."""
    def look(*flags):
        return Seen(client.say("run", "--rm", *flags, "busybox", "sh", "-c", SHOW))
    look.of = lambda name: Seen(client.say("exec", name, "sh", "-c", SHOW))
    return look


@pytest.fixture
def host_file(engine):
    """The host's resolv.conf."""
    made = names.ResolvConf(engine)

    def write(text):
        made.write(text)
        if not containers.truth.ASKED:
            engine.restart()
    yield write
    made.restore()
    if not containers.truth.ASKED:
        engine.restart()


def network(engine, name="net", four="10.67.0.0/24", six=None, **more):
    subnets = [{"Subnet": four}] + ([{"Subnet": six}] if six else [])
    engine.request_ok("POST", "/networks/create", {"Name": name, "EnableIPv6": bool(six), "IPAM": {
        "Config": subnets}, **more})


@pytest.fixture
def net(engine):
    network(engine, six="fd00:67::/64")
    return engine


def gateway(engine):
    """Of the default bridge."""
    config = engine.request("GET", "/networks/bridge").json["IPAM"]["Config"][0]
    return config.get("Gateway") or config["Subnet"].replace(".0/16", ".1")


def hold(client, name, *flags):
    return client.run("--name", name, *flags, "busybox", *containers.HOLD)


def at(engine, name, net="bridge", key="IPAddress"):
    return engine.container(name)["NetworkSettings"]["Networks"][net][key]


# ------------------------------------------------------------------------------- by mode

def test_default_bridge(engine, client, see):
    made = hold(client, "con")
    seen = see.of("con")
    assert seen.lines == ["%s\t%s" % (at(engine, "con"), made[:12])]
    assert seen.resolv == HOSTS
    assert seen.hostname == seen.hostname_file == made[:12] + "\n"


def test_user_defined(net, client, see):
    made = hold(client, "con", "--net", "net")
    seen = see.of("con")
    assert seen.lines == ["10.67.0.2\t" + made[:12], "fd00:67::2\t" + made[:12]]
    assert seen.resolv == EMBEDDED
    assert seen.hostname == seen.hostname_file == made[:12] + "\n"


def test_host(engine, client, see):
    seen = see("--net", "host")
    with open("/etc/hosts") as f:
        assert seen.hosts_text == f.read()
    assert seen.resolv == HOSTS
    assert seen.hostname == seen.hostname_file == os.uname().nodename + "\n"
    seen = see("--net", "host", "--add-host", "far:192.0.2.99", "--dns", "192.0.2.98", "-h", "box")
    assert seen.lines == ["192.0.2.99\tfar"]
    assert seen.resolv == {**HOSTS, "nameserver": ["192.0.2.98"]}
    assert seen.hostname == seen.hostname_file == "box\n"


def test_none(engine, client, see):
    seen = see("--net", "none", "-h", "box", "--add-host", "far:192.0.2.99")
    assert seen.lines == ["192.0.2.99\tfar"] and seen.hostname == seen.hostname_file == "box\n"
    assert seen.resolv == HOSTS
    assert see("--net", "none", "--dns", "192.0.2.98", "--dns-search", "here").resolv == {
        "nameserver": ["192.0.2.98"], "search": ["here"], "options": []}


def test_of_another_container(net, client, see):
    hold(client, "one", "--net", "net", "-h", "box", "--add-host", "far:192.0.2.99", "--dns-search", "here")
    one, two = see.of("one"), see("--net", "container:one")
    assert (one.hosts_text, one.resolv_text, one.hostname) == (two.hosts_text, two.resolv_text, two.hostname)
    assert "192.0.2.99\tfar" in two.lines and two.resolv["search"] == ["here"]
    hold(client, "two", "--net", "container:one")
    client("network", "connect", "bridge", "one", check=True)
    assert see.of("two").lines == see.of("one").lines and len(see.of("two").lines) == 4


def test_localhost(net, client, see):
    """Of both families, first of all."""
    text = see("--net", "net").hosts_text
    assert text.startswith(names.LOCALHOST4 + "::1\tlocalhost ip6-localhost ip6-loopback\n")
    assert "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n" in text


# ------------------------------------------------------------------------------- by flags

def test_add_host(net, client, see):
    """In their order, before the container's own lines."""
    flags = ("--add-host", "far:192.0.2.99", "--add-host", "six:fd00::99", "--add-host", "far:192.0.2.98",
             "--add-host", "gate:host-gateway", "--add-host", "equal=192.0.2.97", "--add-host", "bracket:[fd00::98]")
    wanted = ["192.0.2.99\tfar", "fd00::99\tsix", "192.0.2.98\tfar", gateway(net) + "\tgate", "192.0.2.97\tequal",
              "fd00::98\tbracket"]
    for where in ("bridge", "net"):
        lines = see("--net", where, *flags).lines
        assert lines[:6] == wanted and len(lines) == (7 if where == "bridge" else 8)
    client("run", "--rm", "--add-host", "far:192.0.2.99", "busybox", "ping", "-c1", "-W1", "far", check=None)
    client.run("--name", "con", *flags, "busybox", *containers.HOLD)
    extra = net.container("con")["HostConfig"]["ExtraHosts"]
    assert [entry.replace("[", "").replace("]", "") for entry in extra] == [
        "far:192.0.2.99", "six:fd00::99", "far:192.0.2.98", "gate:host-gateway", "equal:192.0.2.97", "bracket:fd00::98"]


def test_dns_flags(net, client, see):
    """On the default bridge the servers themselves, elsewhere ours, which asks them."""
    flags = ("--dns", "192.0.2.98", "--dns", "192.0.2.97", "--dns-search", "here", "--dns-search", "there.example",
             "--dns-opt", "ndots:3", "--dns-opt", "timeout:1")
    assert see(*flags).resolv == {"nameserver": ["192.0.2.98", "192.0.2.97"], "search": ["here", "there.example"],
                                  "options": ["ndots:3", "timeout:1"]}
    assert see("--net", "net", *flags).resolv == {"nameserver": ["127.0.0.11"], "search": ["here", "there.example"],
                                                  "options": ["ndots:3", "timeout:1"]}
    client("create", "--name", "con", *flags, "busybox", check=True)
    host = net.container("con")["HostConfig"]
    assert (host["Dns"], host["DnsSearch"], host["DnsOptions"]) == (
        ["192.0.2.98", "192.0.2.97"], ["here", "there.example"], ["ndots:3", "timeout:1"])


@pytest.mark.parametrize("where", ["bridge", "net"])
def test_one_dns_flag(net, client, see, where):
    """What is not said is the host's."""
    like = {**EMBEDDED, "nameserver": ["127.0.0.11"]} if where == "net" else HOSTS
    server = {"nameserver": ["192.0.2.98"]} if where == "bridge" else {}
    assert see("--net", where, "--dns", "192.0.2.98").resolv == {**like, **server}
    assert see("--net", where, "--dns-search", "here").resolv == {**like, "search": ["here"]}
    assert see("--net", where, "--dns-search", ".").resolv == {**like, "search": []}
    assert see("--net", where, "--dns-opt", "rotate").resolv == {**like, "options": ["rotate", *like["options"]]}
    assert see("--net", where, "--dns-opt", "ndots:1").resolv == {**like, "options": ["ndots:1"]}


def test_an_invalid_ndots_is_replaced(net, client, see):
    if containers.truth.ASKED:
        pytest.skip("20.10 gives up its own server then")
    for value in ("ndots:x", "ndots:-1", "ndots:", "ndots"):
        assert see("--net", "net", "--dns-opt", value, "--dns-opt", "rotate").resolv == {
            **EMBEDDED, "options": ["rotate", "ndots:0"]}, value


def test_hostname_and_domainname(net, client, see):
    for flags, called, told in ((("-h", "box"), "box", "box"),
                                (("-h", "box.here.example"), "box.here.example box", "box.here.example"),
                                (("-h", "box", "--domainname", "here.example"), "box.here.example box", "box"),
                                (("-h", "a.b.c", "--domainname", "d.e"), "a.b.c.d.e a", "a.b.c")):
        seen = see("--net", "net", *flags)
        assert [line.split("\t")[1] for line in seen.lines] == [called, called], flags
        assert seen.hostname == seen.hostname_file == told + "\n", flags
        assert see(*flags).lines[0].endswith("\t" + called)
    shown = client.say("run", "--rm", "--net", "net", "-h", "box", "--domainname", "here.example", "busybox", "sh", "-c",
                       "hostname -f; hostname -d; hostname -s; cat /proc/sys/kernel/domainname")
    assert shown == "box.here.example\nhere.example\nbox\nhere.example\n"
    client("create", "--name", "con", "-h", "box", "--domainname", "here.example", "busybox", check=True)
    config = net.container("con")["Config"]
    assert (config["Hostname"], config["Domainname"]) == ("box", "here.example")
    made = hold(client, "plain", "--net", "net", "--domainname", "here.example")
    assert see.of("plain").lines[0].endswith("\t%s.here.example %s" % (made[:12], made[:12]))


def test_the_files_on_the_host(net, client):
    """Where inspect says; readable by everybody, written by root alone."""
    hold(client, "con", "--net", "net")
    shown = net.container("con")
    for key, name in (("HostsPath", "hosts"), ("HostnamePath", "hostname"), ("ResolvConfPath", "resolv.conf")):
        path = net.root + shown[key]
        with open(path) as f:
            assert f.read() == client.say("exec", "con", "cat", "/etc/" + name)
        about = os.stat(path)
        assert (stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid) == (0o644, 0, 0)
    assert client.say("exec", "con", "stat", "-c", "%a %u %g", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf") == (
        "644 0 0\n" * 3)


def test_they_are_found_read_only(net, client, see):
    seen = see("--net", "net", "--read-only")
    assert seen.resolv == EMBEDDED and len(seen.lines) == 2


def test_a_mount_of_the_users_own_comes_first(tmp_path, net, client):
    (tmp_path / "mine").write_text("mine\n")
    os.chmod(tmp_path, 0o755)
    for name in ("hosts", "resolv.conf", "hostname"):
        assert client.say("run", "--rm", "--net", "net", "-v", "%s/mine:/etc/%s" % (tmp_path, name), "busybox",
                          "cat", "/etc/" + name) == "mine\n"
    assert (tmp_path / "mine").read_text() == "mine\n"


# ------------------------------------------------------------------------------- the host's file

def test_what_the_host_has(net, client, see, host_file):
    """Search, options and IPv6 servers; comments and what nobody knows do no harm."""
    host_file("# ours\n; ours, too\nsearch one.example two.example\nnameserver 192.0.2.98\nnameserver 192.0.2.97\n"
              "options edns0 timeout:2\nunknown thing\n")
    wanted = {"nameserver": ["192.0.2.98", "192.0.2.97"], "search": ["one.example", "two.example"],
              "options": ["edns0", "timeout:2"]}

    def plain(seen):
        return {key: seen.resolv[key] for key in wanted}
    assert plain(see()) == plain(see("--net", "none")) == plain(see("--net", "host")) == wanted
    assert plain(see("--net", "net")) == {**wanted, "nameserver": ["127.0.0.11"], "options": ["edns0", "timeout:2", "ndots:0"]}
    assert plain(see("--net", "net", "--dns-opt", "rotate"))["options"] == ["rotate", "ndots:0"]


def test_ndots_of_the_host(net, client, see, host_file):
    host_file("nameserver 192.0.2.98\noptions ndots:2\n")
    assert see("--net", "net").resolv == {"nameserver": ["127.0.0.11"], "search": [], "options": ["ndots:2"]}
    assert see().resolv["options"] == ["ndots:2"]


def test_domain_is_search(net, client, see, host_file):
    host_file("domain one.example\nnameserver 192.0.2.98\n")
    assert words(see("--net", "net").resolv["search"], ["one.example"]) == ["one.example"]
    assert see().resolv["search"] == ["one.example"]


def test_loopback_servers(net, client, see, host_file):
    """Of no use to a container on the default bridge, which gets public ones; ours asks them."""
    host_file("nameserver 127.0.0.1\nnameserver ::1\nnameserver 192.0.2.98\n")
    assert see().resolv["nameserver"] == see("--net", "none").resolv["nameserver"] == ["192.0.2.98"]
    assert see("--net", "host").resolv["nameserver"] == ["127.0.0.1", "::1", "192.0.2.98"]
    host_file("nameserver 127.0.0.1\nsearch here\n")
    assert see().resolv == {"nameserver": PUBLIC, "search": ["here"], "options": []}
    assert see("--net", "net").resolv["nameserver"][0] == "127.0.0.11"
    assert see("--net", "host").resolv["nameserver"] == ["127.0.0.1"]
    host_file("")
    assert see().resolv["nameserver"] == PUBLIC
    assert see("--net", "net").resolv["nameserver"][0] == "127.0.0.11"
    assert see("--net", "host").resolv["nameserver"] == []


@containers.cnm_only
def test_ipv6_servers(net, client, see, host_file):
    """Not for a container without IPv6; ours asks them all."""
    host_file("nameserver 2001:db8::98\nnameserver fe80::1%up0\nnameserver 192.0.2.98\n")
    assert see().resolv["nameserver"] == ["192.0.2.98"]
    assert see("--net", "net").resolv["nameserver"] == ["127.0.0.11"]
    assert see("--net", "net", "--dns", "2001:db8::97").resolv["nameserver"] == ["127.0.0.11"]


RESOLVED = "/run/systemd/resolve"


def test_behind_systemd_resolved(net, client, see, host_file):
    """Its stub is used where it can be; the others get the servers it asks itself."""
    folder = net.root + RESOLVED
    os.makedirs(folder)
    try:
        with open(folder + "/resolv.conf", "w") as f:
            f.write("nameserver 192.0.2.98\nsearch real.example\n")
        host_file("nameserver 127.0.0.53\noptions edns0\nsearch stub.example\n")
        # 20.10 looks once in its life.
        net.restart()
        for mode in ("bridge", "none"):
            assert see("--net", mode).resolv == {"nameserver": ["192.0.2.98"], "search": ["real.example"], "options": []}
        if not containers.truth.ASKED:
            assert see("--net", "host").resolv == {
                "nameserver": ["127.0.0.53"], "search": ["stub.example"], "options": ["edns0"]}
            assert see("--net", "net").resolv == {
                "nameserver": ["127.0.0.11"], "search": ["stub.example"], "options": ["edns0", "ndots:0"]}
            host_file("nameserver 127.0.0.53\nnameserver 192.0.2.97\n")
            assert see().resolv["nameserver"] == ["192.0.2.97"]
    finally:
        os.unlink(folder + "/resolv.conf")
        os.removedirs(folder)


# ------------------------------------------------------------------------------- what changes

def test_connect_adds_and_disconnect_removes(net, client, see):
    """The lines of one network, whatever else is there."""
    network(net, "net2", "10.68.0.0/24")
    made = hold(client, "con", "--net", "net", "-h", "box.here", "--add-host", "far:192.0.2.99")
    own = ["192.0.2.99\tfar", "10.67.0.2\tbox.here box", "fd00:67::2\tbox.here box"]
    assert made and see.of("con").lines == own
    client("network", "connect", "net2", "con", check=True)
    assert see.of("con").lines == own + ["10.68.0.2\tbox.here box"]
    client("network", "disconnect", "net2", "con", check=True)
    # Of 20.10's lines others may go as well, or these stay.
    if not containers.truth.ASKED:
        assert see.of("con").lines == own
        client("network", "disconnect", "net", "con", check=True)
        assert see.of("con").lines == own[:1]
    client("network", "connect", "--ip", "10.68.0.77", "net2", "con", check=True)
    assert see.of("con").lines[0] == own[0] and see.of("con").lines[-1] == "10.68.0.77\tbox.here box"


def test_two_without_a_tie(net, client, see):
    """Lines of the same name at different addresses, and addresses that begin alike."""
    network(net, "net2", "10.68.0.0/24")
    hold(client, "con", "--net", "net", "--ip", "10.67.0.20", "-h", "box", "--add-host", "far:10.68.0.200")
    client("network", "connect", "--ip", "10.68.0.20", "net2", "con", check=True)
    client("network", "disconnect", "net2", "con", check=True)
    assert "10.68.0.200\tfar" in see.of("con").lines and "10.68.0.20\tbox" not in see.of("con").lines


def test_disconnected_from_the_last_network(engine, client, see):
    """Nothing of ours is left in hosts; resolv.conf still names somebody."""
    network(engine)
    hold(client, "con", "--net", "net")
    client("network", "disconnect", "net", "con", check=True)
    assert see.of("con").lines == []
    client("network", "connect", "bridge", "con", check=True)
    assert len(see.of("con").lines) == 1


@containers.cnm_only
def test_resolv_conf_follows_the_networks(engine, client, see):
    """Ours is named as soon as there is a network with names, and no longer."""
    network(engine)
    hold(client, "con")
    assert see.of("con").resolv == HOSTS
    client("network", "connect", "net", "con", check=True)
    assert see.of("con").resolv == EMBEDDED
    client("network", "disconnect", "net", "con", check=True)
    assert see.of("con").resolv == HOSTS


def test_edited_hosts(net, client, see):
    """A user's lines stay, and ours come and go beside them."""
    network(net, "net2", "10.68.0.0/24")
    hold(client, "con", "--net", "net", "-h", "box")
    client("exec", "con", "sh", "-c", "echo '192.0.2.50 mine # with a comment' >>/etc/hosts", check=True)
    own = see.of("con").lines
    assert own[-1] == "192.0.2.50 mine # with a comment"
    client("network", "connect", "net2", "con", check=True)
    assert see.of("con").lines == own + ["10.68.0.2\tbox"]
    client("rename", "con", "fresh", check=True)
    client("network", "disconnect", "net2", "fresh", check=True)
    left = see.of("fresh").lines
    assert "192.0.2.50 mine # with a comment" in left and "10.68.0.2\tbox" not in left
    assert words(left, own) == own
    client("network", "disconnect", "net", "fresh", check=True)
    assert see.of("fresh").lines == own[-1:]


@containers.cnm_only
def test_edits_outlive_everything_but_a_start(net, client, see):
    """Those of hosts, where what is ours goes on to change, and of resolv.conf, which is not written again."""
    network(net, "net2", "10.68.0.0/24")
    hold(client, "con", "--net", "net", "-h", "box")
    client("exec", "con", "sh", "-c", "echo 192.0.2.50 mine >>/etc/hosts; echo 'options rotate' >>/etc/resolv.conf; "
           "sed /fd00:67::2/d /etc/hosts >/tmp/hosts; cat /tmp/hosts >/etc/hosts; echo else >/etc/hostname", check=True)
    before = see.of("con")
    assert before.lines == ["10.67.0.2\tbox", "192.0.2.50 mine"]

    def same(*more):
        seen = see.of("con")
        assert seen.lines == [*before.lines, *more]
        assert seen.resolv_text == before.resolv_text
    for act in (net.restart, lambda: net.restart(kill=True), lambda: net.doctor(repair=True)):
        act()
        net.wait_healed()
        same()
        client("network", "connect", "--ip", "10.68.0.2", "net2", "con", check=True)
        same("10.68.0.2\tbox")
        act()
        net.wait_healed()
        same("10.68.0.2\tbox")
        client("network", "disconnect", "net2", "con", check=True)
        same()
    client("network", "disconnect", "net", "con", check=True)
    client("network", "connect", "bridge", "con", check=True)
    assert see.of("con").resolv_text == before.resolv_text
    assert see.of("con").lines == ["192.0.2.50 mine", "%s\tbox" % at(net, "con")]


def test_fresh_after_a_start(net, client, see):
    hold(client, "con", "--net", "net", "-h", "box", "--add-host", "far:192.0.2.99")
    before = see.of("con")
    client("exec", "con", "sh", "-c", "for f in hosts resolv.conf hostname; do echo '# mine' >>/etc/$f; done", check=True)
    for again in (("restart", "-t", "0"), ("stop", "-t", "0")):
        client(*again, "con", check=True)
        client("start", "con", check=True)
        seen = see.of("con")
        assert (seen.hosts_text, seen.resolv_text) == (before.hosts_text, before.resolv_text)
        assert words(seen.hostname_file, "box\n") == "box\n"
        client("exec", "con", "sh", "-c", "echo '# mine' >/etc/hosts; echo >/etc/resolv.conf", check=True)


def test_connected_while_stopped(net, client, see):
    network(net, "net2", "10.68.0.0/24")
    client("create", "--name", "con", "--net", "net", "-h", "box", "busybox", *containers.HOLD, check=True)
    client("network", "connect", "net2", "con", check=True)
    client("start", "con", check=True)
    assert sorted(see.of("con").lines) == ["10.67.0.2\tbox", "10.68.0.2\tbox", "fd00:67::2\tbox"]


@containers.cnm_only
@pytest.mark.parametrize("edit", [": >/etc/hosts", "rm -f /etc/hosts", "printf 'no end' >/etc/hosts",
                                  "head -c 3000000 /dev/zero >/etc/hosts", "head -c 100000 /dev/urandom >/etc/hosts",
                                  "chmod 0 /etc/hosts; echo 192.0.2.50 mine >/etc/hosts",
                                  "cat /etc/hosts /etc/hosts >/tmp/h; cat /tmp/h >/etc/hosts",
                                  "tr '\\t' ' ' </etc/hosts >/tmp/h; cat /tmp/h >/etc/hosts"])
def test_hostile_edits(net, cnm, edit):
    """Whatever it does to its files: requests are answered, others are well, and its next start is clean."""
    network(net, "net2", "10.68.0.0/24")
    hold(cnm, "con", "--net", "net", "-h", "box")
    cnm("exec", "con", "sh", "-c", edit)
    for _ in range(2):
        cnm("network", "connect", "net2", "con", check=True)
        cnm("network", "disconnect", "net2", "con", check=True)
    net.doctor(repair=True)
    net.wait_healed()
    shown = cnm("exec", "con", "cat", "/etc/hosts", text=False).out
    assert b"10.68.0.2\t" not in shown
    cnm("restart", "-t", "0", "con", check=True)
    assert own_lines(cnm.say("exec", "con", "cat", "/etc/hosts")) == ["10.67.0.2\tbox", "fd00:67::2\tbox"]


@containers.cnm_only
def test_a_link_instead_of_the_file(net, cnm):
    """What the container sees is its mount: nothing it does leads our writing elsewhere."""
    hold(cnm, "con", "--net", "net", "-h", "box", "--privileged")
    victim = net.root + "/run/victim"
    with open(victim, "w") as f:
        f.write("untouched\n")
    path = net.container("con")["HostsPath"]
    cnm("exec", "con", "sh", "-c", "umount /etc/hosts; ln -sf /run/victim /etc/hosts")
    cnm("network", "connect", "bridge", "con", check=True)
    with open(net.root + path) as f:
        assert at(net, "con") + "\tbox" in f.read()
    with open(victim) as f:
        assert f.read() == "untouched\n"
    os.unlink(victim)


@containers.cnm_only
def test_a_link_put_where_the_file_was(net, cnm):
    """By somebody on the host: it is not followed."""
    hold(cnm, "con", "--net", "net", "-h", "box")
    victim = net.root + "/run/victim"
    with open(victim, "w") as f:
        f.write("untouched\n")
    path = net.root + net.container("con")["HostsPath"]
    os.unlink(path)
    os.symlink("/run/victim", path)
    cnm("network", "connect", "bridge", "con")
    net.doctor(repair=True)
    with open(victim) as f:
        assert f.read() == "untouched\n"
    os.unlink(victim)


# ------------------------------------------------------------------------------- what is refused

REFUSED = [
    (("--add-host", "x"), 'invalid argument "x" for "--add-host" flag: bad format for add-host: "x"'),
    (("--add-host", "x:y"), 'invalid argument "x:y" for "--add-host" flag: invalid IP address in add-host: "y"'),
    (("--add-host", ":192.0.2.1"), 'invalid argument ":192.0.2.1" for "--add-host" flag: bad format for add-host: ":192.0.2.1"'),
    (("--add-host", "x:192.0.2.1:5"),
     'invalid argument "x:192.0.2.1:5" for "--add-host" flag: invalid IP address in add-host: "192.0.2.1:5"'),
    (("--add-host", "x:host-gateways"),
     'invalid argument "x:host-gateways" for "--add-host" flag: invalid IP address in add-host: "host-gateways"'),
    (("--dns", "x"), 'invalid argument "x" for "--dns" flag: IP address is not correctly formatted: x'),
    (("--dns", ""), 'invalid argument "" for "--dns" flag: IP address is not correctly formatted: '),
    (("--dns-search", "a b"), 'invalid argument "a b" for "--dns-search" flag: a b is not a valid domain'),
    (("--dns-search", "-x-"), 'invalid argument "-x-" for "--dns-search" flag: -x- is not a valid domain'),
    (("--net", "container:one", "--add-host", "x:192.0.2.1"),
     "conflicting options: custom host-to-IP mapping and the network mode"),
    (("--net", "container:one", "--dns", "192.0.2.1"), "conflicting options: dns and the network mode"),
    (("--net", "container:one", "-h", "x"), "conflicting options: hostname and the network mode"),
]


def test_refused(engine, client):
    """By run, in Docker's words, and nothing is made."""
    hold(client, "one")
    with traffic.unchanged(engine):
        for flags, said in REFUSED:
            refused = client("run", "--name", "con", *flags, "busybox", "true")
            assert refused.rc == 125 and said in refused.err, repr(refused)
            assert engine.request("GET", "/containers/con/json").status == 404


BAD_HOST = [({"ExtraHosts": ["x"]}, 'bad format for add-host: "x"'), ({"ExtraHosts": ["x:y"]}, 'invalid IP address in add-host: "y"'),
            ({"ExtraHosts": [":192.0.2.1"]}, 'bad format for add-host: ":192.0.2.1"')]


@pytest.mark.parametrize("host,said", BAD_HOST, ids=repr)
def test_refused_by_the_daemon(engine, host, said):
    answer = engine.request("POST", "/containers/create?name=con", {"Image": "busybox", "HostConfig": host})
    assert (answer.status, answer.message) == (400, said), repr(answer)
    assert engine.request("GET", "/containers/json?all=1").json == []


# Docker takes these and writes what they make of the files.
INJECTED = [{"HostConfig": {"ExtraHosts": ["x\n192.0.2.66 bank:192.0.2.1"]}}, {"HostConfig": {"DnsSearch": ["a\nnameserver 192.0.2.66"]}},
            {"HostConfig": {"DnsOptions": ["a\nnameserver 192.0.2.66"]}}, {"HostConfig": {"Dns": ["192.0.2.1\nnameserver 192.0.2.66"]}},
            {"HostConfig": {"Dns": ["x"]}}, {"Hostname": "a\n192.0.2.66 bank"}, {"Hostname": "a", "Domainname": "b\n192.0.2.66 bank"},
            {"Hostname": "a b"}, {"HostConfig": {"ExtraHosts": ["x\t192.0.2.66:192.0.2.1"]}}, {"HostConfig": {"DnsOptions": ["a b"]}},
            {"Hostname": "x" * 65}, {"HostConfig": {"DnsSearch": ["x" * 300]}}]


@containers.cnm_only
@pytest.mark.parametrize("config", INJECTED, ids=lambda c: repr(c)[:60])
def test_no_line_of_anybody_elses(engine, config):
    """What would become a line of its own, or more than one word, is refused, or at least does not."""
    answer = engine.request("POST", "/containers/create?name=con", {"Image": "busybox", "Cmd": list(containers.HOLD), **config})
    assert answer.status in (201, 400), repr(answer)
    if answer.status == 400:
        assert answer.message.strip()
        return
    started = engine.request("POST", "/containers/con/start")
    if started.status == 204:
        shown = engine.container("con")
        for key in ("HostsPath", "ResolvConfPath"):
            with open(engine.root + shown[key]) as f:
                assert not [line for line in f if line.split()[:1] == ["192.0.2.66"] or "nameserver 192.0.2.66" in line]
    else:
        assert started.status in (400, 500) and engine.status("con") != "running", repr(started)


# ------------------------------------------------------------------------------- sandboxes

def of_sandbox(cnm, name):
    return Seen(cnm.say("sandbox", "exec", name, "sh", "-c", SHOW))


@containers.cnm_only
def test_of_a_sandbox(net, cnm):
    """The same, by its own commands."""
    cnm("sandbox", "create", "--net", "net", "-h", "box", "--domainname", "here.example", "--add-host", "far:192.0.2.99",
        "--add-host", "gate:host-gateway", "--dns", "192.0.2.98", "--dns-search", "here", "--dns-opt", "rotate", "con", check=True)
    seen = of_sandbox(cnm, "con")
    assert seen.lines == ["192.0.2.99\tfar", gateway(net) + "\tgate", "10.67.0.2\tbox.here.example box",
                          "fd00:67::2\tbox.here.example box"]
    assert seen.resolv == {"nameserver": ["127.0.0.11"], "search": ["here"], "options": ["rotate", "ndots:0"]}
    assert seen.hostname_file == "box\n"
    shown = net.get("/cnm/v1/sandboxes/con")
    assert (shown["Hostname"], shown["Domainname"], shown["Dns"], shown["DnsSearch"], shown["DnsOptions"], shown["ExtraHosts"]) == (
        "box", "here.example", ["192.0.2.98"], ["here"], ["rotate"], ["far:192.0.2.99", "gate:host-gateway"])
    for key, name in (("HostsPath", "hosts"), ("HostnamePath", "hostname"), ("ResolvConfPath", "resolv.conf")):
        with open(net.root + shown[key]) as f:
            assert f.read() == cnm.say("sandbox", "exec", "con", "cat", "/etc/" + name)
    net.restart(kill=True)
    again = of_sandbox(cnm, "con")
    assert (again.hosts_text, again.resolv_text) == (seen.hosts_text, seen.resolv_text)


@containers.cnm_only
def test_of_a_sandbox_by_the_api(net, cnm):
    net.sandbox("con", "bridge", Hostname="box", Domainname="here", Dns=["192.0.2.98"], DnsSearch=["."], DnsOptions=["rotate"],
                ExtraHosts=["six:fd00::99"])
    seen = of_sandbox(cnm, "con")
    assert seen.lines == ["fd00::99\tsix", "%s\tbox.here box" % net.address("con", "bridge")]
    assert seen.resolv == {"nameserver": ["192.0.2.98"], "search": [], "options": ["rotate"]}
    net.connect("net", "con")
    assert of_sandbox(cnm, "con").lines[2:] == ["10.67.0.2\tbox.here box", "fd00:67::2\tbox.here box"]
    net.disconnect("net", "con")
    assert of_sandbox(cnm, "con").lines == seen.lines
    net.sandbox("alone")
    assert of_sandbox(cnm, "alone").lines == []


@containers.cnm_only
def test_edits_of_a_sandboxes_files(net, cnm):
    net.sandbox("con", "net", Hostname="box")
    cnm("sandbox", "exec", "con", "sh", "-c", "echo 192.0.2.50 mine >>/etc/hosts; echo '# mine' >>/etc/resolv.conf", check=True)
    before = of_sandbox(cnm, "con")
    assert before.lines[-1] == "192.0.2.50 mine" and "# mine" in before.resolv_text
    for act in (lambda: net.connect("bridge", "con"), lambda: net.restart(kill=True), lambda: net.doctor(repair=True)):
        act()
        net.wait_healed()
        assert of_sandbox(cnm, "con").lines == [*before.lines, net.address("con", "bridge") + "\tbox"]
        assert of_sandbox(cnm, "con").resolv_text == before.resolv_text
    net.disconnect("bridge", "con")
    assert of_sandbox(cnm, "con").lines == before.lines


BAD_SANDBOX = [
    ({"Dns": ["x"]}, "x"), ({"Dns": "192.0.2.1"}, "Dns"), ({"Dns": [1]}, "Dns"), ({"ExtraHosts": ["x"]}, 'bad format for add-host: "x"'),
    ({"ExtraHosts": ["x:y"]}, 'invalid IP address in add-host: "y"'), ({"ExtraHosts": ["a\nb:192.0.2.1"]}, "add-host|character|ExtraHosts"),
    ({"DnsSearch": ["a b"]}, "a b"), ({"DnsSearch": ["a\nb"]}, "."), ({"DnsOptions": ["a\nb"]}, "."), ({"DnsOptions": ["a b"]}, "a b"),
    ({"Hostname": "a b"}, "a b"), ({"Domainname": "a\nb"}, "."), ({"Hostname": "x" * 65}, "x"), ({"Dns": ["192.0.2.1%eth0"]}, "192.0.2.1%eth0"),
    ({"Dns": ["0.0.0.0/0"]}, "0.0.0.0/0"), ({"DnsSearch": ["x" * 300]}, "x"), ({"Domains": []}, "unknown field Domains")]


@containers.cnm_only
def test_refused_of_a_sandbox(engine):
    with traffic.unchanged(engine):
        for more, said in BAD_SANDBOX:
            engine.refused("POST", "/cnm/v1/sandboxes", {"Name": "con", **more}, 400, matching=said)


@containers.cnm_only
def test_refused_by_the_command_for_sandboxes(engine, cnm):
    with traffic.unchanged(engine):
        for flags, said in REFUSED:
            if "--net" not in flags:
                refused = cnm("sandbox", "create", *flags, "con")
                assert refused.rc in (1, 125) and said in refused.err, repr(refused)


# ------------------------------------------------------------------------------- what the daemon was told

@containers.cnm_only
@pytest.mark.daemon("--dns", "192.0.2.96", "--dns", "2001:db8::96", "--dns-search", "daemon.example", "--dns-opt", "timeout:3",
                    "--host-gateway-ip", "192.0.2.95", "--host-gateway-ip", "2001:db8::95")
def test_defaults_of_the_daemon(host):
    """For those that bring none of their own."""
    host.compare = False
    host.subnet("net", "10.67.0.0/24")
    host.sandbox("con", "net", ExtraHosts=["gate:host-gateway"])
    host.sandbox("old", "bridge")
    host.sandbox("own", "net", Dns=["192.0.2.98"], DnsSearch=["here"], DnsOptions=["rotate"])

    def files(name):
        shown = host.get("/cnm/v1/sandboxes/" + name)
        with open(host.root + shown["HostsPath"]) as one, open(host.root + shown["ResolvConfPath"]) as two:
            return own_lines(one.read()), resolv(two.read())
    for _ in range(2):
        lines, found = files("con")
        assert found == {"nameserver": ["127.0.0.11"], "search": ["daemon.example"], "options": ["timeout:3", "ndots:0"]}
        assert lines == ["192.0.2.95\tgate", "2001:db8::95\tgate", "10.67.0.2\tcon"]
        assert files("old")[1] == {
            "nameserver": ["192.0.2.96", "2001:db8::96"], "search": ["daemon.example"], "options": ["timeout:3"]}
        assert files("own")[1] == {"nameserver": ["127.0.0.11"], "search": ["here"], "options": ["rotate", "ndots:0"]}
        host.restart(kill=True)
    view = host.inside("con")
    host.run_lan("ip", "addr", "add", "192.0.2.96/24", "dev", "lan0")
    with names.upstream(host, other=names.says("203.0.113.9")) as hosts, names.upstream(
            host, "192.0.2.96", other=names.says("203.0.113.5")) as server:
        assert names.found(view, "far.example") == (0, ["203.0.113.5"])
        assert server.asked and not hosts.asked


@containers.cnm_only
@pytest.mark.parametrize("option,value", [("--dns", "x"), ("--dns-search", "a b"), ("--dns-opt", "a\nb"), ("--host-gateway-ip", "x")])
def test_bad_defaults_of_the_daemon(bare_host, option, value):
    """It says so, and does not start."""
    bare_host.start(option, value, wait=False)
    assert bare_host.ended() != 0
    said = bare_host.log_text()
    assert value.split("\n")[0] in said, said
