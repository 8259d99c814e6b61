"""What devices measured, in words and numbers for the page, the model card and the terminal."""

from __future__ import annotations

from phoneproof.core.device_results import AcceleratorReport, DeviceReport
from phoneproof.package.wording import check_title, joined, number, with_unit

_PLACES = {"cpu": "CPU", "gpu": "GPU", "npu": "NPU", "unknown": "unknown"}
_WORDS = {"pass": "passed", "fail": "failed", "undecided": "undecided"}


DEVICE_HEADER = ("artifact", "device", "ran on", "outcome", "latency", "why")


def device_title(device: DeviceReport) -> str:
    """``iPhone 16 (iPhone17,3), iOS 18.1``."""
    one = device.device
    model = f" ({one.model})" if one.name and one.name != one.model else ""
    return f"{one.title}{model}, {one.os} {one.os_version}"


def device_sentences(device: DeviceReport) -> tuple[str, ...]:
    """``coreml-float16 passed on iPhone 16, CPU and Neural Engine``, a line an accelerator."""
    where = device.device.title
    return tuple(
        f"{device.artifact} {outcome(one)} on {where}, {one.title}" for one in device.accelerators
    )


def outcome(one: AcceleratorReport) -> str:
    """``passed``, ``failed``, ``was not run``."""
    if one.verdict is None:
        return "was not run"
    return "broke" if one.state == "failed" else _WORDS[one.verdict]


def why(one: AcceleratorReport) -> str:
    """Why it did not pass: the reason it gave, or the checks that failed and the first hint."""
    if one.reason:
        return one.reason
    failed = [c for c in one.checks if c.gating and c.verdict != "pass"]
    figures = joined([f"{check_title(c)} is {with_unit(c.value, c.unit)}" for c in failed])
    hint = next((c.hint for c in failed if c.hint), "")
    return f"{figures}; {hint}" if hint else figures


def latency_words(one: AcceleratorReport) -> str:
    """Median and 95th percentile; empty where nothing was timed."""
    timed = one.latency
    if timed is None:
        return ""
    first = "" if timed.first_ms is None else f", first run {number(timed.first_ms)} ms"
    return f"{number(timed.p50_ms)} ms (95 %: {number(timed.p95_ms)} ms; {timed.n} runs{first})"


def sustained_words(one: AcceleratorReport) -> str:
    """What running without a pause did to the median; empty where it was not tried."""
    run = one.sustained
    if run is None:
        return ""
    return (
        f"{number(run.first_p50_ms)} ms to {number(run.last_p50_ms)} ms "
        f"in {number(run.seconds)} s, {run.thermal}"
    )


def placed_words(one: AcceleratorReport) -> str:
    """Where the engine planned to run the operators."""
    return joined([f"{count} on {_PLACES.get(kind, kind)}" for kind, count in one.placed])


def card_rows(device: DeviceReport) -> list[tuple[str, ...]]:
    """Rows of the model card's table: device, accelerator, verdict, latency, why."""
    return [
        (
            device.artifact,
            device_title(device),
            one.title,
            outcome(one),
            latency_words(one) or "\N{EN DASH}",
            why(one),
        )
        for one in device.accelerators
    ]
