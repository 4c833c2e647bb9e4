"""Suggest the nearest known name for one that is unknown."""

from collections.abc import Iterable

__all__ = ["did_you_mean", "find_close"]


def find_close(word: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the name most like `word`, or None where none reaches `cutoff` (0 to 1, see difflib)."""
    import difflib

    return next(iter(difflib.get_close_matches(word, list(names), 1, cutoff)), None)


def did_you_mean(word: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the question of a hint, `did you mean X?`, or None."""
    near = find_close(word, names, cutoff)
    return f"did you mean {near}?" if near and near != word else None
