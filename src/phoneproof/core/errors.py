"""One error tree, one exit code each.

Exit code 1 is left to bugs: an exception that is not a `PhoneproofError` keeps its traceback.
Third-party exceptions are mapped once, at the backend boundary, with ``raise ... from``.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from typing import ClassVar, Final


class PhoneproofError(Exception):
    """Base of every error a user can meet.

    Args:
        failed: what failed, as a short sentence without a final full stop.
        found: what was found instead (values, names, sizes); may be empty.
        next_step: what to do next, as an instruction; may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, failed: str, *, found: str = "", next_step: str = "") -> None:
        self.failed = failed
        self.found = found
        self.next_step = next_step
        super().__init__(failed, found, next_step)

    def __str__(self) -> str:
        lines = [self.failed]
        if self.found:
            lines.append(f"  found: {self.found}")
        if self.next_step:
            lines.append(f"  next:  {self.next_step}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.failed, self.found, self.next_step))


def _rebuild(
    kind: type[PhoneproofError], failed: str, found: str, next_step: str
) -> PhoneproofError:
    return kind(failed, found=found, next_step=next_step)


class ConfigError(PhoneproofError):
    """The configuration is wrong. All faults of one file are reported together."""

    exit_code = 2


class MissingExtra(PhoneproofError):
    """A library that is not installed. Nothing is ever installed at run time."""

    exit_code = 3

    @classmethod
    def of(cls, library: str, extra: str) -> MissingExtra:
        """The error for one library and the extra that brings it."""
        return cls(
            f"{library} is not installed",
            next_step=f"pip install 'phoneproof[{extra}]'",
        )

    @classmethod
    def from_import(cls, error: ModuleNotFoundError) -> MissingExtra | None:
        """The error for a failed import of a library that an extra brings; null for others."""
        library = (error.name or "").partition(".")[0]
        extra = _EXTRA_OF.get(library)
        return cls.of(library, extra) if extra else None


_EXTRA_OF: Final = {
    "ai_edge_litert": "verify",
    "faster_coco_eval": "verify",
    "onnxruntime": "verify",
    "scipy": "verify",
    "onnx": "torch",
    "onnx2torch": "torch",
    "onnxscript": "torch",
    "onnxslim": "torch",
    "torch": "torch",
    "h5py": "tensorflow",
    "keras": "tensorflow",
    "tensorflow": "tensorflow",
    "tf2onnx": "tensorflow",
    "tf_keras": "tensorflow",
    "ai_edge_quantizer": "android",
    "coreai": "coreai",
    "coreai_torch": "coreai",
    "coremltools": "ios",
    "litert_torch": "android",
}
"""Import name -> the extra of pyproject.toml that brings it."""


class Unsupported(PhoneproofError):
    """Valid input that this version does not handle; the message names what and what to try."""

    exit_code = 4


class ConversionFailed(PhoneproofError):
    """A capture or a converter broke (not: gave a wrong model, which is `VerificationFailed`)."""

    exit_code = 5


class OptimizationFailed(PhoneproofError):
    """An optimizer broke."""

    exit_code = 6


class VerificationFailed(PhoneproofError):
    """Something was measured and refused. A result, not a crash."""

    exit_code = 7


class ToolchainError(PhoneproofError):
    """An external tool is missing or broke."""

    exit_code = 8


class InvalidInput(PhoneproofError):
    """A corrupt, hostile or empty input, or a Git-LFS pointer in place of a file."""

    exit_code = 9


_OTHER_FOLDER: Final = "choose a folder that you may write to"
STORAGE_STEPS: Final = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space in your quota",
    errno.EFBIG: "free some space, or choose a disk that takes files of this size",
    errno.EACCES: _OTHER_FOLDER,
    errno.EPERM: _OTHER_FOLDER,
    errno.EROFS: _OTHER_FOLDER,
    errno.EIO: "check the disk",
    errno.ENOTDIR: "choose another folder: a part of its path is a file",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""What the disk may do to a write, by errno, and what to do then."""


class StorageError(PhoneproofError):
    """The disk is full, or a folder cannot be written."""

    exit_code = 10

    @classmethod
    def of(cls, failed: str, error: OSError) -> StorageError:
        """What the operating system said of a write."""
        step = STORAGE_STEPS.get(error.errno or 0, "check the folder and its disk")
        return cls(
            failed,
            found=error.strerror or str(error),
            next_step=f"{step}, then run the same command again",
        )


INTERRUPTED_EXIT_CODE = 130


def nearest(unknown: str, known: Iterable[str]) -> str:
    """The known name closest to `unknown`, or an empty string where none is close."""
    matches = difflib.get_close_matches(unknown, list(known), n=1, cutoff=0.5)
    return matches[0] if matches else ""


def first_line(error: BaseException) -> str:
    """What a library's exception says, in one line; its class where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
