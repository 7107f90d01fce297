# SPDX-License-Identifier: LGPL-2.1-or-later
"""Entry of ./bench, which see."""
import os
import shutil
import signal
import sys
import tempfile

import cnm
import containers
import names
import overlay
import rivals
import traffic
from host import Failed
from table import Table

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORLDS = cnm, containers, traffic, names
OTHERS = overlay, rivals


class Paths:
    """Where the programs are."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.top = TOP

    def cnm(self, name):
        return os.path.join(os.path.abspath(os.environ["CNM_BUILD"]), "src", name)

    def tool(self, name):
        return os.path.join(os.path.abspath(os.environ["BENCH_TOOLS"]), name)


def run_section(table, name, function, *args):
    try:
        function(*args)
    except Failed as failed:
        table.failed(name, failed)


def run_world(table, module, wanted, paths, quick):
    """Those sections of a module that share what they are measured on."""
    chosen = [name for name in module.SECTIONS if not wanted or name in wanted]
    if not chosen:
        return
    world = module.World(paths)
    try:
        for name in chosen:
            run_section(table, name, module.SECTIONS[name], world, table, quick)
    finally:
        world.end()


def main(argv):
    quick = "--quick" in argv
    wanted = [word for word in argv if word != "--quick"]
    known = list(dict.fromkeys([name for module in (*WORLDS, *OTHERS) for name in module.SECTIONS]))
    unknown = [word for word in wanted if word not in known]
    if unknown:
        print("bench: unknown option or figure %s: there are %s" % (unknown[0], ", ".join(known)),
              file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: told to end"))
    table = Table()
    scratch = tempfile.mkdtemp(prefix="cnm-bench.")
    paths = Paths(scratch)
    try:
        for module in WORLDS:
            run_world(table, module, wanted, paths, quick)
        for module in OTHERS:
            for name, function in module.SECTIONS.items():
                if not wanted or name in wanted:
                    run_section(table, name, function, paths, table, quick)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print("\n%d missed" % table.missed)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
