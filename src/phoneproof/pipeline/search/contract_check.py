"""The search in a build: whether it is needed, and its gating check."""

from __future__ import annotations

from phoneproof.core.check import Check
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.search import ContractSearch, Interval
from phoneproof.core.tolerances import CONTRACT_GAIN
from phoneproof.pipeline.capture_steps import FileSource
from phoneproof.pipeline.request import BuildRequest
from phoneproof.pipeline.search.measured import METRIC_NAMES, bounded
from phoneproof.pipeline.search.search import FEWEST_IMAGES, QUICK
from phoneproof.pipeline.search.search_space import preset_of
from phoneproof.pipeline.search.search_step import run_search, searchable, used_labels
from phoneproof.pipeline.workshop import Workshop
from phoneproof.verify.evidence import HINTS
from phoneproof.verify.search.label_orders import label_orders


def contract_search(request: BuildRequest, workshop: Workshop) -> ContractSearch | None:
    """What other contracts would reach in the source's own runtime; null where nothing is asked.

    Asked where enough images are labelled, unless the file itself implies the contract's image
    input or ``[checks] contract_search = "off"``. A live module is not searched. Blocks while a
    worker runs the search (`workshop.call` does it beside other work); the cache keeps it.

    Raises:
        PhoneproofError: the source cannot be run, or an image cannot be used.
    """
    if request.checks.contract_search == "off" or not isinstance(request.source, FileSource):
        return None
    if len(searchable(request.images, request.contract)) < FEWEST_IMAGES or _is_implied(request):
        return None
    return run_search(
        workshop,
        request.source,
        request.inspection,
        request.contract,
        request.images,
        budget=QUICK,
    )


def _is_implied(request: BuildRequest) -> bool:
    """Whether the file itself says how it is fed, and where the classes lie is no question."""
    contract, inspection = request.contract, request.inspection
    implied = inspection.preset
    if not implied or preset_of(contract.image, implied) != implied:
        return False
    used = used_labels(searchable(request.images, contract))
    orders = label_orders(contract.labels, used=used, read=inspection.labels)
    return any(inspection.labels) or len(orders) == 1


def search_checks(request: BuildRequest, found: ContractSearch | None) -> tuple[Check, ...]:
    """The check ``contract_search`` for the capture gate; none where nothing was measured.

    It fails where another contract surely wins more than `CONTRACT_GAIN` on the held-out images:
    no build is to be refused because two contracts are equally good. It gates unless
    ``[checks] contract_search = "show"``.
    """
    if found is None or found.current is None:
        return ()
    gates = request.checks.contract_search == "gate"
    return (search_check(found, request.contract, request.images, gating=gates),)


def search_check(
    found: ContractSearch, contract: Contract, images: ImageSet, *, gating: bool
) -> Check:
    """One check of a search that measured something."""
    gain = found.gain or Interval(value=0.0, lower=0.0, upper=0.0)
    fails = found.verdict == "better_found" and gain.lower > CONTRACT_GAIN
    return Check(
        name="contract_search",
        kind="margin",
        value=gain.value,
        limit=CONTRACT_GAIN,
        gating=gating,
        n=found.held_out,
        bounds=(gain.lower, gain.upper),
        against="labels",
        dataset=images.ref,
        runtime="source runtime",
        device="cpu",
        method=f"{METRIC_NAMES[found.metric]} won by the best of {len(found.tried)} alternatives "
        f"of the contract (sha256 {contract.sha256[:12]}), paired over held-out images; "
        f"bounds of {100 * found.confidence:.4g} % each",
        verdict="fail" if fails else "pass",
        hint=_hint(found) if found.verdict == "better_found" else "",
    )


def _hint(found: ContractSearch) -> str:
    if found.current is None or found.proposed is None:
        return HINTS["contract_search"]
    name = METRIC_NAMES[found.metric]
    return (
        f"{name} {bounded(found.current.score)} with this contract, "
        f"{bounded(found.proposed.score)} with {', '.join(found.differs)}; "
        f"{HINTS['contract_search']}; `phoneproof search` prints the lines"
    )
