"""Runs a program on a pseudo-terminal and answers it.

terminal.py STEPS PROGRAM ARGUMENT...

STEPS is a file of JSON: a list of {"wait": text, "run": command for sh, "silent": true, "send": text}. When the program has
printed the text, the command is run, and what is to be sent is typed, with "silent" once the terminal has no echo. Ends with
the program's exit code; its output goes to stdout.
"""

import json
import os
import pty
import select
import subprocess
import sys
import termios
import time

PATIENCE = 120


def main():
    with open(sys.argv[1]) as file:
        steps = json.load(file)
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.argv[2], sys.argv[2:])
    said, seen, end = b"", 0, time.monotonic() + PATIENCE
    while time.monotonic() < end:
        while steps and steps[0]["wait"].encode() in said[seen:]:
            step = steps.pop(0)
            seen = said.index(step["wait"].encode(), seen) + len(step["wait"].encode())
            if "run" in step:
                subprocess.run(["sh", "-ec", step["run"]], check=True)
            while step.get("silent") and termios.tcgetattr(terminal)[3] & termios.ECHO and time.monotonic() < end:
                os.sched_yield()
            os.write(terminal, step.get("send", "").encode())
        ready, _, _ = select.select([terminal], [], [], 1)
        if not ready:
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            piece = b""
        if not piece:
            break
        said += piece
    else:
        os.kill(child, 9)
        said += b"\nterminal.py: it does not end"
    sys.stdout.write(said.decode(errors="replace"))
    _, status = os.waitpid(child, 0)
    for step in steps:
        print("\nterminal.py: it never said %r" % step["wait"])
    return 99 if steps else os.waitstatus_to_exitcode(status) % 256


if __name__ == "__main__":
    sys.exit(main())
