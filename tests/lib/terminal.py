# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program in a terminal of its own, and what a person does at it."""
import errno
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from harness import PATIENCE


def _take_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    def __init__(self, argv, env, rows=24, columns=80):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(argv, env=dict(env, TERM="xterm"), stdin=slave, stdout=slave,
                                        stderr=slave, start_new_session=True,
                                        preexec_fn=_take_terminal)
        os.close(slave)
        self.text = ""  # what was shown and not yet expected

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def resize(self, rows, columns):
        """As a window does, SIGWINCH included."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, text):
        os.write(self.master, text.encode())

    def _more(self, end):
        """Whether something came before the end of the program."""
        ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
        assert ready, "nothing more is shown; so far: %r" % self.text
        try:
            data = os.read(self.master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def expect(self, pattern, timeout=PATIENCE):
        """Wait until it is shown; the match. What came before it is forgotten."""
        end = time.monotonic() + timeout
        while True:
            found = re.search(pattern, self.text)
            if found:
                self.text = self.text[found.end():]
                return found
            assert self._more(end), "it ended without %r; shown: %r" % (pattern, self.text)

    def end(self, timeout=PATIENCE):
        """Wait for its own end; (exit status, the rest of what it showed)."""
        end = time.monotonic() + timeout
        while self._more(end):
            pass
        return self.process.wait(timeout), self.text

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
