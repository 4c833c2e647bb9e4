"""Format durations: `0.8 s`, `6 s`, `1 m 12 s`."""

from __future__ import annotations

__all__ = ["in_short", "whole_seconds"]


def whole_seconds(seconds: float, least: str = "0 s") -> str:
    """`6 s`, `1 m 12 s`; below one second `least`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s" if whole else least
    return f"{whole // 60} m {whole % 60} s"


def in_short(seconds: float) -> str:
    """The same, rounded, and with a digit more below ten seconds: `1.2 s`."""
    return f"{seconds:.1f} s" if round(seconds, 1) < 10 else whole_seconds(round(seconds))
