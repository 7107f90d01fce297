# SPDX-License-Identifier: LGPL-2.1-or-later
"""Open vSwitch on a test's host: Debian's, unpacked below build/debs, with the userspace datapath where the
kernel has no module."""
import os
import subprocess

import pytest

import harness

SWITCH = os.path.join(harness.TOP, "build", "debs", "openvswitch-switch")
COMMON = os.path.join(harness.TOP, "build", "debs", "openvswitch-common")
PATH = ":".join([os.path.join(SWITCH, "usr/bin"), os.path.join(COMMON, "usr/bin"), harness.PATH])
PROGRAMS = {"ovsdb-server": os.path.join(COMMON, "usr/sbin/ovsdb-server"),
            "ovs-vswitchd": os.path.join(SWITCH, "usr/lib/openvswitch-switch/ovs-vswitchd")}
FOLDER = "/run/openvswitch"


class Switch:
    def __init__(self, host):
        if not os.path.exists(PROGRAMS["ovs-vswitchd"]):
            pytest.skip("no Open vSwitch: %s is not there (tools/setup test gets it)" % SWITCH)
        self.host, self.running = host, {}
        self.log = open(os.path.join(host.folder, "openvswitch.log"), "ab")
        host.run("mkdir", "-p", FOLDER)
        self.run("ovsdb-tool", "create", FOLDER + "/conf.db",
                 os.path.join(SWITCH, "usr/share/openvswitch/vswitch.ovsschema"))
        self.start_database()
        self.run("ovs-vsctl", "--no-wait", "init")
        self.start_switch()

    def run(self, *argv, **how):
        return self.host.run(*argv, env={"PATH": PATH}, **how)

    def vsctl(self, *argv, **how):
        return self.run("ovs-vsctl", "--timeout=10", *argv, **how)

    def _start(self, name, *argv):
        self.running[name] = self.host.popen(
            PROGRAMS[name], *argv, "--no-chdir", "--pidfile=%s/%s.pid" % (FOLDER, name), env={"PATH": PATH},
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def start_database(self):
        self._start("ovsdb-server", FOLDER + "/conf.db", "--remote=punix:%s/db.sock" % FOLDER)
        harness.wait_for(lambda: self.run("ovs-vsctl", "--no-wait", "--timeout=1", "get", "Open_vSwitch", ".",
                                          "_uuid", check=False).rc == 0 or os.path.exists(
                                              self.host.root + FOLDER + "/db.sock"), "the database listens")

    def start_switch(self):
        self._start("ovs-vswitchd", "unix:%s/db.sock" % FOLDER)
        harness.wait_for(lambda: self.vsctl("get", "Open_vSwitch", ".", "datapath_types", check=False).out.strip()
                         not in ("", "[]"), "the switch runs")

    def kill(self, name):
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def close(self):
        for name in list(self.running):
            self.kill(name)
        self.log.close()
        self.host.run("sh", "-c", "rm -rf %s; ip link del ovs-netdev 2>/dev/null; true" % FOLDER)

    def ports(self, bridge):
        return self.vsctl("list-ports", bridge).words

    def bridges(self):
        return self.vsctl("list-br").words
