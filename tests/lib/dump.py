# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything a request can change on a test's host, as {section: sorted lines}, and how two such
dumps differ. Counters, ages, and the order in which the kernel lists things are left out."""
import contextlib
import difflib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import tempfile

import netlink

SYSCTLS = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/default/forwarding")


def _canonical(value):
    """nft's JSON without handles and counts, sets in a fixed order."""
    if isinstance(value, dict):
        return {k: _canonical(v) for k, v in value.items()
                if k not in ("handle", "packets", "bytes", "expires")}
    if isinstance(value, list):
        return [_canonical(v) for v in value]
    return value


def nft(netns):
    with netlink.inside(netns):
        out = subprocess.run(["nft", "-j", "list", "ruleset"], capture_output=True, check=True).stdout
    lines, rules = [], {}
    for entry in json.loads(out)["nftables"]:
        (kind, body), = entry.items()
        if kind == "metainfo":
            continue
        body = _canonical(body)
        where = "%s %s %s" % (body.get("family"), body.get("table", ""), body.get("name", ""))
        if body.get("name") == "proxy":  # each daemon's own ports
            body.pop("elem", None)
        if kind == "rule":  # they keep their order within a chain, which is theirs
            line = "rule %s %s" % (where, json.dumps(body, sort_keys=True))
            rules.setdefault(where + body["chain"], []).append(line)
            continue
        for elem in body.pop("elem", []):
            lines.append("%s %s elem %s" % (kind, where, json.dumps(elem, sort_keys=True)))
        lines.append("%s %s %s" % (kind, where, json.dumps(body, sort_keys=True)))
    return sorted(lines) + [line for chain in sorted(rules) for line in rules[chain]]


@contextlib.contextmanager
def _opened(database):
    """The rows of a database that a daemon holds exclusively: those of a copy."""
    with tempfile.TemporaryDirectory(prefix="cnm-rows-") as folder:
        copy = os.path.join(folder, "cnm.db")
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(database + suffix, copy + suffix)
        with contextlib.closing(sqlite3.connect(copy)) as db:
            yield db


def _tables(db):
    """[(table, its columns)]"""
    names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1").fetchall()
    return [(name, [row[1] for row in db.execute('PRAGMA table_info("%s")' % name)])
            for name, in names]


def rows(database):
    """{"network": [{column: value}], ...}"""
    if not os.path.exists(database):
        return {}
    with _opened(database) as db:
        return {table: [dict(zip(columns, row)) for row in db.execute('SELECT * FROM "%s"' % table)]
                for table, columns in _tables(db)}


def row_lines(tables):
    return sorted("%s %s" % (table, " | ".join(
        "%s=%s" % column for column in row.items() if column[0] != "n"))
        for table, found in tables.items() for row in found)


def settled(tables):
    """No row is in a state other than ready: the marks that follow an answer have arrived."""
    return all(row.get("state", 1) == 1 for found in tables.values() for row in found)


def files(root, tops):
    """What is below tops, a namespace by its inode, the database left to rows(). What containers
    write is their own: the files of a mounted root are not looked at, and of an upper layer, a
    volume or a log it counts only that they are there."""
    out, digests = [], {}
    for top in tops:
        device = os.stat(root + top).st_dev if os.path.isdir(root + top) else 0
        for folder, folders, names in os.walk(root + top):
            kept = folders[:]
            folders[:] = [name for name in folders if name not in ("upper", "work", "_data")
                          and _device(os.path.join(folder, name)) == device]
            for name in kept + names:
                path = os.path.join(folder, name)
                shown = path[len(root):]
                if name.startswith("cnm.db") or name == "cnm.lock":
                    continue
                with contextlib.suppress(FileNotFoundError):
                    info = os.lstat(path)
                    line = "%s %s" % (shown, stat.filemode(info.st_mode))
                    if stat.S_ISLNK(info.st_mode):
                        line += " -> " + os.readlink(path)
                    elif stat.S_ISREG(info.st_mode) and "/netns/" in shown:
                        line += " inode %d" % info.st_ino
                    elif stat.S_ISREG(info.st_mode) and name != "log":
                        line += " " + _digest(path, info, digests)
                    out.append(line)
    return sorted(out)


def _digest(path, info, known):
    """An image has a program under hundreds of names: it is read once."""
    which = info.st_dev, info.st_ino
    if which not in known:
        with open(path, "rb") as f:
            known[which] = hashlib.sha256(f.read()).hexdigest()[:16]
    return known[which]


def _device(path):
    with contextlib.suppress(FileNotFoundError):
        return os.lstat(path).st_dev


def mounts(pid):
    with open("/proc/%d/mountinfo" % pid) as f:
        lines = [line.split() for line in f]
    # Fields: id, parent, device, root, mount point, options, ...
    return sorted("%s on %s" % (fields[3], fields[4]) for fields in lines)


def pins(root):
    """{name: path} of the namespaces pinned below /run/netns."""
    top = root + "/run/netns"
    if not os.path.isdir(top):
        return {}
    return {name: os.path.join(top, name) for name in sorted(os.listdir(top))}


def _in_cgroup(pid, cgroup):
    with open("/proc/%s/cgroup" % pid) as f:
        return any((line.rstrip("\n").split(":", 2)[2] + "/").startswith(cgroup + "/") for line in f)


def processes(namespaces, cgroup, skip=()):
    """[(pid, command line)] of the processes in one of these namespaces ("net:[1]", "mnt:[2]") or
    below this control group, which is how those in containers are found."""
    out = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in skip:
            continue
        with contextlib.suppress(OSError):
            if (os.readlink("/proc/%s/ns/mnt" % entry) in namespaces
                    or os.readlink("/proc/%s/ns/net" % entry) in namespaces
                    or _in_cgroup(entry, cgroup)):
                with open("/proc/%s/stat" % entry) as f:
                    if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                        continue
                with open("/proc/%s/cmdline" % entry) as f:
                    out.append((int(entry), f.read().replace("\0", " ").strip()))
    return sorted(out)


def sysctls(netns):
    out = []
    with netlink.inside(netns):
        for path in SYSCTLS:
            with open("/proc/sys/" + path) as f:
                out.append("%s = %s" % (path, f.read().strip()))
    return out


def held_ports(netns):
    """"tcp6 00000000000000000000000000000000:8080" of every socket that listens, or awaits datagrams,
    but at ports the kernel chose."""
    out = []
    with netlink.inside(netns):
        with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
            first, last = map(int, f.read().split())
        for table, waiting in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
            with open("/proc/thread-self/net/" + table) as f:
                for fields in map(str.split, f):
                    address, _, port = fields[1].rpartition(":")
                    if fields[3] == waiting and not first <= int(port, 16) <= last:
                        out.append("%s %s:%d" % (table, address, int(port, 16)))
    return sorted(out)


def same_netns(fd, path):
    a, b = os.fstat(fd), os.stat(path)
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def take(host, tables=None):
    """The dump of a harness.Host; tables: its rows, if they were read already."""
    out = {"rows": row_lines(rows(host.database) if tables is None else tables),
           "files": files(host.root, ("/run", "/var/lib/cnm")), "mounts": mounts(host.pid),
           "cgroups": host.cgroups(), "nft": nft(host.netns), "sysctls": sysctls(host.netns),
           "held": held_ports(host.netns)}
    for section, lines in netlink.dump(host.netns).items():
        out[section] = lines
    for name, path in pins(host.root).items():
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            if same_netns(fd, host.netns_path):
                continue
            try:
                inner = netlink.dump(fd)
            except OSError:
                out["pin " + name] = ["not a namespace"]
                continue
            inner["nft"] = nft(fd)
            for section, lines in inner.items():
                out["%s: %s" % (name, section)] = lines
        finally:
            os.close(fd)
    return out


def difference(before, after):
    """Text, empty if the dumps are the same."""
    out = []
    for section in sorted(set(before) | set(after)):
        a, b = before.get(section, []), after.get(section, [])
        if a != b:
            out.append("[%s]" % section)
            out += [line for line in difflib.unified_diff(a, b, "before", "after", n=0, lineterm="")
                    if not line.startswith(("---", "+++", "@@"))]
    return "\n".join(out)


_VARYING = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "ID64"),
    (re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "MAC"),
    (re.compile(r"\bveth[0-9a-f]{5,11}\b"), "VETH"),
    (re.compile(r"\bbr-[0-9a-f]{12}\b"), "BR"),
    (re.compile(r"\bidx=\d+"), "idx"),
    (re.compile(r"\binode \d+"), "inode"),
    (re.compile(r"net:\[\d+\]"), "net"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "ID12"),
    (re.compile(r"\b1[0-9]{18}\b"), "TIME"),
    (re.compile(r"fe80::[0-9a-f:]+"), "LL"),
    (re.compile(r"0xfe80[0-9a-f]{28}"), "LL"),  # as nft has it in the set nd6
    (re.compile(r'"(port|right|value)": [0-9]{5}'), "PORT"),  # of a sandbox's DNS sockets
)


def shape(dump):
    """The dump with ids, MACs, times and made-up names blotted out: equal for two runs that did the
    same."""
    out = {}
    for section, lines in dump.items():
        new = []
        for line in lines:
            for pattern, word in _VARYING:
                line = pattern.sub(word, line)
            new.append(line)
        for pattern, word in _VARYING:
            section = pattern.sub(word, section)
        out.setdefault(section, []).extend(new)
    return {section: sorted(lines) for section, lines in out.items()}
