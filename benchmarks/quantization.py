"""Every float model of the assets at int8: phoneproof beside the quantizers that others use.

    python -m benchmarks.quantization WORK                   all models, all quantizers
    python -m benchmarks.quantization WORK yolox mnist       models whose name contains a word
    python -m benchmarks.quantization WORK --only ours yolox one quantizer alone

WORK keeps the float32 files and what every quantizer wrote: delete a folder there to make it
again. Calibrated on one half of the images and evaluated on the other, both ways round, pooled.
Writes ``benchmarks/results/quantization.json`` (machine, versions, every figure with its interval)
and the tables in ``docs/reference/quantization.md``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from benchmarks.acceptance import ASSETS, commit_shown
from benchmarks.quantization_cases import CASES, QuantizationCase
from benchmarks.quantization_figures import (
    Candidate,
    Measured,
    figures,
    pooled,
    predictions,
    rebound,
)
from benchmarks.quantization_floats import Floats, Half, float_files
from benchmarks.quantization_ours import ID as OURS
from benchmarks.quantization_ours import STRICT, Refusal, ours
from benchmarks.quantization_rivals import RIVALS, Job, run_rival, saved_model
from benchmarks.quantization_table import Row, keep
from phoneproof.core.artifact import tree_bytes
from phoneproof.core.errors import PhoneproofError
from phoneproof.formats.read_back import macs_above_int8, read_back
from phoneproof.runtimes.base import RUNTIMES
from phoneproof.runtimes.predict import Prediction

Maker = Callable[[Floats, Half], Candidate | Refusal]


def main() -> int:
    """Run what was named, print each row, keep the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.quantization")
    parser.add_argument("work", type=Path)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--only", choices=(OURS, STRICT, *RIVALS), action="append")
    asked = parser.parse_args()
    for case in CASES:
        if not asked.words or any(word in case.name for word in asked.words):
            print(f"{case.name} ...", file=sys.stderr, flush=True)
            run(case, asked.work, tuple(asked.only or (OURS, STRICT, *RIVALS)))
    return 0


def run(case: QuantizationCase, work: Path, wanted: tuple[str, ...]) -> None:
    """All quantizers of one case; each row is kept as soon as it is there."""
    floats = float_files(case, work)
    baseline = predictions(_float_candidate(floats), floats.images.items)
    for who in wanted:
        row = replace(measured_row(floats, baseline, who), commit=commit_shown())
        print(row, flush=True)
        keep([row])


def measured_row(floats: Floats, baseline: list[Prediction], who: str) -> Row:
    """Both halves by one quantizer, pooled; a crash is a row that says so."""
    made = [_make(floats, half, who) for half in floats.halves]
    empty = Row(
        case=floats.case.name,
        who=who,
        task=floats.contract.task,
        n=len(floats.images.items),
        labelled=floats.images.labelled,
        size_only=floats.case.size_only,
    )
    good = [one for one in made if isinstance(one, Candidate)]
    if len(good) != len(made):
        refusals = [one for one in made if isinstance(one, Refusal)]
        why = "; ".join(dict.fromkeys(one.why for one in refusals))
        return replace(empty, broke=why, seconds=max(one.seconds for one in made))
    try:
        found = _figures(floats, baseline, good)
    except PhoneproofError as error:
        return replace(empty, broke=f"its file does not run: {error}")
    return _filled(empty, floats, good, found)


def _filled(empty: Row, floats: Floats, made: list[Candidate], found: Measured) -> Row:
    above = [one.macs_above_int8 for one in made]
    parent = floats.artifacts[made[0].format].bytes
    bytes_ = max(tree_bytes(one.path) for one in made)
    return replace(
        empty,
        figures=() if floats.case.size_only else found.figures,
        gate=found.gate and not floats.case.size_only,
        refused_by=() if floats.case.size_only else found.refused_by,
        bytes=bytes_,
        bytes_ratio=bytes_ / parent,
        macs_above_int8=max((one for one in above if one is not None), default=None),
        seconds=max(one.seconds for one in made),
        peak_bytes=max(one.peak_bytes for one in made),
        shipped=all(one.shipped for one in made),
        note="; ".join(
            f"half {half.name}: {one.note}"
            for half, one in zip(floats.halves, made, strict=True)
            if one.note
        ),
    )


def _figures(floats: Floats, baseline: list[Prediction], made: list[Candidate]) -> Measured:
    halves = [
        predictions(one, half.evaluation) for one, half in zip(made, floats.halves, strict=True)
    ]
    return figures(
        baseline,
        pooled(floats.images, halves),
        images=floats.images,
        contract=floats.contract,
        runtime=RUNTIMES.load(made[0].format).name,
    )


def _make(floats: Floats, half: Half, who: str) -> Candidate | Refusal:
    if who in (OURS, STRICT):
        return ours(floats, half, who)
    rival = RIVALS[who]
    output = floats.folder / f"{who}-{half.name}" / f"model{rival.suffix}"
    made = run_rival(_job(floats, half, who, output))
    if made.broke:
        return Refusal(why=made.broke, seconds=made.seconds)
    try:
        session = RUNTIMES.load(rival.format).open(output)
        binding = rebound(floats.artifacts[rival.format].binding, session, rival.format)
    except PhoneproofError as error:
        return Refusal(why=f"its file does not open: {error}", seconds=made.seconds)
    held = read_back(output, rival.format)
    return Candidate(
        path=output,
        format=rival.format,
        binding=binding,
        contract=floats.contract,
        seconds=made.seconds,
        peak_bytes=made.peak_bytes,
        macs_above_int8=None if held is None else macs_above_int8(held),
    )


def _job(floats: Floats, half: Half, who: str, output: Path) -> Job:
    rival = RIVALS[who]
    keras = ASSETS / floats.case.source.model if rival.parent_format == "saved_model" else None
    if keras is not None and keras.suffix != ".h5":
        keras = None
    own = floats.onnx if rival.format == "onnx" else floats.tflite
    parent = own
    if rival.parent_format == "saved_model" and keras is None:
        parent = saved_model(floats.hub, floats.onnx, floats.folder / "saved_model")
    return Job(
        rival=who,
        parent=str(parent),
        bound=str(own),
        bound_format=rival.format,
        keras=str(keras or ""),
        images=tuple(str(item.path) for item in half.calibration),
        output=str(output),
    )


def _float_candidate(floats: Floats) -> Candidate:
    return Candidate(
        path=floats.tflite,
        format="tflite",
        binding=floats.artifacts["tflite"].binding,
        contract=floats.contract,
        seconds=0.0,
        peak_bytes=0,
        macs_above_int8=1.0,
    )


if __name__ == "__main__":
    sys.exit(main())
