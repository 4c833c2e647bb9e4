"""The SDKs on demand: the same objects as by an ordinary import, few modules, and safe in threads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from llmcli.lazy_sdk import SDKS

_HANG_S = 120


def python(code: str, *args: str, **variables: str) -> str:
    """What the code prints in a process of its own where the SDKs come on demand."""
    whole = f"import sys\nfrom llmcli import lazy_sdk\nlazy_sdk.install({variables!r})\n{code}"
    done = subprocess.run([sys.executable, "-c", whole, *args], capture_output=True, text=True, timeout=_HANG_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("sdk", SDKS)
def test_every_package_hands_out_what_its_file_would_have_brought(sdk: str) -> None:
    """Each `__init__` is also run, into a namespace of its own; every object in there must be the very same."""
    code = """
import importlib, types
from pathlib import Path
folder = Path(importlib.import_module(sys.argv[1]).__file__).parent
packages = ['.'.join(path.parent.relative_to(folder.parent).parts) for path in sorted(folder.rglob('__init__.py'))]
compared = 0
for name in packages:
    if '_vendor' in name or name.endswith('.helpers'):
        continue  # they want packages that only some have
    module = importlib.import_module(name)
    read = type(module) is not types.ModuleType
    names = list(module.__loader__.names) if read else []
    handed_out = {name: getattr(module, name) for name in reversed(names)}
    public = set()
    if read and name != sys.argv[1]:
        star = {}
        exec(f'from {name} import *', star)
        public = star.keys() - {'__builtins__'}
    run = {'__name__': name, '__package__': name, '__file__': module.__file__, '__path__': module.__path__}
    if read:
        exec(compile(Path(module.__file__).read_bytes(), module.__file__, 'exec'), run)
    for key in set(names) - set(lazy_sdk._LATE.values()):
        assert run[key] is handed_out[key] is getattr(module, key), (name, key)
        assert key in dir(module), (name, key)
        assert name == sys.argv[1] or key.startswith('_') or key in public, (name, key)
    compared += len(names)
print(compared)
"""
    assert int(python(code, sdk)) > 1000


@pytest.mark.parametrize("sdk", SDKS)
def test_all_else_in_an_sdk_is_there_when_asked_for(sdk: str) -> None:
    code = f"""
import {sdk}, inspect, pickle
early = {sdk}.APIStatusError
assert {sdk}.types.__name__ == '{sdk}.types' and '{sdk}._client' not in sys.modules
assert not hasattr({sdk}, 'no_such_name') and not hasattr({sdk}.types, 'no_such_name')
names = {{}}
exec('from {sdk} import *', names)
missing = set({sdk}.__all__) - names.keys() | set({sdk}.__all__) - set(dir({sdk}))
assert not missing, missing
assert early is {sdk}.APIStatusError is pickle.loads(pickle.dumps(early))
assert early in dict(inspect.getmembers({sdk})).values()
assert inspect.getsource({sdk}.types).count('import') > 50
"""
    python(code)


def test_the_libraries_below_are_whole_when_asked_for() -> None:
    code = """
import asyncio, asyncio.events, httpcore2, openai, anthropic
assert 'asyncio.base_events' not in sys.modules and 'httpcore2._async' not in sys.modules
assert httpcore2.AsyncConnectionPool is httpcore2._async.AsyncConnectionPool
for module in (asyncio, httpcore2):
    names = {}
    exec(f'from {module.__name__} import *', names)
    assert names.keys() >= set(module.__all__) and all(names[name] is getattr(module, name) for name in module.__all__)
assert asyncio.run(asyncio.wait_for(asyncio.sleep(0, 'slept'), 9)) == 'slept'
assert httpcore2.AnyIOBackend.__module__ == 'httpcore2' and httpcore2.__version__
"""
    python(code)


def test_anthropic_raises_the_same_errors() -> None:
    code = """
import anthropic, httpx2
from anthropic._error_classes import make_status_error as make
for status in range(400, 530):
    for kind in ('overloaded_error', 'rate_limit_error', 'no_such_error', None):
        response = httpx2.Response(status, request=httpx2.Request('GET', 'http://127.0.0.1'))
        error = make('said', body={'error': {'type': kind}}, response=response)
        print(type(error).__name__, isinstance(error, anthropic.APIStatusError), error.message)
"""
    assert python(code) == python(code, LLMCLI_EAGER_IMPORTS="1")


def test_threads_may_import_at_the_same_time() -> None:
    code = """
import random, threading
failed, start = [], threading.Barrier(8)
def work(seed):
    try:
        start.wait()
        import anthropic, openai
        for module in (anthropic, openai, anthropic.types, openai.types, anthropic.types.beta, openai.types.responses):
            names = list(module.__loader__.names)
            random.Random(seed).shuffle(names)
            for name in names[:40]:
                getattr(module, name)
        openai.OpenAI, anthropic.Anthropic, openai.api_key, openai.AzureOpenAI, openai.__all__
    except BaseException as error:
        failed.append(error)
        raise
threads = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(100)
assert not failed and not any(thread.is_alive() for thread in threads)
"""
    python(code)


def test_the_variable_switches_it_off() -> None:
    code = "import anthropic, types\nprint(type(anthropic) is types.ModuleType, 'anthropic.types.beta' in sys.modules)"
    assert python(code, LLMCLI_EAGER_IMPORTS="1") == "True True\n"
    assert python(code) == "False False\n"


@pytest.mark.parametrize(
    "init",
    [
        "from .one import a\nfound = a",  # it does something with it
        "from .one import a\nfrom .two import one",  # the submodule `one` would take the name's place
        "if True:\n    from .one import a",
        "from .one import *",
        "from .one import a; b = 1",
        "from .one import (\n    a,  # why\n)",
    ],
)
def test_a_package_of_another_shape_is_run_as_it_stands(init: str, tmp_path: Path) -> None:
    inner = tmp_path / "openai" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "openai" / "__init__.py").write_text("from .inner import x\nhere = 1\n")
    (inner / "__init__.py").write_text(init)
    (inner / "one.py").write_text("a = 'a'\n")
    (inner / "two.py").write_text("one = '1'\n")
    code = """
sys.path.insert(0, sys.argv[1])
import types, openai
import openai.inner
assert type(openai.inner) is types.ModuleType and openai.inner.a == 'a'
import openai.inner.one
print(openai.inner.one if 'two' in vars(openai.inner) else openai.inner.one.a)
"""
    assert python(code, str(tmp_path)) in ("a\n", "1\n")
