# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every step and every allocation of an operation fails once: the state is as before and the error
says why, or the operation did without and the state is the one after. Of the allocations ./test takes
every fifth; ./test --crash takes them all."""
import os

import pytest

import dump
import harness
import steps
from operations import OPERATIONS
from test_crash import measure, start_from, state

pytestmark = pytest.mark.steps
# A word of the reason: the system's own words for what the wrapper returns, or for no memory.
REASONS = ("memory", "space", "buffer", "Input/output", "full", "temporarily", "cnm.db")


def fail(host, operation, mode, k, before, after):
    """Fail number k; whether there was such a one."""
    os.utime(os.path.join(host.folder, "resolv.conf"))  # so that the host's own is read again
    host.steps.arm(mode, k)
    try:
        answer = host.request(*OPERATIONS[operation][1], timeout=harness.DEADLINE)
        status, text = answer.status, answer.text
    except (OSError, harness.http.client.HTTPException):
        status, text = None, ""
    counted = host.steps.steps if mode == steps.FAIL_STEP else host.steps.allocations
    name = host.steps.name(k) if mode == steps.FAIL_STEP else "allocation"
    where = "%s %d of %s failed, answered %s %s" % (name, k, operation, status, text)
    assert host.daemon.poll() is None, where
    now = state(host)
    host.steps.off()
    if status is not None and status >= 400:
        assert any(word in text for word in REASONS), "no reason given: " + where
    if status is not None and status < 300 or (status is None and dump.difference(before, now)):
        host.wait_healed()
        unlike = dump.difference(after, state(host))
        assert not unlike, "%s: not the state after:\n%s" % (where, unlike)
        start_from(host, operation)
    else:
        unlike = dump.difference(before, now)
        assert not unlike, "%s: not the state before:\n%s" % (where, unlike)
    return counted >= k


@pytest.mark.parametrize("mode", [steps.FAIL_STEP, steps.FAIL_ALLOC], ids=["step", "allocation"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_failure_of_each(stepped, operation, mode, record_property):
    host = stepped
    count, before, after = measure(host, operation)
    stride = 1 if mode == steps.FAIL_STEP or os.environ.get("CNM_ALL_STEPS") else 5
    k = 1
    while fail(host, operation, mode, k, before, after):
        k += stride
        assert k < 5000
    record_property("count", "%s: %ss up to %d failed, every %d" % (
        operation, "step" if mode == steps.FAIL_STEP else "allocation", k, stride))
    assert k > 3
    assert host.doctor() == []
    host.clear()
    host.stop()
    host.tear_down()
