# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 before and after every step of an operation, and a restart: rows, kernel and doctor agree,
the state is the one before or the one after, and nothing is leaked. ./test kills before and after
every other one, which is between any two; ./test --crash at all of them."""
import http.client
import os

import pytest

import dump
import harness
import steps
from operations import OPERATIONS

pytestmark = pytest.mark.steps
MODES = {"before": steps.KILL_BEFORE, "after": steps.KILL_AFTER}


def state(host):
    return dump.shape(harness.lasting(host.dump()))


def attempt(host, operation):
    """The status answered, or None if nobody answered."""
    try:
        return host.request(*OPERATIONS[operation][1], timeout=30 * harness.SLOW).status
    except (OSError, http.client.HTTPException):
        return None


def start_from(host, operation):
    host.clear()
    OPERATIONS[operation][0](host)


def measure(host, operation):
    """(number of steps, state before, state after)"""
    start_from(host, operation)
    before = state(host)
    host.steps.arm(steps.COUNT)
    status = attempt(host, operation)
    after = state(host)
    count = host.steps.steps
    host.steps.off()
    assert status and status < 300 and before != after
    start_from(host, operation)
    assert not dump.difference(before, state(host)), "the operation can be repeated"
    return count, before, after


def crash(host, operation, mode, k, before, after):
    """Kill it at step k; whether it got that far."""
    host.steps.arm(MODES[mode], k)
    status = attempt(host, operation)
    if status is not None and host.steps.steps < k:
        host.dump()  # the marks that follow an answer are steps too
        if host.steps.steps < k:
            host.steps.off()
            start_from(host, operation)
            return False
    harness.wait_for(lambda: host.daemon.poll() is not None, "it was killed at step %d" % k)
    name = host.steps.name(k)
    host.steps.off()
    host.ended()
    host.start()
    host.wait_healed()
    now = state(host)
    where = "killed %s step %d (%s) of %s, answered %s" % (mode, k, name, operation, status)
    unlike = dump.difference(after, now)
    if unlike:
        assert status is None, "%s: answered, and yet not done:\n%s" % (where, unlike)
        undone = dump.difference(before, now)
        assert not undone, "%s: neither done nor undone.\nFrom the state before:\n%s\n" \
            "From the state after:\n%s" % (where, undone, unlike)
    else:
        start_from(host, operation)
    return True


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_crash_at_every_step(stepped, operation, mode, record_property):
    host = stepped
    count, before, after = measure(host, operation)
    assert count > 3
    stride = 1 if os.environ.get("CNM_ALL_STEPS") else 2
    record_property("count", "%s: %d steps, killed %s every %d" % (operation, count, mode, stride))
    for k in range(1, count + 1, stride):
        if not crash(host, operation, mode, k, before, after):
            break
    host.clear()
    host.stop()
    host.tear_down()
