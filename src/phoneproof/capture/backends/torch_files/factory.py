"""Running the user's own code that builds or trains a network. Only ever in a worker process."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import torch

from phoneproof.capture.base import Factory
from phoneproof.capture.factory_files import FactoryFiles, factory_files
from phoneproof.core.errors import ConfigError, nearest

_SEED = 0
_SIGNATURES = {
    "factory": "name a function that takes no arguments and returns the network",
    "finetune": "name a function that takes the network and seconds, and returns the network",
}


def build_network(factory: Factory) -> torch.nn.Module:
    """What the factory's function returns, called without arguments.

    Raises:
        ConfigError: no such function, it raised, or it returned no `torch.nn.Module`; the
            message holds the exception's last line and the place in the user's code.
    """
    network = called(factory)
    if not isinstance(network, torch.nn.Module):
        raise ConfigError(
            f"the factory {factory.target} returned no network",
            found=type(network).__name__,
            next_step="return an instance of torch.nn.Module",
        )
    return network


def called(code: Factory, *arguments: object) -> object:
    """What the user's function returns.

    Raises:
        ConfigError: no such function, or it raised; the message holds the exception's last line
            and the place in the user's code.
    """
    files = factory_files(code)
    module_name, _, function_name = code.target.partition(":")
    with _importable(files.root), users_code(files, code):
        module = importlib.import_module(module_name)
        function: object = getattr(module, function_name, None)
        if not callable(function):
            _no_function(code, vars(module))
        torch.manual_seed(_SEED)  # what is drawn is the same in every step
        return function(*arguments)


def unseen_imports(factory: Factory) -> tuple[str, ...]:
    """Modules of the factory's folder that ran and that its text does not import by name."""
    files = factory_files(factory)
    known = {files.root / file for file in files.files}
    folder = factory.folder.absolute()
    ran = {
        Path(place)
        for module in list(sys.modules.values())
        if (place := getattr(module, "__file__", None)) and place.endswith(".py")
    }
    return tuple(sorted(p.name for p in ran - known if files.root == folder == p.parent))


@contextmanager
def users_code(files: FactoryFiles, factory: Factory) -> Iterator[None]:
    """Exceptions of the user's code as a ConfigError that names the line."""
    try:
        yield
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"the {factory.called} {factory.target} failed",
            found=" at ".join(part for part in (_last_line(error), _place(error, files)) if part),
            next_step=_correction(factory),
        ) from error


def _correction(factory: Factory) -> str:
    module, _, function = factory.target.partition(":")
    if factory.called != "factory":
        return "correct the code"
    return (
        "correct the code; try it where phoneproof.toml is with: "
        f"python -c 'from {module} import {function}; {function}()'"
    )


def _last_line(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip()


def _place(error: BaseException, files: FactoryFiles) -> str:
    """File and line of the innermost frame in the user's own files."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).is_relative_to(files.root)]
    own = [f for f in own if "site-packages" not in Path(f.filename).parts] or own
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""


def _no_function(factory: Factory, names: dict[str, object]) -> NoReturn:
    module, _, function = factory.target.partition(":")
    near = nearest(function, [name for name, value in names.items() if callable(value)])
    raise ConfigError(
        f"module {module} has no function {function}",
        found=f"did you mean {near!r}?" if near else "",
        next_step=_SIGNATURES[factory.called],
    )


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    """The folder first on the path, and no bytecode written into it."""
    writes = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(root))
        sys.dont_write_bytecode = writes
