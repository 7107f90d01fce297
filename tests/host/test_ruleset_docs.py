# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/ruleset/ is true: a daemon of its own is told what the page says was typed, and what then is
in the kernel is what the page shows. With CNM_UPDATE_GOLDEN in the environment (./test
--update-golden) the page's elements and tables.nft are written, and nothing is compared."""
import functools
import ipaddress
import os
import re
import shlex

import pytest

import harness

FOLDER = os.path.join(harness.TOP, "docs", "ruleset")
PAGE, TABLES = os.path.join(FOLDER, "README.md"), os.path.join(FOLDER, "tables.nft")
UPDATE = bool(os.environ.get("CNM_UPDATE_GOLDEN"))
# "## TITLE", text with lines of commands, and the elements between fences.
SITUATION = re.compile(r"^## (.*)\n((?:(?!## |```).*\n)*)```\n((?:(?!```).*\n)*)```\n", re.M)
COMMAND = re.compile(r"^    \$ (.*)$", re.M)
SET = re.compile(r"^\t(?:set|map) (\S+) \{\n(?:(?!^\t\}).*\n)*?\t\telements = \{ ([^}]*) \}", re.M)
HEAD = """\
# SPDX-License-Identifier: LGPL-2.1-or-later
# As nft lists the tables of cnm, without elements. src/kernel/ruleset.nft is what is loaded, and says why.
"""
JUST_STARTED = "A daemon that has just started"


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def situations():
    return SITUATION.findall(read(PAGE))


# ------------------------------------------------------------------------- what the kernel has

def listed(host, family):
    return host.run("nft", "-s", "list", "table", family, "cnm").out


def one_element(text, names):
    """As nft lists it, without what differs from run to run."""
    text = re.sub(r" counter\b", "", " ".join(text.split())).replace('"', "")
    text = re.sub(r"\b0x[0-9a-f]{32}\b", lambda m: str(ipaddress.IPv6Address(int(m[0], 16))), text)
    for real, ours in names.items():
        text = text.replace(real, ours)
    return text


def elements(host):
    """[(family, set, element)] in the order of tables.nft, elements sorted."""
    names = names_of(host)
    found = []
    for family in ("inet", "bridge"):
        for name, body in SET.findall(listed(host, family)):
            texts = sorted(one_element(text, names) for text in body.split(","))
            if name == "proxy":  # any free port
                texts = [re.sub(r": \d+", ": PORT", text) for text in texts]
            found += [(family, name, text) for text in texts]
    return found


def names_of(host):
    names = {}
    for network in host.get("/networks"):
        names["br-" + network["Id"][:12]] = "br-" + network["Name"]
    for endpoint in host.get("/cnm/v1/endpoints"):
        names["veth" + endpoint["Id"][:7]] = "veth-" + endpoint["SandboxName"]
    return names


def shown(found):
    return "".join("%-7s%-17s%s\n" % entry for entry in found)


def without_elements(text):
    """A listing of the tables alone."""
    text = re.sub(r"^\t\telements = \{ [^}]* \}\n", "", text, flags=re.M)
    return re.sub(r"\bversion-[0-9a-f]+", "version-HASH", text)


# ------------------------------------------------------------------------------------- the tests

def type_in(host, line):
    argv = shlex.split(line)
    if argv[0] == "cnm":
        host.cnm(*argv[1:], check=True)
    elif argv[0] == "cnmd":
        host.start(*argv[1:])
        host.wait_healed()
    else:
        host.run(*argv)


def compare(title, want, got):
    """The page's block against ours; or ours goes into the page."""
    if not UPDATE:
        assert got == want, title
        return

    def replaced(match):
        return match[0] if match[1] != title else "## %s\n%s```\n%s```\n" % (
            title, match[2], got)
    write(PAGE, SITUATION.sub(replaced, read(PAGE)))


@pytest.fixture(scope="module")
def shared(request, tmp_path_factory):
    """One host whose forwarding is on, as for all situations but one."""
    made = harness.Host(tmp_path_factory.mktemp("host"))
    try:
        made.compare = False
        made.run("sysctl", "-q", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        made.start()
        made.wait_healed()
        yield made
    finally:
        made.close()
    made.check_log()


@functools.lru_cache(None)
def standing(host):
    """What is there before anything is typed."""
    return frozenset(elements(host))


def test_the_tables(shared):
    got = HEAD + "".join(without_elements(listed(shared, family)) for family in ("inet", "bridge"))
    if UPDATE:
        write(TABLES, got)
    assert got == read(TABLES)


@pytest.mark.parametrize("title,text,want", situations(), ids=[s[0] for s in situations()])
def test_situation(request, shared, title, text, want):
    """A daemon is started by the page only where it says so."""
    commands, there = COMMAND.findall(text), standing(shared)
    host = request.getfixturevalue("bare_host") if "cnmd" in commands else shared
    host.compare = False
    if title == JUST_STARTED:
        there = ()
    try:
        for line in commands:
            type_in(host, line)
        compare(title, want, shown(entry for entry in elements(host) if entry not in there))
    finally:
        if host.daemon:
            host.clear()


def test_the_page_is_whole():
    """Every heading is a situation, and every set of the tables has one but those of traces."""
    titles = re.findall(r"^## (.*)$", read(PAGE), re.M)
    assert titles == [title for title, _, _ in situations()]
    shown_sets = set(re.findall(r"^(?:inet|bridge) +(\w+)", read(PAGE), re.M))
    sets = set(re.findall(r"^\t(?:set|map) (\S+)", read(TABLES), re.M))
    missing = {name for name in sets - shown_sets if "trace" not in name}
    assert not missing, "in no situation: %s" % ", ".join(sorted(missing))
