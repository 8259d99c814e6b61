"""Environments in which Python cannot reach something: a network, or libraries."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

_NO_NETWORK = """
import os, socket

def refuse(*arguments, **options):
    with open(os.environ["ATTEMPTS"], "a") as stream:
        stream.write(repr(arguments[-1]) + "\\n")
    raise OSError("there is no network behind this wall")

socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.getaddrinfo = socket.gethostbyname = refuse
"""
_NO_LIBRARIES = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Refuse())
"""


def without_network(folder: Path) -> Mapping[str, str]:
    """An environment whose Python processes refuse connections and note them in `attempts`."""
    (folder / "attempts").touch()
    return _wall(folder, _NO_NETWORK) | {"ATTEMPTS": str(folder / "attempts")}


def without_libraries(folder: Path, names: Iterable[str]) -> Mapping[str, str]:
    """An environment whose Python processes find none of the top-level modules `names`."""
    return _wall(folder, _NO_LIBRARIES.format(names=set(names)))


def own_network() -> tuple[str, ...]:
    """The start of a command that runs with no network interface at all; empty: not possible."""
    program = shutil.which("unshare")
    for start in ((program, "-rn"), (program, "-n")) if program else ():
        if subprocess.run([*start, "true"], capture_output=True, check=False).returncode == 0:
            return start
    return ()


def _wall(folder: Path, code: str) -> dict[str, str]:
    """Python runs `sitecustomize` of its path before anything else; workers inherit the path."""
    (folder / "sitecustomize.py").write_text(code)
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), inherited)))}
