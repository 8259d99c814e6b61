"""torch.export and TorchScript files: what is read, and what is refused before torch loads it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from phoneproof.capture.backends.torch_files import exported_json
from phoneproof.capture.backends.torch_files.exported_source import TorchExportSource
from phoneproof.capture.backends.torch_files.script_archive import safe_script
from phoneproof.capture.backends.torch_files.script_source import TorchScriptSource
from phoneproof.capture.base import Source
from phoneproof.capture.sources import find_source
from phoneproof.core.errors import InvalidInput, PhoneproofError, Unsupported
from phoneproof.core.tolerances import HUB_RELATIVE
from tests.assets import asset
from tests.integration.torch_programs import (
    ChannelsLast,
    Net,
    exported,
    repacked,
    scripted,
    seeded,
    with_model_json,
)

IMAGE = torch.zeros(1, 3, 48, 48)
N = torch.export.Dim("n", max=64)
H, W = (torch.export.Dim(name, min=8, max=800) for name in "hw")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
]


def agreement(
    reader: Source, path: Path, net: nn.Module, shape: tuple[int, ...], size: tuple[int, int]
) -> list[float]:
    """Largest difference of the session, then of each importer's program, from the module."""
    image = np.random.default_rng(0).random(shape, np.float32)
    with torch.inference_mode():
        expected = net(torch.from_numpy(image)).numpy()
    session = reader.open(path, size=size, batch=shape[0])
    found = [np.abs(session.run({"image": image})["output"] - expected).max()]
    for _, export in reader.importers(path, size=size, batch=shape[0]):
        program = export()
        assert all(isinstance(s, int) for n in program.graph.nodes for s in _shape(n))
        with torch.inference_mode():
            result = program.module()(torch.from_numpy(image))
        found.append(np.abs(result.numpy() - expected).max())
    return [float(value / np.abs(expected).max()) for value in found]


def _shape(node: torch.fx.Node) -> tuple[object, ...]:
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, torch.Tensor) else ()


def test_a_program_of_one_size(tmp_path: Path) -> None:
    net = seeded()
    path = exported(tmp_path / "net.pt2", net, IMAGE)
    name, reader = find_source(path)
    inspection = reader.inspect(path)
    assert (name, inspection.layout, inspection.size) == ("torch_export", "NCHW", (48, 48))
    assert (inspection.task, inspection.outputs[0].shape) == ("classify", (1, 4))
    assert max(agreement(reader, path, net, (1, 3, 48, 48), (48, 48))) <= HUB_RELATIVE
    with pytest.raises(Unsupported, match="another input shape"):
        reader.open(path, size=(32, 32), batch=1)


@pytest.mark.parametrize("size", [(32, 32), (40, 72)])
def test_a_program_of_open_sizes_is_made_static(size: tuple[int, int], tmp_path: Path) -> None:
    net = seeded()
    image = torch.zeros(2, 3, 48, 56)
    path = exported(tmp_path / "net.pt2", net, image, {0: N, 2: H, 3: W})
    reader = TorchExportSource()
    inspection = reader.inspect(path)
    assert inspection.size is None
    assert inspection.inputs[0].shape == (-1, 3, -1, -1)
    assert max(agreement(reader, path, net, (2, 3, *size), size)) <= HUB_RELATIVE


def test_channels_last(tmp_path: Path) -> None:
    net = seeded(ChannelsLast)
    path = exported(tmp_path / "net.pt2", net, torch.zeros(1, 48, 56, 3))
    reader = TorchExportSource()
    inspection = reader.inspect(path)
    assert (inspection.layout, inspection.size, inspection.channels) == ("NHWC", (48, 56), 3)
    assert max(agreement(reader, path, net, (1, 48, 56, 3), (48, 56))) <= HUB_RELATIVE


def test_a_decomposed_program_of_another_name(tmp_path: Path) -> None:
    net = seeded()
    program = torch.export.export(net, (IMAGE,)).run_decompositions()
    stream = io.BytesIO()
    torch.export.save(program, stream)
    path = tmp_path / "net.pt"
    path.write_bytes(stream.getvalue())
    name, reader = find_source(path)
    assert name == "torch_export"
    assert max(agreement(reader, path, net, (1, 3, 48, 48), (48, 48))) <= HUB_RELATIVE


class Integers(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float())


class Two(Net):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x + y)


def test_programs_that_are_no_function_of_one_float_image(tmp_path: Path) -> None:
    trained = seeded().train()
    path = exported(tmp_path / "a.pt2", trained, torch.zeros(2, 3, 48, 48))
    assert "training mode" in str(refused(path, Unsupported))
    path = exported(tmp_path / "b.pt2", seeded(Integers), IMAGE.to(torch.uint8))
    assert "torch.uint8" in str(refused(path, Unsupported))
    path = exported(tmp_path / "c.pt2", seeded(), torch.zeros(1, 3, 48, 48))
    program = torch.export.export(seeded(Two), (IMAGE, IMAGE))
    torch.export.save(program, path)
    assert "2 inputs" in str(refused(path, Unsupported))


def refused(path: Path, kind: type[PhoneproofError] = InvalidInput) -> PhoneproofError:
    with pytest.raises(kind) as error:
        find_source(path)[1].inspect(path)
    return error.value


CODE = "__import__('os').mkdir(MARKER)"
"""What a hostile text would run; MARKER stands for the canary's path."""

PLACES: dict[str, Callable[[str, str], str]] = {
    "expression": lambda text, code: text.replace("Symbol('s", f"{code}+Symbol('s", 1),
    "guard": lambda text, code: text.replace('"guards_code": []', f'"guards_code": ["{code}"]'),
    "target": lambda text, code: text.replace("torch.ops.aten.relu.default", "torch.load", 1),
    "file": lambda text, code: text.replace("aten.relu.default", "aten.from_file.default", 1),
    "name": lambda text, code: text.replace('"name": "x"', f'"name": "x=[{code}]"'),
    "tree": lambda text, code: text.replace("builtins.tuple", "posix.system", 1),
}


@pytest.mark.parametrize("place", PLACES)
def test_text_that_torch_would_evaluate_is_refused(place: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = CODE.replace("MARKER", repr(str(marker)))
    dynamic = {0: N, 2: H, 3: W} if place == "expression" else None
    path = exported(tmp_path / "net.pt2", seeded(), torch.zeros(2, 3, 48, 56), dynamic)
    with_model_json(path, lambda text: PLACES[place](text, code))
    if place == "guard":  # guards are left out: the program is read, and they never run
        TorchExportSource().inspect(path)
    else:
        refused(path, PhoneproofError)
    assert not marker.exists()
    if place == "expression":  # the control: torch itself runs it
        with contextlib.suppress(TypeError):
            torch.export.load(path)
        assert marker.exists()


def calling(marker: Path) -> Callable[[str], str]:
    """Two calls before the first: keep a namespace's attribute `upper`, make it os.system."""

    def changed(text: str) -> str:
        program = json.loads(text)
        nodes = program["graph_module"]["graph"]["nodes"]

        def call(target: str, *values: dict[str, str]) -> dict[str, object]:
            inputs = [{"name": "", "arg": value, "kind": 1} for value in values]
            changes: dict[str, object] = {
                "target": target,
                "outputs": [],
                "metadata": {},
                "name": None,
            }
            return {**nodes[0], **changes, "inputs": inputs}

        nodes[0:0] = [
            call("torch.ops.aten.upper", {"as_string": f"mkdir {marker}"}),
            call(
                "torch.ops.aten.__setattr__",
                {"as_string": "upper"},
                {"as_operator": "torch.os.system"},
            ),
        ]
        return json.dumps(program)

    return changed


def test_attributes_of_torch_are_no_operators(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    before = torch.ops.aten.upper
    path = exported(tmp_path / "net.pt2", seeded(), IMAGE)
    with_model_json(path, calling(marker))
    assert "torch.ops.aten.upper" in refused(path).found
    assert torch.ops.aten.upper is before
    assert not marker.exists()


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("aten.relu.default", "aten.relu", "aten.relu"),
        ("aten.relu.default", "aten.__setattr__.default", "__setattr__"),
        ("aten.relu.default", "aten.relu.__call__", "__call__"),
        ('"name": "x"', '"name": "__class__"', "__class__"),
        ('"as_tensor": {"name": "x"}', '"as_operator": "torch.os.system"', "as a value"),
    ],
)
def test_names_that_reach_behind_operators(old: str, new: str, word: str, tmp_path: Path) -> None:
    path = exported(tmp_path / "net.pt2", seeded(), IMAGE)
    with_model_json(path, lambda text: text.replace(old, new, 1))
    assert word in refused(path, PhoneproofError).found


@pytest.mark.parametrize(
    "target",
    ["torch._functorch.predispatch.lazy_load_decompositions", "torch._C._set_grad_enabled"],
)
def test_what_torch_makes_of_a_name_must_be_an_operator(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = exported(tmp_path / "net.pt2", seeded(), IMAGE)
    monkeypatch.setattr(exported_json, "_check_target", lambda text, name: None)
    TorchExportSource().inspect(path)
    with_model_json(path, lambda text: text.replace("torch.ops.aten.relu.default", target, 1))
    assert torch.export.load(path)  # the control: torch takes it
    assert "no operator" in refused(path).failed


class Masked(Net):
    def forward(self, x: Tensor) -> Tensor:
        inside = (x > 0).__and__(x < 1)
        return super().forward(x * inside)


def test_operators_between_underscores_and_sizes_are_read(tmp_path: Path) -> None:
    path = exported(tmp_path / "net.pt2", seeded(Masked), torch.zeros(2, 3, 48, 56), {2: H, 3: W})
    with zipfile.ZipFile(path) as archive:
        (name,) = [entry for entry in archive.namelist() if entry.endswith("model.json")]
        assert b"aten.__and__.Tensor" in archive.read(name)
    reader = TorchExportSource()
    assert max(agreement(reader, path, seeded(Masked), (2, 3, 40, 72), (40, 72))) <= HUB_RELATIVE


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


def saved(value: object) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def test_hostile_example_inputs_run_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = exported(tmp_path / "net.pt2", seeded(), IMAGE)
    inputs = saved(Hostile(marker))
    repacked(path, lambda n, d: inputs if n == "data/sample_inputs/model.pt" else d)
    assert "hostile" in refused(path).failed
    assert not marker.exists()


@pytest.mark.parametrize("table", ["weights", "constants"])
def test_pickled_tensors_and_libraries_are_refused(table: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = exported(tmp_path / "net.pt2", seeded(), IMAGE)
    inner = f"data/{table}/model_{table}_config.json"
    entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True}
    config = json.dumps({"config": {"w": {**entry, "tensor_meta": None}}}).encode()
    blob = {f"data/{table}/opaque_obj_0": pickle.dumps(Hostile(marker))}
    repacked(path, lambda n, d: config if n == inner else d, blob)
    assert "pickle" in refused(path, Unsupported).found
    assert not marker.exists()
    path = exported(tmp_path / "lib.pt2", seeded(), IMAGE)
    repacked(path, lambda n, d: d, {"data/aotinductor/model/a.so": b"\x7fELF"})
    assert "compiled library" in refused(path, Unsupported).failed


def test_a_custom_operator_is_named(tmp_path: Path) -> None:
    path = exported(tmp_path / "net.pt2", seeded(), IMAGE)
    with_model_json(path, lambda t: t.replace("aten.relu.default", "mylib.relu.default", 1))
    assert "torch.ops.mylib.relu.default" in refused(path, Unsupported).found


@pytest.mark.parametrize(
    ("traced", "suffix"), [(True, ".pt"), (False, ".pth"), (False, ".torchscript")]
)
def test_torchscript(traced: bool, suffix: str, tmp_path: Path) -> None:
    net = seeded()
    path = scripted(tmp_path / f"net{suffix}", net, IMAGE if traced else None)
    name, reader = find_source(path)
    inspection = reader.inspect(path)
    assert (name, inspection.task, inspection.size) == ("torchscript", "classify", None)
    assert inspection.outputs[0].shape == (1, 4)
    assert max(agreement(reader, path, net, (2, 3, 40, 56), (40, 56))) <= HUB_RELATIVE


class OneChannel(Net):
    def __init__(self) -> None:
        super().__init__(channels=1)
        self.fc = nn.Linear(8 * 26 * 26, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(torch.flatten(torch.relu(self.bn(self.conv(x))), 1))
        return torch.softmax(logits, 1)


def test_torchscript_of_one_gray_size(tmp_path: Path) -> None:
    net = seeded(OneChannel)
    path = scripted(tmp_path / "mnist.pt", net)
    inspection = TorchScriptSource().inspect(path)
    assert (inspection.size, inspection.channels) == ((28, 28), 1)
    assert inspection.head is not None
    assert inspection.head.outputs[0].activation == "none"
    assert max(agreement(TorchScriptSource(), path, net, (1, 1, 28, 28), (28, 28))) <= HUB_RELATIVE


class ReadsFile(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_file("/etc/hostname", size=1, dtype=torch.uint8).sum()


def test_code_that_reads_a_file_is_refused_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scripted(tmp_path / "net.pt", ReadsFile())
    monkeypatch.setattr(torch.jit, "load", lambda *a, **k: pytest.fail("it was loaded"))
    assert "from_file" in refused(path).found


def with_code(path: Path, change: Callable[[str], str]) -> Path:
    """The archive with its classes' text changed."""
    changes = 0

    def changed(name: str, data: bytes) -> bytes:
        nonlocal changes
        if not (name.startswith("code/") and name.endswith(".py")):
            return data
        changes += 1
        return change(data.decode()).encode()

    repacked(path, changed)
    assert changes
    return path


SETSTATE = """
  def __setstate__(self: __torch__.Empty, state: Tensor) -> NoneType:
    _0 = torch . \\
      save(state, "MARKER")
    return None
"""


class Empty(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (SETSTATE, "save"),
        ("\n# ops.rpc.f(x)\n", "rpc"),
        ("\n  y : __torch__.torch.classes.my.Reader\n", "torch.classes"),
        ("\n  def f(self: __torch__.Empty) -> int:\n    return ops.mylib.run(1)\n", "mylib"),
        ("\n  def f(self: __torch__.Empty) -> int:\n    return ops.prim.rpc_sync(1)\n", "rpc_sync"),
    ],
)
def test_code_that_reaches_outside_is_refused(line: str, word: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = scripted(tmp_path / "net.pt", Empty())
    with_code(path, lambda text: text + line.replace("MARKER", str(marker)))
    assert word in str(refused(path, PhoneproofError))
    assert not marker.exists()


class Writes(nn.Module):
    def __init__(self, marker: str) -> None:
        super().__init__()
        self.marker = marker

    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, self.marker)
        return x.mean((2, 3))


@pytest.mark.parametrize("ending", [".PY", ".Py", ".py "])
def test_code_under_a_name_that_only_torch_finds_is_never_run(ending: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = scripted(tmp_path / "net.pt", Writes(str(marker)))
    with zipfile.ZipFile(path) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries:
            archive.writestr(f"{name[:-3]}{ending}" if name.endswith(".py") else name, data)
    assert "never writes" in refused(path).found
    assert not marker.exists()
    if ending != ".py ":  # the control: torch itself finds the code and runs it
        torch.jit.load(path)(torch.zeros(1, 3, 8, 8))  # type: ignore[no-untyped-call]
        assert marker.exists()


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize(
    ("extra", "word"),
    [
        ("net/CODE/__torch__.py", "alike"),
        ("net/code/__torch__.py", "same name"),
        ("net/model.json", "never writes"),
        ("net/code/../version", "never writes"),
        ("other/code/b.py", "more than one folder"),
    ],
)
def test_entries_that_torch_does_not_write(extra: str, word: str, tmp_path: Path) -> None:
    path = scripted(tmp_path / "net.pt", Empty())
    TorchScriptSource().inspect(scripted(tmp_path / "fine.pt", seeded()))
    with zipfile.ZipFile(path) as archive:
        assert "net/code/__torch__/tests/integration/test_torch_programs.py" in archive.namelist()
    with zipfile.ZipFile(path, "a") as archive:
        twin = "__torch__/tests/integration/test_torch_programs"
        archive.writestr(extra.replace("__torch__", twin), b"# nothing")
    assert word in refused(path).found


@pytest.mark.filterwarnings("ignore:Lite Interpreter is deprecated:DeprecationWarning")
def test_what_torch_writes_beside_the_program_is_left_out(tmp_path: Path) -> None:
    net = seeded()
    traced = torch.jit.trace(net, IMAGE)  # type: ignore[no-untyped-call]
    torch.jit.save(traced, tmp_path / "net.pt", _extra_files={"config.txt": b"a"})
    data = torch.jit.script(net)._save_to_buffer_for_lite_interpreter()  # type: ignore[no-untyped-call]
    (tmp_path / "lite.pt").write_bytes(data)
    for name in ("net.pt", "lite.pt"):
        path = tmp_path / name
        assert find_source(path)[0] == "torchscript"
        assert max(agreement(TorchScriptSource(), path, net, (1, 3, 40, 56), (40, 56))) < 1e-5
        with zipfile.ZipFile(io.BytesIO(safe_script(path))) as archive:
            inner = {entry.partition("/")[2].partition("/")[0] for entry in archive.namelist()}
        assert inner <= {"code", "data", "data.pkl", "constants.pkl", "version", "byteorder"}


@pytest.mark.parametrize("entry", ["data.pkl", "constants.pkl", ".debug_pkl"])
def test_a_hostile_pickle_in_torchscript_runs_nothing(entry: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = scripted(tmp_path / "net.pt", Empty())
    hostile = pickle.dumps(Hostile(marker), 2)
    repacked(path, lambda n, d: hostile if n.endswith(entry) else d)
    assert "mkdir" in str(refused(path))
    assert not marker.exists()


def test_a_quantised_program_is_named_so(tmp_path: Path) -> None:
    path = scripted(tmp_path / "net.pt", Empty())
    line = "\n  def f(self: __torch__.Empty, x: Tensor) -> Tensor:\n"
    line += "    return ops.quantized.add(x, x)\n"
    with_code(path, lambda text: text + line)
    assert "quantised" in refused(path, Unsupported).failed


def test_bombs_and_truncated_programs(tmp_path: Path) -> None:
    path = scripted(tmp_path / "net.torchscript", seeded())
    whole = path.read_bytes()
    for length in (0, 10, 100, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:length])
        refused(path)
    for name, length in (("code/a.py", 1 << 27), ("data/9", 1 << 24)):
        path.write_bytes(whole)
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"net/{name}", bytes(length))
        refused(path)
    path = exported(tmp_path / "net.pt2", seeded(), IMAGE)
    whole = path.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:length])
        refused(path)
    path.write_bytes(asset("bad_inputs/yolo11n_git-lfs-pointer.pt").read_bytes())
    assert "Git-LFS" in str(refused(path))
