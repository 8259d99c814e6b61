"""Labels in a csv file with the columns `file` and `label`; other columns are ignored."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from phoneproof.core.errors import InvalidInput
from phoneproof.data.annotations import Annotations, Stated
from phoneproof.data.files import ImageFile
from phoneproof.data.listing import NameIndex

FILE_COLUMN: Final = "file"
LABEL_COLUMN: Final = "label"
_DELIMITERS: Final = ",;\t"


def is_label_csv(path: Path) -> bool:
    """Whether a file is a csv with the two columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return _columns(stream.readline(1 << 16))[1] is not None
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def read_csv(path: Path, files: tuple[ImageFile, ...]) -> Annotations:
    """Labels of the images a csv lists.

    An image the csv does not list, a listed file that is missing, an empty label and two
    different labels for one file are problems of that image.

    Raises:
        InvalidInput: the file is not such a csv.
    """
    names = NameIndex(files)
    by_image: dict[str, Stated] = {}
    problems: dict[str, str] = {}
    for line, file_text, label in _rows(path):
        name = names.find(file_text)
        if name is None:
            problems[file_text or f"line {line}"] = f"listed in {path.name}, but not in the folder"
        elif not label:
            problems[name] = f"line {line} of {path.name} has no label"
        elif name in by_image and by_image[name].label != label:
            problems[name] = f"{path.name} gives it two labels: {by_image[name].label}, {label}"
        else:
            by_image[name] = Stated(label=label)
    for file in files:
        if file.name not in by_image:
            problems.setdefault(file.name, f"not listed in {path.name}")
    usable = {name: stated for name, stated in by_image.items() if name not in problems}
    return Annotations(by_image=usable, source=path.name, problems=tuple(problems.items()))


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, file, label) of every row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            delimiter, columns = _columns(stream.readline())
            if columns is None:
                raise InvalidInput(
                    f"{path.name} has no columns named file and label",
                    next_step="write a first line with file,label",
                )
            file_at, label_at = columns
            for line, row in enumerate(csv.reader(stream, delimiter=delimiter), start=2):
                if row:
                    cells = [*row, *[""] * (max(columns) + 1 - len(row))]
                    yield line, cells[file_at].strip(), cells[label_at].strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path.name} cannot be read as csv", found=str(error)) from error


def _columns(header: str) -> tuple[str, tuple[int, int] | None]:
    """The delimiter and the positions of file and label in a header line."""
    for delimiter in _DELIMITERS:
        cells = next(csv.reader([header], delimiter=delimiter), [])
        names = [cell.strip().lower() for cell in cells]
        if FILE_COLUMN in names and LABEL_COLUMN in names:
            return delimiter, (names.index(FILE_COLUMN), names.index(LABEL_COLUMN))
    return ",", None
