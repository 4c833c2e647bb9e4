"""The SDKs' clients without their thousands of types: what an `__init__` re-exports is imported when it is asked for.

Nearly all of `import openai` and `import anthropic` is packages whose `__init__` takes every name out of every
submodule; a request needs a few dozen of them. `install` puts a finder right before Python's own, for these two and
what they import in vain. It reads such an `__init__` instead of running it, and each name comes from its submodule the
first time somebody wants it (PEP 562), as the same object. A file of any other shape is run as it stands, and so are
all with LLMCLI_EAGER_IMPORTS=1: of an SDK that has changed only the speed is lost. Two things differ: a class may name
the submodule that it comes from as its `__module__`, and such packages have no `__annotations__`.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec, resolve_name
from threading import get_ident
from types import ModuleType
from typing import Any, cast

__all__ = ["SDKS", "install"]

SDKS = ("openai", "anthropic")
_WHOLE = (*SDKS, "httpcore2", "asyncio")  # the last two the SDKs import for their async halves, which nobody calls here
# Functions that anthropic's client takes from modules that take in a thousand types, and calls only when an answer
# failed, or when somebody traces. Until the first call a stand-in is in their place.
_LATE = {
    "anthropic._error_classes": "make_status_error",
    "anthropic.lib._tracing._api_call": "finish_api_call_span",
}

_NAME = r"\w+(?: as \w+)?"
_FROM = re.compile(
    rf"^from (\.[\w.]*) import (?:\(\s*({_NAME}(?:,\s*{_NAME})*),?\s*\)|({_NAME}(?:, {_NAME})*)) *$", re.M
)
_SILENT = re.compile(r"^(?:#.*|from __future__ import annotations)$", re.MULTILINE)  # what may stand beside


def install(environ: Mapping[str, str] = os.environ) -> None:
    """Import the SDKs' names on demand from now on, in this process; not with LLMCLI_EAGER_IMPORTS=1."""
    wanted = environ.get("LLMCLI_EAGER_IMPORTS") != "1"
    if wanted and PathFinder in sys.meta_path and _Finder not in sys.meta_path:
        sys.meta_path.insert(sys.meta_path.index(PathFinder), _Finder)


class _Finder:
    """Finds the SDKs' modules as Python does, and has some of them loaded in our way."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder.find_spec`; None, and so Python's own finders, for all that is no SDK."""
        if name.partition(".")[0] not in _WHOLE:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and (spec.submodule_search_locations or name in _LATE) and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Reads a file, and runs it only where it must.

    `names` maps what it re-exports to a module and an attribute of that, or None for the module itself. As long as it
    is `waiting`, there is something else in it that has not been run.
    """

    names: Mapping[str, tuple[str, str | None]]
    waiting: bool
    _runners: set[int]

    def exec_module(self, module: ModuleType) -> None:
        """See `importlib.abc.Loader.exec_module`."""
        source = self.get_data(self.path).decode()
        late, self._runners = _LATE.get(self.name), set()
        self.names = {} if late else _reexports(source, self.name)
        self.waiting = bool(_SILENT.sub("", _FROM.sub("", source)).strip())
        if late and f"\ndef {late}(" in source:
            vars(module)[late] = self._stand_in(module, late)
        # A whole library can wait with what it does besides: who asks for a re-exported name does not need it.
        elif self.name not in _WHOLE and (self.waiting or not self.names):
            super().exec_module(module)
            return
        module.__class__ = _Unrun

    def run(self, module: ModuleType) -> None:
        """Run the whole file, unless this thread is about it. Afterwards the module is like any other.

        Two threads may do so at once, which does no harm; a lock might be held crosswise with those of imports.
        """
        if self.waiting and get_ident() not in self._runners:
            self._runners.add(get_ident())
            try:
                super().exec_module(module)
            finally:
                self._runners.remove(get_ident())
            self.waiting = False
            module.__class__ = ModuleType

    def _stand_in(self, module: ModuleType, name: str) -> Callable[..., Any]:
        def late(*args: Any, **named: Any) -> Any:
            self.run(module)
            return vars(module)[name](*args, **named)

        return late


class _Unrun(ModuleType):
    """A module whose file has been read, not run."""

    def __getattr__(self, name: str) -> Any:
        loader = cast(_Loader, self.__loader__)
        special = name.startswith("__")  # which Python asks for of its own accord
        if name in loader.names:
            try:
                return self._resolved(*loader.names[name], name)
            except ImportError:  # as happens where the submodule wants something of the rest of this file
                if not loader.waiting:
                    raise
        elif not special and "__path__" in vars(self) and find_spec(f"{self.__name__}.{name}"):
            return importlib.import_module(f"{self.__name__}.{name}")
        elif name == "__all__" and not loader.waiting:  # of a file without one `import *` takes all that is public
            return [public for public in dir(self) if not public.startswith("_")]
        if not special or name == "__all__":
            loader.run(self)
            if type(self) is not _Unrun:
                return getattr(self, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def _resolved(self, origin: str, attribute: str | None, name: str) -> Any:
        value = importlib.import_module(origin)
        if attribute is not None:
            value = getattr(value, attribute)
        vars(self)[name] = value
        return value

    def __dir__(self) -> list[str]:
        loader = cast(_Loader, self.__loader__)
        if loader.waiting:
            loader.run(self)
        return sorted({*vars(self), *loader.names})


def _reexports(source: str, package: str) -> dict[str, tuple[str, str | None]]:
    """What the relative imports of a package's `__init__` bring, in the form of `_Loader.names`.

    Nothing where such a name is a submodule's as well, which would take its place as soon as it is imported.
    """
    found: dict[str, tuple[str, str | None]] = {}
    for relative, in_brackets, bare in _FROM.findall(source):
        origin = resolve_name(relative, package)
        for clause in (in_brackets or bare).split(","):
            name, _, alias = clause.strip().partition(" as ")
            if name:
                found[alias or name] = (origin, name) if relative.strip(".") else (f"{origin}.{name}", None)
    taken = {name: origin for name, (origin, attribute) in found.items() if attribute}
    submodules = {origin.removeprefix(f"{package}.").partition(".")[0] for origin in taken.values()}
    return {} if submodules & taken.keys() else found
