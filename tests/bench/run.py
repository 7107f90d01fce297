# SPDX-License-Identifier: LGPL-2.1-or-later
"""Entry of ./bench, which see."""
import os
import shutil
import signal
import sys
import tempfile

import cnm
import rivals
from host import Failed
from table import Table

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


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


def main(argv):
    quick = "--quick" in argv
    names = [word for word in argv if word != "--quick"]
    unknown = [word for word in names if word not in cnm.SECTIONS and word not in rivals.SECTIONS]
    if unknown:
        print("bench: unknown option or figure %s: there are %s" % (
            unknown[0], ", ".join([*cnm.SECTIONS, *rivals.SECTIONS])), file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: told to end"))
    table = Table()
    scratch = tempfile.mkdtemp(prefix="cnm-bench.")
    paths = Paths(scratch)
    chosen = [name for name in cnm.SECTIONS if not names or name in names]
    try:
        if chosen:
            world = cnm.World(paths)
            try:
                for name in chosen:
                    run_section(table, name, cnm.SECTIONS[name], world, table, quick)
            finally:
                world.end()
        for name, function in rivals.SECTIONS.items():
            if not names or name in names:
                run_section(table, name, function, paths, table, quick)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print("\n%d missed" % table.missed)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
