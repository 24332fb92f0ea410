#!/usr/bin/env python3
"""Runs a command as a job of its own at the terminal: `foreground.py COMMAND...`.

A Ctrl-C goes to every process of the terminal's foreground group. Under make that is make too, which
dies of the second one and leaves the command without a terminal. So the command gets a group of its
own and the terminal with it; when it stops (Ctrl-Z), make stops as well, and both go on together.
"""
import os
import signal
import sys


def give_terminal(terminal, group):
    try:
        os.tcsetpgrp(terminal, group)
    except OSError:
        pass  # the terminal is gone; the command will see that for itself


def main():
    command = sys.argv[1:]
    terminal = sys.stdin.fileno()
    # A background group that touches the terminal would be stopped.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        give_terminal(terminal, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        # Python's own settings would be inherited.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            os.execv(command[0], command)
        except OSError as error:
            print(f"error: {command[0]}: {error.strerror}\nhint: run make build", file=sys.stderr)
            os._exit(127)
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda got, _: os.kill(child, got))
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        give_terminal(terminal, os.getpgrp())
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        os.kill(0, signal.SIGSTOP)
        give_terminal(terminal, child)
        os.killpg(child, signal.SIGCONT)


if __name__ == "__main__":
    result = main()
    sys.exit(result if result >= 0 else 128 - result)
