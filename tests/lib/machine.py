# SPDX-License-Identifier: LGPL-2.1-or-later
"""What happens to a machine: it is rebooted, its disk fills up."""
import contextlib
import os

import harness


def reboot(host):
    """No process, mount, link, namespace, rule, control group or file of /run is left, and the boot id
    is another."""
    host.kill9()
    harness.wait_for(lambda: not host.kill_all(), "every process gone")
    for folder in host.cgroups():
        harness.wait_for(lambda: _gone(folder), "%s can be removed" % folder)
    host.run("sh", "-c", """
        nft flush ruleset
        for at in $(awk '$3 == "overlay" || $2 ~ "/cnm/" { print $2 }' /proc/mounts); do umount -l "$at"; done
        for pin in /run/netns/*; do umount "$pin" 2>/dev/null; done
        umount -l /run/netns 2>/dev/null
        rm -rf /run/*
        for link in $(ls /sys/class/net); do
            case $link in lo|up0) ;; *) ip link del "$link" 2>/dev/null ;; esac
        done
        echo 0 >/proc/sys/net/ipv4/ip_forward
        cat /proc/sys/kernel/random/uuid >%s/boot_id
        umount /proc/sys/kernel/random/boot_id 2>/dev/null
        mount --bind %s/boot_id /proc/sys/kernel/random/boot_id
        """ % (host.folder, host.folder), check=False)


def _gone(folder):
    with contextlib.suppress(FileNotFoundError):
        try:
            os.rmdir(folder)
        except OSError as error:
            if error.errno == 16:  # its last process is on its way
                return False
            raise
    return True


@contextlib.contextmanager
def full_disk(host, spare=0, folder="/var/lib"):
    """While in the body, the file system of this folder of the host has no more bytes free."""
    found = os.statvfs(host.root + folder)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    host.run("mount", "-o", "remount,size=%d" % (used + spare), folder)
    try:
        yield
    finally:
        host.run("mount", "-o", "remount,size=50%", folder)
