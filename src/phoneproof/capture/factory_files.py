"""Which files a factory's code consists of, found without running any of it.

The cache must know when the user's code changes: the files that the factory's module imports from
its own folder (or, for an installed package, from that package) are hashed.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phoneproof.capture.base import Factory
from phoneproof.core.errors import ConfigError

FACTORY_TARGET: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
"""``module:function``."""

_HOW = 'factory = "my_models:resnet20" in [model] names function resnet20() in my_models.py'


@dataclass(frozen=True, kw_only=True, slots=True)
class FactoryFiles:
    """root: the folder the module is imported from. files: relative to it, sorted."""

    root: Path
    files: tuple[Path, ...]

    @property
    def sha256(self) -> str:
        """Over the names and bytes of all files."""
        digest = hashlib.sha256()
        for name in self.files:
            content = hashlib.sha256((self.root / name).read_bytes()).digest()
            digest.update(name.as_posix().encode() + b"\0" + content)
        return digest.hexdigest()


def factory_files(factory: Factory) -> FactoryFiles:
    """The Python files behind a factory: its module and, from the same root, all it imports.

    Raises:
        ConfigError: a target that is not ``module:function``, no such module in the folder or
            among the installed packages, or a file that is not Python.
    """
    if not FACTORY_TARGET.fullmatch(factory.target):
        raise ConfigError(f"{factory.target!r} names no factory", next_step=_HOW)
    module = factory.target.partition(":")[0]
    root = factory.folder.absolute()
    only = ""
    if not _files_of(root, module):
        root, only = _installed(module, factory)
    found: set[Path] = set()
    waiting = [module]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or (only and name.partition(".")[0] != only):
            continue
        seen.add(name)
        for file in _files_of(root, name):
            if file not in found:
                found.add(file)
                waiting += _imports(root / file, _package_of(file))
    return FactoryFiles(root=root, files=tuple(sorted(found)))


def _files_of(root: Path, module: str) -> list[Path]:
    """What importing a dotted name would run: its packages' files and its own."""
    files: list[Path] = []
    place = Path()
    for part in module.split("."):
        package, plain = place / part / "__init__.py", place / f"{part}.py"
        place /= part
        if (root / package).is_file():
            files.append(package)
        elif (root / plain).is_file():
            return [*files, plain]
        elif not (root / place).is_dir():
            return files  # an attribute of the module before it, or nothing here
    return files


def _installed(module: str, factory: Factory) -> tuple[Path, str]:
    top = module.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ConfigError(
            f"there is no module {top} for the factory {factory.target}",
            found=f"neither {top}.py in {factory.folder} nor an installed package",
            next_step=_HOW,
        )
    origin = Path(spec.origin)
    is_package = origin.name == "__init__.py"
    return (origin.parent.parent if is_package else origin.parent), top


def _package_of(file: Path) -> tuple[str, ...]:
    return file.parent.parts


def _imports(file: Path, package: tuple[str, ...]) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise ConfigError(
            f"{file.name} is not valid Python",
            found=f"{file}:{line}: {error}" if line else f"{file}: {error}",
            next_step="correct the factory's code",
        ) from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # Level 1 is the file's own package, each further level one above it.
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            if base:
                yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)
