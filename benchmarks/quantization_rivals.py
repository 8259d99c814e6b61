"""The other quantizers, each as its own documentation calls it, in a process of its own.

    python -m benchmarks.quantization_rivals JOB.json

reads a `Job` and leaves the file it names and a `Made` beside it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from phoneproof.core.binding import Binding, Format
from phoneproof.core.contract import Contract
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.runtimes.base import Tensor
from phoneproof.runtimes.embedded import read_embedded

TIMEOUT = 1800
MADE = "made.json"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a quantizer is given.

    parent: the float32 file in the format it reads. bound: the float32 file whose contract and
    binding say how an image becomes its input; the parent itself, or one of the same input.
    keras: the source itself where it is a Keras file: TFLiteConverter reads it without us.
    images: calibration images. output: the file to write.
    """

    rival: str
    parent: str
    bound: str
    bound_format: Format
    keras: str = ""
    images: tuple[str, ...]
    output: str


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a process left, or why it left nothing.

    seconds: of the whole process, its imports too. peak_bytes: its largest resident set.
    """

    broke: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0


class Rival(msgspec.Struct, frozen=True, kw_only=True):
    """parent_format: what it reads; format: what it writes."""

    title: str
    parent_format: Format
    format: Format
    suffix: str


RIVALS: dict[str, Rival] = {
    "aeq_stock": Rival(
        title="ai-edge-quantizer, stock",
        parent_format="tflite",
        format="tflite",
        suffix=".tflite",
    ),
    "tflite_converter": Rival(
        title="TFLiteConverter int8",
        parent_format="saved_model",
        format="tflite",
        suffix=".tflite",
    ),
    "ort_static": Rival(
        title="onnxruntime quantize_static",
        parent_format="onnx",
        format="onnx",
        suffix=".onnx",
    ),
    "ort_per_channel": Rival(
        title="onnxruntime, per channel",
        parent_format="onnx",
        format="onnx",
        suffix=".onnx",
    ),
}


def run_rival(job: Job) -> Made:
    """Run a job in a process of its own, or take what an earlier run left."""
    output = Path(job.output)
    record = output.parent / MADE
    if not record.exists():
        output.parent.mkdir(parents=True, exist_ok=True)
        description = output.parent / "job.json"
        description.write_bytes(pretty_bytes(job))
        record.write_bytes(pretty_bytes(_in_process(description, output)))
    return parse(record.read_bytes(), Made, what="record of a quantizer")


def _in_process(description: Path, output: Path) -> Made:
    started = time.monotonic()
    log = output.parent / "log.txt"
    try:
        with log.open("wb") as stream:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.quantization_rivals", str(description)],
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
                check=False,
            )
    except subprocess.TimeoutExpired:
        return Made(broke=f"not done after {TIMEOUT} s", seconds=TIMEOUT)
    seconds = time.monotonic() - started
    if done.returncode or not output.exists():
        return Made(broke=f"exit {done.returncode}: {_said(log)}"[:300], seconds=seconds)
    peak = int((output.parent / "peak.txt").read_text())
    return Made(seconds=seconds, peak_bytes=peak)


def _said(log: Path) -> str:
    """The line that says most: MLIR's first error, else the last one."""
    lines = log.read_text(errors="replace").strip().splitlines()
    errors = [line.rpartition("error: ")[2] for line in lines if "): error: " in line]
    return (errors or lines[-1:] or ["nothing was said"])[0]


def feeds(job: Job, contract: Contract, binding: Binding) -> Iterator[Tensor]:
    """The input tensors of the calibration images, one at a time."""
    preprocessor = Preprocessor(contract.image, binding.image)
    for path in job.images:
        yield preprocessor.prepare(read_image(Path(path), contract.image)).tensor


def _aeq_stock(job: Job, contract: Contract, binding: Binding) -> None:
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    (key,) = Interpreter(model_path=job.parent).get_signature_list()
    quantizer_ = quantizer.Quantizer(job.parent)
    quantizer_.load_quantization_recipe(recipe.static_wi8_ai8())
    name = binding.image.tensor
    samples = [{name: one} for one in feeds(job, contract, binding)]
    statistics = quantizer_.calibrate({key: samples}, num_threads=2)
    quantizer_.quantize(statistics).export_model(job.output, overwrite=True)


def _tflite_converter(job: Job, contract: Contract, binding: Binding) -> None:
    from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow

    tensorflow, keras = import_tensorflow()
    if job.keras:
        model = keras.models.load_model(job.keras, compile=False)
        converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    else:
        converter = tensorflow.lite.TFLiteConverter.from_saved_model(job.parent)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tensorflow.int8
    converter.inference_output_type = tensorflow.int8

    def representative() -> Iterator[list[Tensor]]:
        for one in feeds(job, contract, binding):
            yield [one]

    converter.representative_dataset = representative
    Path(job.output).write_bytes(converter.convert())


def _ort_static(job: Job, contract: Contract, binding: Binding) -> None:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds = feeds(job, contract, binding)

        def get_next(self) -> dict[str, Any] | None:
            one = next(self._feeds, None)
            return None if one is None else {binding.image.tensor: one}

    prepared = Path(job.output).with_name("prepared.onnx")
    quant_pre_process(job.parent, str(prepared))
    per_channel = job.rival == "ort_per_channel"
    quantize_static(str(prepared), job.output, Reader(), per_channel=per_channel)


_MAKERS: dict[str, Callable[[Job, Contract, Binding], None]] = {
    "aeq_stock": _aeq_stock,
    "tflite_converter": _tflite_converter,
    "ort_static": _ort_static,
    "ort_per_channel": _ort_static,
}


def saved_model(hub: Path, onnx: Path, output: Path) -> Path:
    """Our own SavedModel of a captured program: what TFLiteConverter starts from.

    onnx: the ONNX file of the same program, whose contract and output roles are the same.
    """
    if not output.exists():
        words = [sys.executable, "-m", "benchmarks.quantization_rivals", "--saved-model"]
        paths = [str(path) for path in (hub, onnx, output)]
        subprocess.run([*words, *paths], check=False, capture_output=True)
    return output


def _write_saved_model(hub: Path, onnx: Path, output: Path) -> None:
    from phoneproof.convert.base import CONVERTERS, ConvertRequest
    from phoneproof.runtimes.backends.hub import load_hub

    inside = read_embedded(onnx, "onnx")
    spec = load_hub(hub)[1].inputs[0]
    channels_last = spec.shape[-1] in (1, 3) and spec.shape[1] not in (1, 3)
    image = msgspec.structs.replace(
        inside.binding.image,
        tensor=spec.name,
        shape=spec.shape,
        layout="NHWC" if channels_last else "NCHW",
    )
    request = ConvertRequest(
        source=hub,
        contract=inside.contract,
        binding=msgspec.structs.replace(inside.binding, format="hub", inputs=(image,)),
        layout="NHWC",
        output=output,
    )
    CONVERTERS.load("hub-saved_model").convert(request)


def main() -> int:
    """Do one job."""
    if sys.argv[1] == "--saved-model":
        _write_saved_model(*map(Path, sys.argv[2:]))
        return 0
    job = parse(Path(sys.argv[1]).read_bytes(), Job, what="job")
    inside = read_embedded(Path(job.bound), job.bound_format)
    _MAKERS[job.rival](job, inside.contract, inside.binding)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (Path(job.output).parent / "peak.txt").write_text(str(peak))
    return 0


if __name__ == "__main__":
    sys.exit(main())
