"""Layer tables are parsed; text in them is never evaluated."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import pytest

from phoneproof.capture.backends.ultralytics.architecture.layers import (
    AnchorDetectLayer,
    C2fCibLayer,
    C2fLayer,
    C2PsaLayer,
    C3k2Layer,
    C3Layer,
    ClassifyLayer,
    ConcatLayer,
    ConvLayer,
    DetectLayer,
    FocusLayer,
    Layer,
    PsaLayer,
    ScDownLayer,
    SppfLayer,
    SppLayer,
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


def layers(rows: list[list[object]], **more: object) -> list[Layer]:
    """The layers of a small detector: stride-2 stem of 64 channels, `rows`, a head."""
    table: Table = {
        "nc": 5,
        "scales": {"n": [0.5, 0.25, 1024]},
        "scale": "n",
        "backbone": [[-1, 1, "Conv", [256, 3, 2]], *rows],
        "head": [[[-1], 1, more.pop("head", "Detect"), more.pop("head_arguments", ["nc"])]],
        **more,
    }
    return [row.layer for row in parse_architecture(table).rows][1:]


def test_yolov5_has_anchors_and_leaves_the_heads_width_alone() -> None:
    rows: list[list[object]] = [
        [-1, 1, "Focus", [64, 3]],
        [-1, 6, "C3", [64]],
        [-1, 3, "C3", [64, False]],
        [-1, 1, "Conv", [64, 6, 2, 2]],
        [-1, 1, "SPP", [64, [5, 9]]],
        [-1, 1, "Conv", [30]],  # 3 anchors * (5 classes + 5)
        [-1, 1, "Conv", [5]],
    ]
    anchors = [[10, 13, 16, 30, 33, 23]]
    found = layers(rows, anchors=anchors, head_arguments=["nc", "anchors"])
    assert found == [
        FocusLayer(c_in=64, c_out=16, kernel=3),
        C3Layer(c_in=16, c_out=16, repeats=3, shortcut=True),
        C3Layer(c_in=16, c_out=16, repeats=2, shortcut=False),
        ConvLayer(c_in=16, c_out=16, kernel=6, stride=2, padding=2),
        SppLayer(c_in=16, c_out=16, kernels=(5, 9)),
        ConvLayer(c_in=16, c_out=30, kernel=1, stride=1),
        ConvLayer(c_in=30, c_out=8, kernel=1, stride=1),
        AnchorDetectLayer(classes=5, channels=(8,), strides=(8,), anchors=3),
    ]
    counted = layers(rows, anchors=3, head_arguments=["nc", "anchors"])
    assert counted == found


def test_yolo11_nests_where_the_row_or_the_scale_says_so() -> None:
    rows: list[list[object]] = [
        [-1, 2, "C3k2", [256, False, 0.25]],
        [-1, 4, "C3k2", [512, True]],
        [-1, 2, "C2PSA", [512]],
    ]
    small = C3k2Layer(
        c_in=64, c_out=64, hidden=16, repeats=1, shortcut=True, nested=False, attention=False
    )
    nested = C3k2Layer(
        c_in=64, c_out=128, hidden=64, repeats=2, shortcut=True, nested=True, attention=False
    )
    head = DetectLayer(classes=5, channels=(128,), strides=(2,), depthwise=True)
    assert layers(rows) == [small, nested, C2PsaLayer(channels=128, repeats=1), head]
    deep = layers(rows, scales={"m": [0.5, 0.25, 1024]}, scale="m")
    assert deep[0] == dataclasses.replace(small, nested=True)
    assert layers(rows, scales={"m": [0.5, 0.25, 1024]}, scale="")[0] == deep[0]  # the first


def test_yolov10_is_end_to_end() -> None:
    rows: list[list[object]] = [
        [-1, 1, "SCDown", [512, 3, 2]],
        [-1, 2, "C2fCIB", [512, True, True]],
        [-1, 1, "C2fCIB", [512]],
        [-1, 1, "PSA", [512]],
    ]
    assert layers(rows, head="v10Detect") == [
        ScDownLayer(c_in=64, c_out=128, kernel=3, stride=2),
        C2fCibLayer(c_in=128, c_out=128, repeats=1, shortcut=True, large=True),
        C2fCibLayer(c_in=128, c_out=128, repeats=1, shortcut=False, large=False),
        PsaLayer(channels=128),
        DetectLayer(classes=5, channels=(128,), strides=(4,), depthwise=True, end_to_end=True),
    ]


def test_yolo26_has_one_bin_and_says_that_it_is_end_to_end() -> None:
    rows: list[list[object]] = [
        [-1, 1, "SPPF", [256, 5, 3, True]],
        [-1, 1, "SPPF", [512, 5, 3, True]],  # input and output differ: nothing to add
        [-1, 1, "C3k2", [512, True, 0.5, True]],
    ]
    found = layers(rows, end2end=True, reg_max=1)
    assert found == [
        SppfLayer(c_in=64, c_out=64, kernel=5, shortcut=True, linear=True),
        SppfLayer(c_in=64, c_out=128, kernel=5, shortcut=False, linear=True),
        C3k2Layer(
            c_in=128, c_out=128, hidden=64, repeats=1, shortcut=True, nested=True, attention=True
        ),
        DetectLayer(
            classes=5, channels=(128,), strides=(2,), bins=1, depthwise=True, end_to_end=True
        ),
    ]


@pytest.mark.parametrize(
    "row",
    [
        [-1, 1, "PSA", [512]],  # 64 channels to 128
        [-1, 1, "PSA", [256]],  # a half of 32 channels holds no head of 64
        [-1, 1, "C2PSA", [256]],
        [-1, 1, "C3k2", [256, 1]],
        [-1, 1, "C3k2", [256, True, 0]],
        [-1, 1, "C3k2", [256, True, 1.5]],
        [-1, 1, "C3k2", [256, True, 0.01]],
        [-1, 1, "C3", [256, "False2"]],
        [-1, 1, "SPP", [256, [4]]],
        [-1, 1, "SPP", [256, [5.0]]],
        [-1, 1, "SPP", [256, 5]],
        [-1, 1, "SPP", [256, [5] * 9]],
        [-1, 1, "SPPF", [256, 5, 99]],
        [-1, 1, "SCDown", [256]],
        [-1, 1, "Conv", [256, 3, 2, 16]],
    ],
)
def test_rows_of_the_newer_blocks_that_make_no_sense(row: list[object]) -> None:
    with pytest.raises(InvalidInput):
        layers([row])


@pytest.mark.parametrize("row", [[-1, 1, "C3", [256, True, 2]], [-1, 1, "C3k2", [256] * 5]])
def test_arguments_that_are_not_rebuilt(row: list[object]) -> None:
    with pytest.raises(Unsupported, match="arguments"):
        layers([row])


@pytest.mark.parametrize(
    "change",
    [
        {"reg_max": 0},
        {"reg_max": 10**6},
        {"reg_max": "16"},
        {"end2end": 1},
        {"end2end": "True"},
        {"anchors": []},
        {"anchors": [[1, 2, 3]]},
        {"anchors": [[1, 2], [1, 2, 3, 4]]},
        {"anchors": "3"},
        {"anchors": 10**6},
        {"anchors": 3},  # the head does not take them
    ],
)
def test_head_settings_that_make_no_sense(change: Table) -> None:
    with pytest.raises(InvalidInput):
        layers([], **change)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nc", 7),
        ([5, 9, 13], (5, 9, 13)),
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
