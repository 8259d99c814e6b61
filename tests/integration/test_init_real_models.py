"""init on the real models: what is inferred, and that the file gives it back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from phoneproof.capture.base import SOURCES
from phoneproof.capture.infer import hub_binding, infer_contract
from phoneproof.core.contract import Task
from phoneproof.data.load import load_images
from phoneproof.pipeline.config import load_config
from phoneproof.pipeline.contract_config import build_contract
from phoneproof.pipeline.data_facts import data_facts, find_labels
from phoneproof.pipeline.init_config import write_config
from tests.assets import asset


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model, the images it is measured on, and what has to be inferred."""

    source: str
    model: str
    images: str
    task: Task
    preset: str
    size: tuple[int, int]
    labels: int
    labelled: bool = True


CASES = [
    Case(
        source="ultralytics",
        model="models/detect/yolov8n_coco_rebuilt.pt",
        images="images/coco128_train",
        task="detect",
        preset="ultralytics.detect",
        size=(640, 640),
        labels=80,
    ),
    Case(
        source="ultralytics",
        model="models/classify/yolov8n-cls_weather_best.pt",
        images="images/weather_val",
        task="classify",
        preset="ultralytics.classify",
        size=(64, 64),
        labels=4,
    ),
    Case(
        source="onnx",
        model="models/detect/yolov8n_coco_rebuilt.onnx",
        images="images/coco128_train",
        task="detect",
        preset="ultralytics.detect",
        size=(640, 640),
        labels=80,
    ),
    Case(
        source="onnx",
        model="models/detect/yolox_nano.onnx",
        images="images/coco128_train",
        task="detect",
        preset="yolox",
        size=(416, 416),
        labels=80,
    ),
    Case(
        source="onnx",
        model="models/detect/version-RFB-320.onnx",
        images="images/single",
        task="detect",
        preset="",
        size=(240, 320),
        labels=1,
        labelled=False,
    ),
    Case(
        source="onnx",
        model="models/classify/mobilenet_v2_1.0_224_float.onnx",
        images="images/imagenet_sample350",
        task="classify",
        preset="slim.inception",
        size=(224, 224),
        labels=1000,
    ),
    Case(
        source="keras_h5",
        model="models/classify/mobilenet_v1_0.25_224.h5",
        images="images/imagenet_sample350",
        task="classify",
        preset="keras.tf",
        size=(224, 224),
        labels=1000,
    ),
    Case(
        source="keras_h5",
        model="models/classify/cifar10_resnet8.h5",
        images="images/cifar10_test500",
        task="classify",
        preset="",
        size=(32, 32),
        labels=10,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: Path(case.model).name)
def test_init_finds_the_contract_and_the_file_gives_it_back(case: Case, tmp_path: Path) -> None:
    model, images = asset(case.model), asset(case.images)
    inspection = SOURCES.load(case.source).inspect(model)
    found = find_labels(images, None, inspection.task)
    inference = infer_contract(inspection, name="model", labels_found=found.class_names)
    contract = inference.contract

    assert (contract.task, inference.preset) == (case.task, case.preset)
    assert contract.image.size == case.size
    assert sum(label is not None for label in contract.labels) == case.labels

    loaded = load_images(
        images,
        contract_labels=contract.labels,
        task=contract.task,
        class_index=contract.class_index,
    )
    assert loaded.labelled is case.labelled
    path = tmp_path / "phoneproof.toml"
    write_config(
        path,
        source=model,
        images=images,
        inspection=inspection,
        inference=inference,
        data=data_facts(found, loaded),
    )
    assert build_contract(load_config(path), inspection) == contract

    binding = hub_binding(inspection, contract, size=case.size, batch=1)
    roles = {output.role for output in binding.outputs}
    assert {"detect": {"boxes", "scores"}, "classify": {"scores"}}[case.task] <= roles
