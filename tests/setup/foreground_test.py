#!/usr/bin/env python3
"""A chat under make at a terminal: its Ctrl-C is its own. `foreground_test.py SOURCE`"""
import os
import pty
import select
import sys
import tempfile
import time
import unittest
from pathlib import Path

FOREGROUND = Path(sys.argv.pop(1), "tools", "setup", "foreground.py").resolve()

# Counts Ctrl-C and echoes lines, until one says how to end. A handler that prints may not interrupt
# a print, hence os.write; one that is due just before a read waits for it, hence the short select.
PROGRAM = """import os, select, signal
count = 0
def say(*words):
    os.write(1, (" ".join(words) + "\\n").encode())
def interrupted(*_):
    global count
    count += 1
    say("interrupt", str(count))
def next_line():
    while not select.select([0], [], [], 0.05)[0]:
        pass
    return os.read(0, 100).decode().strip()
signal.signal(signal.SIGINT, interrupted)
say("ready")
while (line := next_line()) != "end":
    say("heard", line)
raise SystemExit(7)
"""


class ForegroundTest(unittest.TestCase):
    def expect(self, text):
        deadline = time.monotonic() + 30
        while text not in self.seen:
            ready, _, _ = select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))
            self.assertTrue(ready, f"waited for {text!r}, saw {self.seen!r}")
            self.seen += os.read(self.terminal, 4096).decode()
        self.seen = self.seen.split(text, 1)[1]

    def test_ctrl_c_is_the_commands(self):
        self.seen = ""
        with tempfile.TemporaryDirectory() as folder:
            program, makefile = Path(folder, "program.py"), Path(folder, "Makefile")
            program.write_text(PROGRAM)
            makefile.write_text(f"chat:\n\t@{FOREGROUND} {sys.executable} {program}\n")
            pid, self.terminal = pty.fork()
            if pid == 0:
                os.execvp("make", ["make", "-f", str(makefile)])
            self.expect("ready")
            for count in range(1, 4):
                os.write(self.terminal, b"\x03")
                self.expect(f"interrupt {count}")
            os.write(self.terminal, b"hello\n")
            self.expect("heard hello")
            os.write(self.terminal, b"end\n")
            self.expect("Error 7")  # make's word for the command's exit code
            _, status = os.waitpid(pid, 0)
            self.assertEqual(os.waitstatus_to_exitcode(status), 2)


if __name__ == "__main__":
    unittest.main()
