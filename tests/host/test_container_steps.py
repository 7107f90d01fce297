# SPDX-License-Identifier: LGPL-2.1-or-later
"""Steps of what the daemon does to a container: kill -9 before and after them, and a restart; and
each step, or allocation, failing. The container is as before or as after, the daemon goes on, and
once the container is removed nothing is left. A sample of the steps; ./test --crash takes them all."""
import http.client
import os

import pytest

import containers
import dump
import harness
import steps

pytestmark = [pytest.mark.steps, containers.cnm_only]
MODES = {"before": steps.KILL_BEFORE, "after": steps.KILL_AFTER}
BODY = {"Image": "busybox", "Cmd": list(containers.HOLD), "HostConfig": {"NetworkMode": "net"}}


def nothing(host):
    pass


def created(host):
    host.request_ok("POST", "/containers/create?name=con", BODY)


def started(host):
    created(host)
    host.begin("con")


# How it is prepared, the request, and the states it leads from and to ("" is absent).
OPERATIONS = {
    "create": (nothing, ("POST", "/containers/create?name=con", BODY), "", "created"),
    "start": (created, ("POST", "/containers/con/start"), "created", "running"),
    "stop": (started, ("POST", "/containers/con/stop?t=0"), "running", "exited"),
    "restart": (started, ("POST", "/containers/con/restart?t=0"), "running", "running"),
    "rm": (created, ("DELETE", "/containers/con"), "created", ""),
    "rm of a running one": (started, ("DELETE", "/containers/con?force=1"), "running", ""),
}


def state(host):
    answer = host.request("GET", "/containers/con/json")
    return answer.json["State"]["Status"] if answer.status == 200 else ""


def attempt(host, request):
    """The status answered, or None if nobody answered."""
    try:
        return host.request(*request, timeout=harness.DEADLINE).status
    except (OSError, http.client.HTTPException):
        return None


def prepare(host, operation):
    host.clear_containers()
    OPERATIONS[operation][0](host)


def killed(host, operation, mode, k):
    """Whether it got as far as step k."""
    host.steps.arm(MODES[mode], k)
    status = attempt(host, OPERATIONS[operation][1])
    if status is not None and host.steps.steps < k:
        host.steps.off()
        return False
    harness.wait_for(lambda: host.daemon.poll() is not None, "it was killed at step %d" % k)
    host.steps.off()
    host.ended()
    host.start()
    host.wait_healed()
    was, becomes = OPERATIONS[operation][2:]
    where = "killed %s step %d (%s) of %s, answered %s" % (mode, k, host.steps.name(k), operation, status)
    # Between the two halves of a restart it has ended.
    wanted = {becomes} if status and status < 300 else {was, becomes, *(("exited",) if operation == "restart" or (
        was == "running" and becomes == "") else ())}
    harness.wait_for(lambda: state(host) in wanted, lambda: "%s: it is %r" % (where, state(host)))
    host.clear_containers()
    harness.wait_for(lambda: not left(host), lambda: "%s: left: %s" % (where, left(host)))
    return True


def left(host):
    return dump.difference(host.baseline, harness.lasting(host.dump())) or [
        line for _, line in host.processes() if "conmon" in line or "runc" in line]


@pytest.fixture(scope="module")
def stepped_engine(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    control = steps.Steps(folder)
    with containers.host_with_containers(request, folder, env=control.environment,
                                         binary=harness.program(steps.BINARY)) as host:
        host.steps = control
        yield host


def measure(host, operation):
    """Make the engine ready, and count what the operation does: (steps, allocations)."""
    if not host.daemon:
        host.start()
    host.request("POST", "/networks/create", {"Name": "net"})
    host.clear_containers()
    host.baseline = harness.lasting(host.dump())
    prepare(host, operation)
    host.steps.arm(steps.COUNT)
    assert attempt(host, OPERATIONS[operation][1]) < 300
    counts = host.steps.steps, host.steps.allocations
    host.steps.off()
    assert counts[0] > 3 and state(host) == OPERATIONS[operation][3]
    return counts


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_crash(stepped_engine, operation, mode, record_property):
    host = stepped_engine
    count, _ = measure(host, operation)
    stride = 1 if os.environ.get("CNM_ALL_STEPS") else max(1, count // 6)
    for k in range(1, count + 1, stride):
        prepare(host, operation)
        if not killed(host, operation, mode, k):
            break
    record_property("count", "container %s: %d steps, killed %s every %d" % (operation, count, mode, stride))
    host.tidy()


def fails(host, operation, mode, k):
    """Whether there was a step, or allocation, k to fail."""
    host.steps.arm(mode, k)
    status = attempt(host, OPERATIONS[operation][1])
    done = host.steps.steps if mode == steps.FAIL_STEP else host.steps.allocations
    name = host.steps.name(k) if mode == steps.FAIL_STEP else "allocation"
    where = "%s %d of %s failed, answered %s" % (name, k, operation, status)
    assert host.daemon.poll() is None, where
    host.steps.off()
    was, becomes = OPERATIONS[operation][2:]
    wanted = {becomes} if status and status < 300 else {was, becomes, "exited"}
    harness.wait_for(lambda: state(host) in wanted, lambda: "%s: it is %r" % (where, state(host)))
    host.clear_containers()
    harness.wait_for(lambda: not left(host), lambda: "%s: left: %s" % (where, left(host)))
    return done >= k


@pytest.mark.parametrize("mode", [steps.FAIL_STEP, steps.FAIL_ALLOC], ids=["step", "allocation"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_failure(stepped_engine, operation, mode, record_property):
    host = stepped_engine
    count = measure(host, operation)[mode == steps.FAIL_ALLOC]
    stride = 1 if os.environ.get("CNM_ALL_STEPS") else max(1, count // 8)
    k = 1
    while k < 5000:
        prepare(host, operation)
        if not fails(host, operation, mode, k):
            break
        k += stride
    record_property("count", "container %s: %d to fail, every %d" % (operation, count, stride))
    host.tidy()
