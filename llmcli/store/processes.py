"""Recognise a process again by its ID, its start time and the boot of the machine."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["boot_id", "is_running", "start_time", "this_process"]


@cache
def boot_id() -> str:
    """What differs from one boot of the machine to the next; empty where the system does not tell."""
    with suppress(OSError, ValueError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def start_time(pid: int) -> str:
    """When a process began, as its system counts; empty where the system does not tell, or no such process runs."""
    with suppress(OSError, IndexError, ValueError):
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        return stat.rpartition(")")[2].split()[19]
    return ""


@cache
def _described(pid: int) -> str:
    return f"{pid}:{start_time(pid)}:{boot_id()}"


def this_process() -> str:
    """The description of this process for `is_running`."""
    return _described(os.getpid())


def is_running(process: str | None) -> bool:
    """Whether the process of a description still runs."""
    pid, _, rest = (process or "").partition(":")
    if not pid.isdecimal():
        return False
    started, _, boot = rest.partition(":")
    if boot != boot_id():
        return False
    if started:
        return start_time(int(pid)) == started
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True
