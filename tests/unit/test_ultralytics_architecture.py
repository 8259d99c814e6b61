"""Layer tables are parsed; text in them is never evaluated."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from phoneproof.capture.backends.ultralytics.architecture.layers import (
    C2fLayer,
    ClassifyLayer,
    ConcatLayer,
    ConvLayer,
    DetectLayer,
    SppfLayer,
    UpsampleLayer,
)
from phoneproof.capture.backends.ultralytics.architecture.parse import parse_architecture
from phoneproof.capture.backends.ultralytics.literals import argument, module_name
from phoneproof.core.errors import InvalidInput, Unsupported

Table = dict[str, object]


def detector() -> Table:
    """Two levels, strides 2 and 4; width a quarter, depth a third."""
    return {
        "nc": 5,
        "scales": {"n": [0.33, 0.25, 1024], "s": [0.33, 0.5, 1024]},
        "scale": "n",
        "backbone": [
            [-1, 1, "Conv", [64, 3, 2]],
            [-1, 6, "C2f", [64, True]],
            [-1, 1, "Conv", [128, 3, 2]],
            [-1, 1, "SPPF", [128, 5]],
        ],
        "head": [
            [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
            [[-1, 1], 1, "Concat", [1]],
            [-1, 3, "C2f", [64]],
            [[6, 3], 1, "Detect", ["nc"]],
        ],
    }


def with_row(place: int, row: list[object]) -> Table:
    table = copy.deepcopy(detector())
    head = table["head"]
    assert isinstance(head, list)
    head[place] = row
    return table


def test_channels_repeats_and_strides_follow_the_scale() -> None:
    rows = parse_architecture(detector()).rows
    assert [row.layer for row in rows] == [
        ConvLayer(c_in=3, c_out=16, kernel=3, stride=2),
        C2fLayer(c_in=16, c_out=16, repeats=2, shortcut=True),
        ConvLayer(c_in=16, c_out=32, kernel=3, stride=2),
        SppfLayer(c_in=32, c_out=32, kernel=5),
        UpsampleLayer(factor=2),
        ConcatLayer(),
        C2fLayer(c_in=48, c_out=16, repeats=1, shortcut=False),
        DetectLayer(classes=5, channels=(16, 32), strides=(2, 4)),
    ]
    assert [row.sources for row in rows] == [(-1,), (0,), (1,), (2,), (3,), (4, 1), (5,), (6, 3)]


def test_another_scale_widens() -> None:
    layer = parse_architecture({**detector(), "scale": "s"}).rows[0].layer
    assert layer == ConvLayer(c_in=3, c_out=32, kernel=3, stride=2)


def test_older_files_give_two_multiples() -> None:
    table = {**detector(), "scales": None, "depth_multiple": 1.0, "width_multiple": 0.5}
    assert parse_architecture(table).rows[1].layer == C2fLayer(
        c_in=32, c_out=32, repeats=6, shortcut=True
    )


def test_a_classifier() -> None:
    table = {**detector(), "head": [[-1, 1, "Classify", ["nc"]]]}
    assert parse_architecture(table).head == ClassifyLayer(c_in=32, classes=5)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nc", 7),
        ("None", None),
        ("True", True),
        ("-3", -3),
        ("0.5", 0.5),
        ("nearest", "nearest"),
        (2, 2),
    ],
)
def test_arguments_are_literals_or_words(text: object, value: object) -> None:
    assert argument(text, 7) == value


HOSTILE = [
    "__import__('os').system('touch {marker}')",
    "open('{marker}', 'w')",
    "[c for c in ().__class__.__base__.__subclasses__()]",
    "nn.Conv2d(3, 3, 3)",
    "lambda: 0",
    "9**9**9",
    "1e999999999",
    "Conv\nimport os",
]


@pytest.mark.parametrize("code", HOSTILE)
def test_code_as_module_name_is_refused_and_not_run(code: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = code.format(marker=marker)
    with pytest.raises(InvalidInput) as error:
        parse_architecture(with_row(0, [-1, 1, code, ["None", 2, "nearest"]]))
    assert code[:10].partition("\n")[0] in error.value.found
    assert not marker.exists()


@pytest.mark.parametrize("code", HOSTILE)
def test_code_as_argument_is_refused_and_not_run(code: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = code.format(marker=marker)
    with pytest.raises(InvalidInput) as error:
        parse_architecture(with_row(0, [-1, 1, "nn.Upsample", ["None", 2, code]]))
    assert code[:10].partition("\n")[0] in error.value.found
    assert not marker.exists()


@pytest.mark.parametrize("code", HOSTILE)
def test_code_as_activation_is_refused(code: str) -> None:
    with pytest.raises((InvalidInput, Unsupported)) as error:
        parse_architecture({**detector(), "activation": code})
    assert isinstance(error.value, InvalidInput)


@pytest.mark.parametrize(
    "module", ["A2C2f", "C3Ghost", "Segment", "RepNCSPELAN4", "nn.Conv2d", "__import__"]
)
def test_unknown_modules_are_unsupported_by_name(module: str) -> None:
    with pytest.raises(Unsupported, match=module):
        parse_architecture(with_row(2, [-1, 3, module, [64]]))


@pytest.mark.parametrize(
    "change",
    [
        {"nc": 0},
        {"nc": "80"},
        {"nc": True},
        {"nc": 10**9},
        {"backbone": []},
        {"backbone": None},
        {"head": [[-1, 1, "Conv", [64]]]},  # no head
        {"head": [[-1, 1, "Classify", ["nc"]]] * 2},
        {"head": [[-1, 1, "Classify"]]},
        {"head": [[9, 1, "Classify", ["nc"]]]},
        {"head": [[-9, 1, "Classify", ["nc"]]]},
        {"head": [[True, 1, "Classify", ["nc"]]]},
        {"head": [[[], 1, "Classify", ["nc"]]]},
        {"head": [[[-1, 0], 1, "Classify", ["nc"]]]},
        {"head": [[[-1, 0], 1, "Concat", [1]], [-1, 1, "Classify", ["nc"]]]},  # strides differ
        {"scale": "q"},
        {"scale": ["n"]},
        {"scales": {"n": [0.33, float("nan"), 1024]}, "scale": "n"},
        {"scales": {"n": [1e9, 1.0, 1024]}, "scale": "n"},
        {"scales": {"n": [1.0, 1.0]}, "scale": "n"},
        {"channels": 10**9},
    ],
)
def test_tables_that_make_no_sense_are_invalid(change: Table) -> None:
    with pytest.raises(InvalidInput):
        parse_architecture({**detector(), **change})


@pytest.mark.parametrize("value", [None, [], "yolov8n.yaml", 3])
def test_something_else_than_a_table(value: object) -> None:
    with pytest.raises(InvalidInput):
        parse_architecture(value)


def test_an_absurd_number_of_blocks_is_refused() -> None:
    many = [[-1, 60, "C2f", [64, True]] for _ in range(30)]
    table = {**detector(), "depth_multiple": 1.0, "scales": {"n": [1.0, 0.25, 1024]}}
    with pytest.raises(InvalidInput, match="blocks"):
        parse_architecture({**table, "head": [*many, [-1, 1, "Classify", ["nc"]]]})


@pytest.mark.parametrize("name", ["Conv", "nn.Upsample", "torch.nn.Upsample"])
def test_dotted_names_are_names(name: str) -> None:
    assert module_name(name) == name.removeprefix("torch.")
