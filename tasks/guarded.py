"""Run a module as a program that does not outlive its parent: ``python -m tasks.guarded <parent> <module> ...``.

A watch on the parent's pid, because the kernel's own signal (PR_SET_PDEATHSIG) already fires when the thread that
started the child ends. What the program has started is ended with it.
"""

import os
import runpy
import signal
import sys
import threading
import time

from tasks.processes import GRACE_SECONDS, await_end, family, kill_all, send

WATCH_SECONDS = 0.5


def main() -> None:
    """Watch the parent, and be the module that is named."""
    parent, module = int(sys.argv[1]), sys.argv[2]
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    sys.argv = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    others = [member for member in family(os.getpid()) if member.pid != os.getpid()]
    for member in others:
        send(member, signal.SIGTERM)
    await_end(others, GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    kill_all(others)
    os._exit(1)


if __name__ == "__main__":
    main()
