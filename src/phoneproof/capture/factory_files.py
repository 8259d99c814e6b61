"""Which files a factory's code consists of, found without running any of it.

The cache must know when the user's code changes: the files that the factory's module imports are
hashed, from its own folder and from every place outside site-packages (a src layout, an editable
install). Of installed packages their versions count.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Final

from phoneproof.capture.base import Factory
from phoneproof.core.errors import ConfigError

FACTORY_TARGET: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
"""``module:function``."""

_HOW = {
    "factory": 'factory = "my_models:resnet20" in [model] names function resnet20() in '
    "my_models.py",
    "finetune": 'finetune = "my_training:recover" in prune names function recover() in '
    "my_training.py",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class FactoryFiles:
    """What a factory's code consists of.

    root: the folder its module is imported from. files: relative to it, sorted. others: absolute
    paths of modules imported from elsewhere outside site-packages, sorted. packages: name and
    version of the installed distributions that any of these files imports, sorted.
    """

    root: Path
    files: tuple[Path, ...]
    others: tuple[Path, ...] = ()
    packages: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Over the names and bytes of all files, and the packages."""
        digest = hashlib.sha256()
        named = [(name.as_posix(), self.root / name) for name in self.files]
        # Not by their absolute paths: the same code on two machines is the same code.
        for name, path in (*named, *((path.name, path) for path in self.others)):
            content = hashlib.sha256(path.read_bytes()).digest()
            digest.update(name.encode() + b"\0" + content)
        digest.update("\0".join(self.packages).encode())
        return digest.hexdigest()


def factory_files(factory: Factory) -> FactoryFiles:
    """The Python files behind a factory, and the versions of the packages they import.

    Raises:
        ConfigError: a target that is not ``module:function``, no such module in the folder or
            among the installed packages, or a file that is not Python.
    """
    if not FACTORY_TARGET.fullmatch(factory.target):
        raise ConfigError(
            f"{factory.target!r} names no {factory.called}", next_step=_HOW[factory.called]
        )
    module = factory.target.partition(":")[0]
    root = factory.folder.absolute()
    search = _Search(root=root)
    if not _files_of(root, module):
        top = module.partition(".")[0]
        root = search.places[top] = _installed(top, factory)
    search.follow(module)
    own = sorted(file.relative_to(root) for at, file in search.found if at == root)
    return FactoryFiles(
        root=root,
        files=tuple(own),
        others=tuple(sorted(file for at, file in search.found if at != root)),
        packages=tuple(sorted(search.packages)),
    )


@dataclass(kw_only=True, slots=True)
class _Search:
    """Follows imports from file to file.

    places: folder that each top-level module is imported from; null where its files are not
    hashed. found: such a folder and an absolute path in it.
    """

    root: Path
    places: dict[str, Path | None] = field(default_factory=dict)
    found: set[tuple[Path, Path]] = field(default_factory=set)
    packages: set[str] = field(default_factory=set)

    def follow(self, module: str) -> None:
        """Find the files of a module and of all that they import."""
        waiting, seen = [module], set[str]()
        while waiting:
            name = waiting.pop()
            place = self._place(name.partition(".")[0])
            if name in seen or place is None:
                continue
            seen.add(name)
            for file in _files_of(place, name):
                if (place, place / file) not in self.found:
                    self.found.add((place, place / file))
                    waiting += _imports(place / file, _package_of(file))

    def _place(self, top: str) -> Path | None:
        if top not in self.places:
            self.places[top] = self._looked_up(top)
        return self.places[top]

    def _looked_up(self, top: str) -> Path | None:
        """As Python does: the folder first, but a folder without __init__.py last."""
        if (self.root / f"{top}.py").is_file() or (self.root / top / "__init__.py").is_file():
            return self.root
        if top in sys.stdlib_module_names:
            return None
        spec = _spec(top)
        if (spec is None or spec.origin is None) and (self.root / top).is_dir():
            return self.root
        if spec is None:
            return None
        path = _path_of(spec)
        versions = _versions(top) if path and _is_installed(path) else ()
        self.packages.update(versions)
        if path is None or versions:
            return None
        if path.suffix in (".py", ""):
            return _root_of(path)
        self.found.add((path.parent, path))  # compiled
        return None


def _spec(top: str) -> ModuleSpec | None:
    """Where a top-level module lies: on the path, or where an editable install's finder says."""
    try:
        return PathFinder.find_spec(top) or importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None


def _path_of(spec: ModuleSpec) -> Path | None:
    """A module's file, or the first folder of a package without __init__.py."""
    if spec.origin is not None:
        return Path(spec.origin) if spec.has_location else None
    return next((Path(place) for place in spec.submodule_search_locations or ()), None)


def _root_of(path: Path) -> Path:
    return path.parent.parent if path.name == "__init__.py" else path.parent


def _is_installed(path: Path) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts)


def _versions(top: str) -> tuple[str, ...]:
    """The distributions that hold a top-level module; none for a file that was copied there."""
    names = _distributions().get(top, ())
    return tuple(f"{name} {importlib.metadata.version(name)}" for name in names)


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


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


def _installed(top: str, factory: Factory) -> Path:
    """The folder that holds a module which is not in the factory's folder."""
    spec = _spec(top)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ConfigError(
            f"there is no module {top} for the {factory.called} {factory.target}",
            found=f"neither {top}.py in {factory.folder} nor an installed package",
            next_step=_HOW[factory.called],
        )
    return _root_of(Path(spec.origin))


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
            next_step="correct the code",
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
