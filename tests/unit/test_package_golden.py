from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from phoneproof.core.artifact import Artifact, Lineage
from phoneproof.core.binding import (
    Binding,
    Box,
    Format,
    InputBinding,
    OutputBinding,
    Precision,
)
from phoneproof.core.check import Check
from phoneproof.core.contract import Contract, Crop, ImageInput
from phoneproof.core.errors import ConfigError, InvalidInput, VerificationFailed
from phoneproof.core.golden import GoldenIndex
from phoneproof.core.json_format import parse
from phoneproof.core.tensors import TensorSpec
from phoneproof.package import golden_check
from phoneproof.package.golden import OpenSession, make_golden
from phoneproof.package.golden_check import check_golden
from phoneproof.package.golden_pictures import generated_pictures
from phoneproof.package.golden_steps import Steps, steps_of
from phoneproof.package.golden_tensors import SAMPLE, read_tensor, sample_step, write_tensor
from phoneproof.runtimes.base import Session, Tensor, Tensors
from tests.unit import report_samples as samples

SIZE = 32


@dataclass(frozen=True, kw_only=True)
class FakeSession:
    """A model of one line; `fault` spoils its outputs."""

    binding: Binding
    compute: Callable[[NDArray[np.float32]], dict[str, Tensor]]
    fault: float = 0.0

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        image = self.binding.image
        return (TensorSpec(name=image.tensor, shape=image.shape, dtype=image.dtype),)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(name=o.tensor, shape=o.shape, dtype=o.dtype) for o in self.binding.outputs
        )

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        outputs = self.compute(tensors[self.binding.image.tensor])
        return {name: tensor + np.float32(self.fault) for name, tensor in outputs.items()}


def classify(tensor: NDArray[np.float32]) -> dict[str, Tensor]:
    energy = tensor.reshape(tensor.shape[0], 4, -1).mean(axis=2) * 4
    powers = np.exp(energy)
    return {"scores": (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)}


def detect(tensor: NDArray[np.float32]) -> dict[str, Tensor]:
    mean = tensor.reshape(tensor.shape[0], 4, -1).mean(axis=2)
    places = np.asarray([[0, 0], [16, 0], [0, 16], [16, 16]], np.float32)
    corners = np.tile(np.hstack([places + 2, places + 13])[None], (len(mean), 1, 1))
    return {"boxes": corners, "scores": np.repeat(mean[:, :, None], 4, axis=2) * np.float32(0.9)}


def classify_contract() -> Contract:
    return samples.classify_contract(count=4, size=SIZE)


def classify_binding(contract: Contract, batch: int = 1) -> Binding:
    return Binding(
        contract=contract.sha256,
        format="tflite",
        batch=batch,
        inputs=(InputBinding(tensor="image", shape=(batch, SIZE, SIZE, 3), layout="NHWC"),),
        outputs=(OutputBinding(tensor="scores", role="scores", shape=(batch, 4), axes=("class",)),),
    )


def detect_binding(contract: Contract) -> Binding:
    return Binding(
        contract=contract.sha256,
        format="tflite",
        inputs=(InputBinding(tensor="image", shape=(1, SIZE, SIZE, 3), layout="NHWC"),),
        outputs=(
            OutputBinding(
                tensor="boxes",
                role="boxes",
                shape=(1, 4, 4),
                axes=("anchor", "coord"),
                box=Box(format="xyxy"),
            ),
            OutputBinding(
                tensor="scores", role="scores", shape=(1, 4, 4), axes=("anchor", "class")
            ),
        ),
    )


def artifact_of(binding: Binding) -> Artifact:
    sha256 = "c3" * 32
    return Artifact(
        id="tflite-float32",
        format="tflite",
        requested="float32",
        precision="float32",
        path="artifacts/model_float32.tflite",
        bytes=1,
        sha256=sha256,
        binding=binding,
        lineage=Lineage(parent="a1" * 32, step="litert-torch"),
    )


def opener(
    compute: Callable[[NDArray[np.float32]], dict[str, Tensor]], fault: float = 0.0
) -> OpenSession:
    def open_session(artifact: Artifact, _: Path) -> Session:
        return FakeSession(binding=artifact.binding, compute=compute, fault=fault)

    return open_session


@dataclass(frozen=True, kw_only=True)
class Made:
    folder: Path
    contract: Contract
    artifact: Artifact
    index: GoldenIndex
    compute: Callable[[NDArray[np.float32]], dict[str, Tensor]]

    def check(self, contract: Contract | None = None, fault: float = 0.0) -> tuple[Check, ...]:
        pairs = [(self.artifact, self.folder)]
        return check_golden(
            self.folder, contract or self.contract, pairs, opener(self.compute, fault)
        )


def make(folder: Path, task: str = "classify", pictures: tuple[Path, ...] = ()) -> Made:
    is_classify = task == "classify"
    contract = classify_contract() if is_classify else samples.detect_contract(size=SIZE)
    binding = classify_binding(contract) if is_classify else detect_binding(contract)
    artifact = artifact_of(binding)
    compute = classify if is_classify else detect
    index = make_golden(folder, contract, [(artifact, folder)], opener(compute), pictures)
    return Made(folder=folder, contract=contract, artifact=artifact, index=index, compute=compute)


def named(checks: tuple[Check, ...], name: str, part: str | None = None) -> Check:
    return next(c for c in checks if c.name == name and part in (None, c.slice))


def all_bytes(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_eight_varied_pictures_with_the_same_bytes_each_time() -> None:
    first, second = generated_pictures(), generated_pictures()
    assert len({p.id for p in first}) == 8
    assert [p.png() for p in first] == [p.png() for p in second]
    assert [p.jpeg() for p in first] == [p.jpeg() for p in second]
    flags = {flag for p in first for flag in p.flags}
    assert {"landscape", "portrait", "exif_orientation", "thin", "gray_file", "alpha"} <= flags


def test_pictures_carry_no_metadata_but_the_orientation() -> None:
    for picture in generated_pictures():
        for data in (picture.png(), picture.jpeg()):
            exif = Image.open(io.BytesIO(data)).getexif()
            expected = {} if picture.orientation is None else {ExifTags.Base.Orientation: 6}
            assert dict(exif) == expected


def test_the_index_describes_every_file(tmp_path: Path) -> None:
    made = make(tmp_path / "golden")
    assert len(made.index.cases) == 16
    read = parse((made.folder / "index.json").read_bytes(), GoldenIndex, what="index")
    assert read == made.index
    listed = {"index.json", "schema.json"}
    for case in made.index.cases:
        outputs = [o for a in case.expected.artifacts for o in (a.input, *a.outputs)]
        listed |= {case.file, case.expected.pixels.file, *(o.file for o in outputs)}
    assert set(all_bytes(made.folder)) == listed
    assert [p.name for p in tmp_path.iterdir()] == ["golden"]


def test_making_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one", "detect"), make(tmp_path / "two", "detect")
    assert all_bytes(one.folder) == all_bytes(two.folder)


def test_rotated_pictures_are_expected_upright(tmp_path: Path) -> None:
    cases = {c.id: c for c in make(tmp_path / "golden").index.cases}
    assert (cases["rotated-png"].width, cases["rotated-png"].height) == (299, 400)
    assert (cases["rotated-jpg"].width, cases["rotated-jpg"].height) == (299, 400)


@pytest.mark.parametrize("task", ["classify", "detect"])
def test_the_same_model_passes_every_check(tmp_path: Path, task: str) -> None:
    checks = make(tmp_path / "golden", task).check()
    assert [(c.name, c.slice, c.verdict) for c in checks] == [
        ("golden_pixels", "", "pass"),
        ("golden_pixels", "jpeg", "pass"),
        ("golden_outputs", "tflite-float32", "pass"),
        ("golden_results", "tflite-float32", "pass"),
    ]
    assert [c.n for c in checks] == [8, 8, 16, 16]
    assert named(checks, "golden_pixels", "jpeg").gating is False


def test_detections_are_recorded(tmp_path: Path) -> None:
    """Otherwise the check of results would pass for want of any."""
    made = make(tmp_path / "golden", "detect")
    found = [len(c.expected.artifacts[0].boxes or ()) for c in made.index.cases]
    assert sum(found) > 16


@pytest.mark.parametrize("task", ["classify", "detect"])
def test_another_model_fails_outputs_and_results(tmp_path: Path, task: str) -> None:
    checks = make(tmp_path / "golden", task).check(fault=-0.2)
    assert named(checks, "golden_pixels", "").verdict == "pass"
    outputs = named(checks, "golden_outputs")
    assert outputs.verdict == "fail"
    assert outputs.worst
    assert named(checks, "golden_results").verdict == "fail"


def integers(
    compute: Callable[[NDArray[np.float32]], dict[str, Tensor]], moved: int = 0
) -> Callable[[NDArray[np.float32]], dict[str, Tensor]]:
    """Scores on a grid of 1/256 that another host's kernels move by whole steps."""

    def run(tensor: NDArray[np.float32]) -> dict[str, Tensor]:
        outputs = compute(tensor)
        scores = np.rint(outputs["scores"] * 256) + moved
        return {**outputs, "scores": (scores / 256).astype(np.float32)}

    return run


@pytest.mark.parametrize("task", ["classify", "detect"])
@pytest.mark.parametrize(
    ("precision", "moved", "verdict"),
    [
        ("static_wi8_ai8", 1, "pass"),
        ("static_wi8_ai8", -1, "pass"),
        ("float32", 1, "fail"),
        ("float16", 1, "fail"),
        ("static_wi8_ai8", 12, "fail"),
    ],
)
def test_integers_may_move_by_a_step_and_no_more(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    precision: Precision,
    moved: int,
    verdict: str,
) -> None:
    folder, made = tmp_path / "golden", make(tmp_path / "first", task)
    artifact = msgspec.structs.replace(made.artifact, precision=precision)
    pairs = [(artifact, folder)]
    make_golden(folder, made.contract, pairs, opener(integers(made.compute)), ())
    if precision == "static_wi8_ai8":
        known = Steps(integers=True, scales={"scores": 1 / 256})
        monkeypatch.setattr(golden_check, "steps_of", lambda *_: known)
    checks = check_golden(folder, made.contract, pairs, opener(integers(made.compute, moved)))
    assert named(checks, "golden_outputs").verdict == verdict
    assert named(checks, "golden_results").verdict == verdict


@pytest.mark.parametrize("task", ["classify", "detect"])
def test_integers_of_other_weights_fail(tmp_path: Path, task: str) -> None:
    def swapped(tensor: NDArray[np.float32]) -> dict[str, Tensor]:
        outputs = made.compute(tensor)
        return {**outputs, "scores": outputs["scores"][:, ::-1].copy()}

    made = make(tmp_path / "first", task)
    artifact = msgspec.structs.replace(made.artifact, precision="static_wi8_ai8")
    folder = tmp_path / "golden"
    pairs = [(artifact, folder)]
    make_golden(folder, made.contract, pairs, opener(integers(made.compute)), ())
    same = check_golden(folder, made.contract, pairs, opener(integers(made.compute)))
    assert named(same, "golden_outputs").verdict == "pass"
    assert named(same, "golden_results").verdict == "pass"
    other = check_golden(folder, made.contract, pairs, opener(integers(swapped)))
    assert named(other, "golden_outputs").verdict == "fail"
    assert named(other, "golden_results").verdict == "fail"


def test_without_a_scale_a_step_is_a_part_of_the_recorded_range() -> None:
    assert Steps(integers=True).free("out", 0.5, 2.55) == pytest.approx(2 * 0.01)
    assert Steps(integers=True).free("out", -2.55, 2.55) == pytest.approx(2 * 0.02)
    known = Steps(integers=True, scales={"out": 0.1})
    assert known.free("out", 0.0, 2.55) == pytest.approx(0.2)
    assert Steps().free("out", -2.55, 2.55) == 0.0


@pytest.mark.parametrize(
    ("format_", "requested", "precision", "integers"),
    [
        ("coreml", "weight_only_wi8", "weight_only_wi8", False),
        ("coreml", "weight_only_wi4", "weight_only_wi4", False),
        ("coreml", "palette4", "palette4", False),
        ("coreml", "palette6", "mixed", False),
        ("coreml", "float16", "mixed", False),
        ("coreml", "sparse", "sparse", False),
        ("coreml", "static_wi8_ai8", "weight_only_wi8", False),
        ("coreml", "static_wi8_ai8", "static_wi8_ai8", True),
        ("coreml", "static_wi8_ai8", "mixed", True),
        ("tflite", "dynamic_wi8", "weight_only_wi8", False),
        ("tflite", "dynamic_wi8", "dynamic_wi8", True),
        ("tflite", "static_wi8_ai16", "static_wi8_ai16", True),
        ("onnx", "dynamic_wi8", "weight_only_wi8", True),
        ("onnx", "float16", "float16", False),
    ],
)
def test_only_arithmetic_of_integers_is_given_steps(
    tmp_path: Path, format_: Format, requested: Precision, precision: Precision, integers: bool
) -> None:
    """Weights that are stored small are computed with in floats: nothing is free in their files."""
    artifact = msgspec.structs.replace(
        make(tmp_path / "golden", "classify").artifact,
        format=format_,
        requested=requested,
        precision=precision,
    )
    steps = steps_of(artifact, tmp_path / "not-there")
    assert steps.integers is integers
    assert (steps.free("out", 0.0, 2.55) > 0) is integers


def test_a_model_that_gives_nan_fails(tmp_path: Path) -> None:
    made = make(tmp_path / "golden", "detect")
    assert named(made.check(fault=math.nan), "golden_outputs").verdict == "fail"


@pytest.mark.parametrize(
    "change",
    [
        {"channels": "bgr"},
        {"scale": 1 / 254},
        {"mean": (0.5, 0.5, 0.5)},
        {"orientation": "ignore"},
        {"alpha": (255, 255, 255)},
        {"geometry": ({"op": "resize", "to": "stretch", "size": [SIZE, SIZE]},)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_preprocessing_fails_golden_pixels(
    tmp_path: Path, change: dict[str, object]
) -> None:
    """The vectors are what counts: they are re-labelled as the changed contract's own."""
    made = make(tmp_path / "golden")
    fields = msgspec.to_builtins(made.contract.image) | change
    image = msgspec.convert(fields, ImageInput)
    contract = msgspec.structs.replace(made.contract, inputs=(image,))
    index = msgspec.structs.replace(made.index, contract=contract.sha256)
    (made.folder / "index.json").write_bytes(msgspec.json.encode(index))
    check = named(made.check(contract), "golden_pixels", "")
    assert check.verdict == "fail"
    assert check.worst


def test_vectors_of_another_contract_or_artifact_are_refused(tmp_path: Path) -> None:
    made = make(tmp_path / "golden")
    other = msgspec.structs.replace(made.contract, version="9")
    with pytest.raises(VerificationFailed, match="another contract"):
        made.check(other)
    swapped = msgspec.structs.replace(made.artifact, sha256="0" * 64)
    with pytest.raises(VerificationFailed, match="another tflite-float32"):
        check_golden(made.folder, made.contract, [(swapped, tmp_path)], opener(classify))


@pytest.mark.parametrize("pattern", ["pictures/rings.png", "pictures/rings.jpg", "pixels.bin",
                                     "input.bin", "output0.bin"])  # fmt: skip
def test_an_altered_byte_is_named(tmp_path: Path, pattern: str) -> None:
    made = make(tmp_path / "golden")
    path = next(p for p in sorted(made.folder.rglob("*")) if p.as_posix().endswith(pattern))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(VerificationFailed) as caught:
        made.check()
    assert path.relative_to(made.folder).as_posix() in caught.value.failed


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    made = make(tmp_path / "golden")
    (made.folder / "pictures/thin.png").unlink()
    with pytest.raises(VerificationFailed, match=r"pictures/thin\.png"):
        made.check()


def test_a_batch_of_four_is_one_picture_four_times(tmp_path: Path) -> None:
    contract = classify_contract()
    artifact = artifact_of(classify_binding(contract, batch=4))
    pairs = [(artifact, tmp_path)]
    index = make_golden(tmp_path / "golden", contract, pairs, opener(classify))
    assert index.cases[0].expected.artifacts[0].outputs[0].shape == (4, 4)
    checks = check_golden(tmp_path / "golden", contract, pairs, opener(classify))
    assert {c.verdict for c in checks} == {"pass"}


def test_named_pictures_ship_without_metadata(tmp_path: Path) -> None:
    path = tmp_path / "grandma at home.jpg"
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera of somebody"
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(samples.picture(2000, 1000)).save(path, exif=exif)
    made = make(tmp_path / "golden", pictures=(path,))
    case = made.index.cases[0]
    assert (case.id, case.width, case.height) == ("user-1-png", 640, 1280)
    assert len(made.index.cases) == 16
    for name, data in all_bytes(made.folder).items():
        assert "grandma" not in name
        assert b"Camera of somebody" not in data
        assert b"grandma" not in data


def test_a_named_picture_that_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"empty\.jpg"):
        make(tmp_path / "golden", pictures=(path,))
    assert list(tmp_path.iterdir()) == [path]


def test_pictures_the_geometry_refuses_are_left_out(tmp_path: Path) -> None:
    base = classify_contract()
    image = msgspec.structs.replace(base.image, geometry=(Crop(size=(SIZE, SIZE)),))
    contract = msgspec.structs.replace(base, inputs=(image,))
    pairs = [(artifact_of(classify_binding(contract)), tmp_path)]
    index = make_golden(tmp_path / "golden", contract, pairs, opener(classify))
    assert [name for name, _ in index.left_out] == ["thin"]
    assert len(index.cases) == 14
    assert not list((tmp_path / "golden/pictures").glob("thin*"))


def test_no_picture_that_fits_is_an_error(tmp_path: Path) -> None:
    base = classify_contract()
    image = msgspec.structs.replace(
        base.image, geometry=(Crop(size=(4000, 4000)), *base.image.geometry)
    )
    contract = msgspec.structs.replace(base, inputs=(image,))
    pairs = [(artifact_of(classify_binding(contract)), tmp_path)]
    with pytest.raises(ConfigError, match="no golden picture"):
        make_golden(tmp_path / "golden", contract, pairs, opener(classify))
    assert list(tmp_path.iterdir()) == []


def test_no_artifact_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="need an artifact"):
        make_golden(tmp_path / "golden", classify_contract(), [], opener(classify))


@pytest.mark.parametrize("shape", [(1, 84, 8400), (640, 640, 3), (1, 1001), (1, 1), (2, 65536)])
def test_a_sample_visits_every_row_and_channel(shape: tuple[int, ...]) -> None:
    count = math.prod(shape)
    step = sample_step(count)
    assert -(-count // step) <= SAMPLE
    seen = np.unravel_index(np.arange(0, count, step), shape)
    for places, side in zip(seen, shape, strict=True):
        assert len(np.unique(places)) == min(side, len(places))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8", "int32", "int64"])
def test_tensors_are_raw_little_endian(tmp_path: Path, dtype: str) -> None:
    tensor = np.arange(24).reshape(2, 3, 4).astype(np.dtype(dtype).newbyteorder(">"))
    golden = write_tensor(tmp_path, "a/b.bin", "x", tensor)
    raw = np.frombuffer((tmp_path / "a/b.bin").read_bytes(), np.dtype(dtype).newbyteorder("<"))
    assert raw.tolist() == list(range(24))
    assert read_tensor(tmp_path, golden).tolist() == list(range(24))


def test_an_index_that_points_outside_or_lies_is_refused(tmp_path: Path) -> None:
    golden = write_tensor(tmp_path, "x.bin", "x", np.zeros(5, np.float32))
    with pytest.raises(InvalidInput, match="outside"):
        read_tensor(tmp_path, msgspec.structs.replace(golden, file="../x.bin"))
    with pytest.raises(InvalidInput, match="does not hold"):
        read_tensor(tmp_path, msgspec.structs.replace(golden, shape=(6,)))
    with pytest.raises(InvalidInput, match="does not hold"):
        read_tensor(tmp_path, msgspec.structs.replace(golden, every=0))
    with pytest.raises(InvalidInput, match="type"):
        write_tensor(tmp_path, "x.bin", "x", np.zeros(5, np.complex64))


def test_an_index_without_an_output_or_a_case_is_refused(tmp_path: Path) -> None:
    made = make(tmp_path / "golden")
    case = made.index.cases[0]
    silent = msgspec.structs.replace(case.expected.artifacts[0], outputs=())
    expected = msgspec.structs.replace(case.expected, artifacts=(silent,))
    gap = msgspec.structs.replace(
        made.index, cases=(msgspec.structs.replace(case, expected=expected),)
    )
    for index, message in (
        (gap, "does not record tflite-float32 completely"),
        (msgspec.structs.replace(made.index, cases=()), "holds no case"),
    ):
        (made.folder / "index.json").write_bytes(msgspec.json.encode(index))
        with pytest.raises(InvalidInput, match=message):
            made.check()


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "phoneproof.golden/2"}'])
def test_a_damaged_or_newer_index_is_refused(tmp_path: Path, text: str) -> None:
    made = make(tmp_path / "golden")
    (made.folder / "index.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"index\.json cannot be read"):
        made.check()


def test_named_pictures_that_are_missing_are_listed(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"gone\.jpg"):
        make(tmp_path / "golden", pictures=(tmp_path / "gone.jpg",))
