"""Stock calibration and ours, on the same float file and images: one gate tells them apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from phoneproof.core.artifact import file_sha256
from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.check import Check
from phoneproof.core.contract import Contract, ImageInput, Resize
from phoneproof.core.dataset import ImageSet
from phoneproof.core.recipe import Static
from phoneproof.data.load import load_images
from phoneproof.formats.tflite_write import TfliteEdit, edit_tflite
from phoneproof.optimize.base import OPTIMIZERS, OptimizeRequest
from phoneproof.optimize.calibrate import Feed, calibrate
from phoneproof.optimize.consumers import file_consumers
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.runtimes.backends.litert import LiteRtRuntime
from phoneproof.runtimes.predict import Prediction, Predictor
from phoneproof.verify.limits import limits_for
from phoneproof.verify.measure import measure
from phoneproof.verify.verdicts import accepted
from tests.assets import asset
from tests.integration.int8_project import CIFAR

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # while the library is imported
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

CALIBRATION = 100
LIMITS = limits_for("static_wi8_ai8")
CONTRACT = Contract(
    name="resnet8",
    task="classify",
    inputs=(
        ImageInput(
            geometry=(Resize(to="stretch", size=(32, 32), filter="pillow.bilinear"),),
            size=(32, 32),
            scale=1.0,
            mean=(0.0,) * 3,
            std=(1.0,) * 3,
        ),
    ),
    labels=CIFAR,
)
BINDING = Binding(
    contract=CONTRACT.sha256,
    format="tflite",
    inputs=(InputBinding(tensor="image", shape=(1, 32, 32, 3), layout="NHWC"),),
    outputs=(OutputBinding(tensor="scores", role="scores", shape=(1, 10), axes=("class",)),),
)


@pytest.fixture(scope="module")
def images() -> ImageSet:
    folder = asset("images/cifar10_test500")
    return load_images(
        folder, contract_labels=CIFAR, task="classify", class_index=CONTRACT.class_index
    )


@pytest.fixture(scope="module")
def float_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The asset with names and a signature, as our own files have them."""
    data = asset("models/classify/cifar10_resnet8_float.tflite").read_bytes()
    edit = TfliteEdit(inputs=("image",), outputs=("scores",), metadata={}, plain_names=True)
    path = tmp_path_factory.mktemp("int8") / "float.tflite"
    path.write_bytes(edit_tflite(data, edit, path.name))
    return path


def feeds(images: ImageSet) -> Iterator[Feed]:
    preprocessor = Preprocessor(CONTRACT.image, BINDING.image)
    for item in images.items[:CALIBRATION]:
        tensor = preprocessor.prepare(read_image(item.path, CONTRACT.image)).tensor
        yield Feed(image=item.name, tensors={"image": tensor})


def stock(float_file: Path, images: ImageSet) -> tuple[Path, Binding]:
    """ai-edge-quantizer as its documentation shows it, with its own calibrator."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    library = quantizer.Quantizer(str(float_file))
    library.load_quantization_recipe(recipe.static_wi8_ai8())
    (signature,) = Interpreter(model_path=str(float_file)).get_signature_list()
    seen = library.calibrate({signature: [dict(feed.tensors) for feed in feeds(images)]})
    path = float_file.with_name("stock.tflite")
    library.quantize(seen).export_model(str(path), overwrite=True)
    return path, read_types(path)


def ours(float_file: Path, images: ImageSet) -> tuple[Path, Binding]:
    session = LiteRtRuntime().open_for_trace(float_file)
    seen = calibrate(session, feeds(images), total=CALIBRATION)
    consumers = file_consumers(float_file, "tflite", BINDING)
    ranges = float_file.with_name("ranges.json")
    ranges.write_bytes(msgspec.json.encode(seen.ranges(file_sha256(float_file), consumers)))
    path = float_file.with_name("ours.tflite")
    made = OPTIMIZERS.load("tflite-quantized").propose(
        OptimizeRequest(
            artifact=float_file,
            contract=CONTRACT,
            binding=BINDING,
            recipe=Static(ranges="min_max"),
            output=path,
            ranges=ranges,
        )
    )
    assert made.binding.precision == "static_wi8_ai8"
    return path, made.binding


def read_types(path: Path) -> Binding:
    """The float file's binding with the types that the quantized file has."""
    session = LiteRtRuntime().open(path)
    (image,), (scores,) = session.inputs, session.outputs
    return replace(
        BINDING,
        inputs=(replace(BINDING.image, dtype=image.dtype, quant=image.quant),),
        outputs=(replace(BINDING.outputs[0], dtype=scores.dtype, quant=scores.quant),),
    )


def predicted(path: Path, binding: Binding, images: ImageSet) -> list[Prediction]:
    session = LiteRtRuntime().open(path, threads=1)
    return list(Predictor(session, CONTRACT, binding).predict_items(images.items))


def judged(
    float_file: Path, candidate: tuple[Path, Binding], images: ImageSet
) -> tuple[Check, ...]:
    """The checks of a build, on the images that calibrated nothing."""
    rest = replace(images, items=images.items[CALIBRATION:])
    return measure(
        baseline=predicted(float_file, BINDING, rest),
        candidate=predicted(*candidate, rest),
        images=rest,
        contract=CONTRACT,
        precision="static_wi8_ai8",
        limits=LIMITS,
        runtime="litert",
        device="cpu",
        outputs_kept=False,
    ).checks


def test_a_file_that_stock_calibration_spoilt_is_refused_by_the_gate_that_ours_passes(
    float_file: Path, images: ImageSet
) -> None:
    from_stock = judged(float_file, stock(float_file, images), images)
    from_ours = judged(float_file, ours(float_file, images), images)
    assert not accepted(from_stock, LIMITS)
    assert accepted(from_ours, LIMITS)
    shift = {check.name: check for check in from_stock}["score_shift"]
    assert shift.verdict == "fail"
    assert shift.value is not None
    assert shift.value < 0  # clipped peaks: every score falls, while top-1 hardly moves
    drop = {check.name: check for check in from_stock}["top1_drop"]
    assert drop.verdict != "fail"
