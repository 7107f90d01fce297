# SPDX-License-Identifier: LGPL-2.1-or-later
"""The test's hand on tests/steps/steps.c: counts the outward calls of cnmd-steps, kills it at one of
them, or makes one of them, or one allocation, fail."""
import mmap
import os
import struct

OFF, COUNT, KILL_BEFORE, KILL_AFTER, FAIL_STEP, FAIL_ALLOC = range(6)
NAMES, NAME_SIZE = 2048, 24
BINARY = "tests/cnmd-steps"


class Steps:
    def __init__(self, folder):
        self.path = os.path.join(str(folder), "steps")
        size = 16 + NAMES * NAME_SIZE
        with open(self.path, "w+b") as f:
            f.truncate(size)
            self.map = mmap.mmap(f.fileno(), size)

    @property
    def environment(self):
        return {"CNM_STEPS": self.path}

    def arm(self, mode, k=0):
        """Zero the counts; from now on steps count, and the k-th is special."""
        self.map[0:16] = struct.pack("=IIII", OFF, k, 0, 0)
        self.map[0:4] = struct.pack("=I", mode)

    def off(self):
        self.map[0:4] = struct.pack("=I", OFF)

    @property
    def steps(self):
        return struct.unpack_from("=I", self.map, 8)[0]

    @property
    def allocations(self):
        return struct.unpack_from("=I", self.map, 12)[0]

    def name(self, k):
        """What the k-th step was."""
        at = 16 + (k - 1) * NAME_SIZE
        return self.map[at:at + NAME_SIZE].rstrip(b"\0").decode()
