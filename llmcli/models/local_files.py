"""Find the model files on this machine: our own, and those of Hugging Face, llama.cpp, LM Studio and Ollama."""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from llmcli.errors import SettingsError, UserError
from llmcli.models.gguf import NotGGUF, read_header
from llmcli.paths import data_folder

__all__ = ["SMALL_MODEL", "LocalFile", "file_of", "local_files", "names_of_files", "own_folder", "pulled_file"]

SMALL_MODEL = "smollm2"
"""The name of the one model that `llmcli local pull` fetches."""

_MOST_FILES = 2000  # of one place
_LONGEST_MANIFEST = 1 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_QUANTISATION = re.compile(r"(?:^|[-._])((?:UD-)?(?:I?Q\d\w*|B?F16|F32|MXFP4\w*|TQ\d_\d))$", re.IGNORECASE)
_PART = re.compile(r"-(\d{5})-of-(\d{5})$")
_ODD = re.compile(r"[^\w.@/:+~-]+")


@dataclass(slots=True)
class LocalFile:
    """A model file that is on this machine."""

    name: str
    """What stands after `local:`."""
    path: Path
    size: int
    """In bytes; of a model in several files their sum."""
    source: str
    """The program that keeps it: llmcli, Hugging Face, llama.cpp, LM Studio or Ollama."""
    quantisation: str | None = None
    """For example `Q4_K_M`; None: unknown."""
    context: int | None = None
    """Context window in tokens; None: unknown."""
    architecture: str | None = None
    """For example `llama`; None: unknown."""


def own_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where `llmcli local pull` puts models."""
    return data_folder(environ) / "models"


def pulled_file(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the pulled model of this name lies, if it is there."""
    return own_folder(environ) / f"{name}.gguf"


def local_files(environ: Mapping[str, str] = os.environ) -> list[LocalFile]:
    """All model files, each with a name of its own, with what their headers say. Broken files are left out."""
    found: list[LocalFile] = []
    for file in _named(environ):
        with suppress(OSError, NotGGUF):
            header = read_header(file.path)
            if header.architecture != "clip":
                file.quantisation = header.quantisation or file.quantisation
                file.context, file.architecture = header.context, header.architecture
                found.append(file)
    return found


def names_of_files(environ: Mapping[str, str] = os.environ) -> list[str]:
    """The names of all model files, for completion: no file is opened."""
    return [file.name for file in _named(environ)]


def file_of(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The file of `local:NAME`, which is a path or one of the names that `local_files` gives.

    Raises UserError, with the nearest name, where there is none; SettingsError for the small model before it was
    pulled.
    """
    path = Path(os.path.expanduser(name))
    if path.suffix.lower() == ".gguf" or path.is_absolute() or name.startswith(("./", "../", "~")):
        if not path.is_file():
            raise UserError(
                f"no such model file: {path}" if not path.exists() else f"not a file: {path}",
                hint="`llmcli local list` lists the models on this machine",
            )
        return path
    if (own := pulled_file(name, environ)).is_file() and "/" not in name:
        return own
    known = {file.name: file.path for file in _named(environ)}
    if name in known:
        return known[name]
    if name == SMALL_MODEL:
        raise SettingsError(f"the model {name} is not on this machine", hint=f"fetch it: llmcli local pull {name}")
    alike = [one for one in known if one.partition(":")[0] == name]  # the name without its tag, as Ollama takes it
    if len(alike) == 1 or f"{name}:latest" in known:
        return known.get(f"{name}:latest") or known[alike[0]]
    near = alike or difflib.get_close_matches(name, [*known, SMALL_MODEL], 1, 0.5)
    meant = f"did you mean local:{near[0]}? " if near else ""
    raise UserError(
        f"no model named {name!r} on this machine",
        hint=f"{meant}`llmcli local list` lists them; a path ends in .gguf",
    )


def _named(environ: Mapping[str, str]) -> Iterator[LocalFile]:
    """All files of all places; a name that a place before has taken gets the place's name behind it."""
    names: set[str] = set()
    paths: set[Path] = set()
    for file in _all(environ):
        with suppress(OSError):
            real = file.path.resolve()
            if real in paths:
                continue
            paths.add(real)
            if file.name in names:
                file.name += f"@{file.source.lower().replace(' ', '-')}"
            if file.name not in names:
                names.add(file.name)
                yield file


def _all(environ: Mapping[str, str]) -> Iterator[LocalFile]:
    home = Path(os.path.expanduser("~"))
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    for path in _gguf(own_folder(environ)):
        yield from _file(path.stem, path, "llmcli")
    given = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    hub = Path(given) if given else Path(environ.get("HF_HOME") or cache / "huggingface") / "hub"
    yield from _hugging_face(hub.expanduser())
    caches = home / "Library" / "Caches" if sys.platform == "darwin" else cache
    for path in _gguf(Path(environ.get("LLAMA_CACHE") or caches / "llama.cpp")):
        yield from _file(path.stem, path, "llama.cpp")
    for folder in (home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"):
        for path in _gguf(folder):
            yield from _file(_repository(path.relative_to(folder).parts), path, "LM Studio")
    folders = [Path(own)] if (own := environ.get("OLLAMA_MODELS")) else []
    for folder in (*folders, home / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")):
        yield from _ollama(folder)


def _gguf(folder: Path, pattern: str = "**/*.gguf") -> list[Path]:
    """The files of this pattern, sorted; none where the folder is missing or closed."""
    try:
        return sorted(islice(folder.glob(pattern), _MOST_FILES))
    except OSError:
        return []


def _file(name: str, path: Path, source: str) -> Iterator[LocalFile]:
    """One file, unless it is a later part of a model in several, or an image encoder."""
    part = _PART.search(path.stem)
    if (part and part[1] != "00001") or path.name.startswith("mmproj") or not path.is_file():
        return
    with suppress(OSError):
        parts = path.parent.glob(f"{_escaped(path.stem[: part.start()])}-*-of-{part[2]}.gguf") if part else (path,)
        size = sum(one.stat().st_size for one in parts)
        told = _QUANTISATION.search(_PART.sub("", path.stem))
        yield LocalFile(_ODD.sub("-", _PART.sub("", name)), path, size, source, told[1].upper() if told else None)


def _escaped(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)


def _hugging_face(hub: Path) -> Iterator[LocalFile]:
    for path in _gguf(hub, "models--*/snapshots/*/**/*.gguf"):
        inside = path.relative_to(hub).parts
        repository = inside[0].removeprefix("models--").replace("--", "/")
        yield from _file(_repository((*repository.split("/"), path.name)), path, "Hugging Face")


def _repository(parts: tuple[str, ...]) -> str:
    """`ORG/REPO:QUANTISATION`, as llama.cpp and Ollama write it; the file's name where it has no quantisation."""
    stem = _PART.sub("", parts[-1].removesuffix(".gguf"))
    told = _QUANTISATION.search(stem)
    return f"{'/'.join(parts[:-1][:2])}:{told[1] if told else stem}" if len(parts) > 1 else stem


def _ollama(folder: Path) -> Iterator[LocalFile]:
    """The model layers of Ollama's manifests, which lie at HOST/NAMESPACE/NAME/TAG."""
    manifests = folder / "manifests"
    for path in _gguf(manifests, "*/*/*/*"):
        host, namespace, name, tag = path.relative_to(manifests).parts
        digest = _model_layer(path)
        if digest is None:
            continue
        owner = "" if namespace == "library" else f"{namespace}/"
        home = "" if host == "registry.ollama.ai" else f"{host}/"
        yield from _file(f"{home}{owner}{name}:{tag}", folder / "blobs" / digest.replace(":", "-"), "Ollama")


def _model_layer(manifest: Path) -> str | None:
    """The digest of the model itself; None for what is no manifest of one."""
    try:
        if not manifest.is_file():  # a named pipe would never end
            return None
        with manifest.open("rb") as file:
            layers = json.loads(file.read(_LONGEST_MANIFEST))["layers"]
        digests = [one["digest"] for one in layers if one.get("mediaType") == "application/vnd.ollama.image.model"]
        return digests[0] if _DIGEST.fullmatch(digests[0]) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
