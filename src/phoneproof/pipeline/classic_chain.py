"""The classic chain: hub -> ONNX -> hub again -> SavedModel -> TFLite, every link measured.

Each artifact is judged against the baseline like any other, and compared with the one before it.
The comparison gates nothing: it says which link broke the chain where one did.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import msgspec

from phoneproof.convert.routes import ROUTES, Link
from phoneproof.core.check import Check, artifact_verdict
from phoneproof.core.errors import ConversionFailed, Unsupported
from phoneproof.core.report import Divergence
from phoneproof.pipeline.artifact_chain import JudgedArtifact, LinkResult
from phoneproof.pipeline.artifact_steps import (
    ConvertStep,
    MadeArtifact,
    PredictStep,
    made_artifact,
)
from phoneproof.pipeline.gate import hub_run
from phoneproof.pipeline.reimport_step import ReimportStep
from phoneproof.pipeline.request import ArtifactRequest

if TYPE_CHECKING:
    from phoneproof.pipeline.artifact_chain import ArtifactChain

FOLDER = "artifacts/classic"
"""Where the chain's artifacts lie in a bundle."""

Wait = Future[JudgedArtifact]


@dataclass(frozen=True)
class ClassicChain:
    """The links that lead to what was wanted, each begun as soon as its source is there.

    chain: everything of this build. wanted: the requests of this route, every link's float32
    file among them.
    """

    chain: ArtifactChain
    wanted: tuple[ArtifactRequest, ...]

    def start(self) -> dict[str, Wait]:
        """Begin everything; id -> future."""
        call = self.chain.workshop.call
        made: list[Future[MadeArtifact]] = []
        for place in range(len(self.links)):
            made.append(call(partial(self._make, place, tuple(made))))
        compared = tuple(
            call(partial(self._compared, place, tuple(made))) for place in range(len(self.links))
        )
        direct = call(partial(self._direct, tuple(made)))
        futures = {
            request.id: call(partial(self._judge, place, tuple(made), compared, direct))
            for place, request in enumerate(self.float32)
        }
        for request in self.wanted:
            if request.precision != "float32":
                futures[request.id] = call(partial(self.chain.finish, request, made[-1]))
        return futures

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """The links up to the last float32 file that is wanted."""
        formats = {request.format for request in self.wanted}
        routes = [ROUTES["classic"][one] for one in formats if one in ROUTES["classic"]]
        return max(routes, key=len)

    @cached_property
    def float32(self) -> tuple[ArtifactRequest, ...]:
        """The request of each link's target, in order."""
        by_format = {one.format: one for one in self.wanted if one.precision == "float32"}
        return tuple(by_format[link.target] for link in self.links)

    def make(self, place: int, parent: MadeArtifact | None) -> MadeArtifact:
        """Make one link's artifact from the one before it (null: the captured hub)."""
        request, hub = self.float32[place], self.chain.hub
        step = self._step(place, parent)
        result = self.chain.workshop.cache.result(step)
        return made_artifact(
            result,
            requested="float32",
            parent=hub.info.sha256 if parent is None else parent.artifact.sha256,
            step=step.name,
            suffix=request.suffix,
            folder=FOLDER,
        )

    def _make(self, place: int, made: tuple[Future[MadeArtifact], ...]) -> MadeArtifact:
        return self.make(place, made[-1].result() if made else None)

    def _step(self, place: int, parent: MadeArtifact | None) -> ConvertStep | ReimportStep:
        link, request, hub = self.links[place], self.float32[place], self.chain.hub
        contract = self.chain.request.contract
        if parent is not None and link.target == "hub":
            return ReimportStep(
                label=request.id,
                source=parent.path,
                source_sha256=parent.artifact.sha256,
                contract=contract,
                binding=parent.artifact.binding,
            )
        return ConvertStep(
            link=link,
            label=request.id,
            source=hub.path if parent is None else parent.path,
            source_sha256=hub.info.sha256 if parent is None else parent.artifact.sha256,
            contract=contract,
            binding=hub.binding if parent is None else parent.artifact.binding,
            layout=request.layout,
            opset=request.opset,
        )

    def _parent_run(self, place: int, made: tuple[Future[MadeArtifact], ...]) -> PredictStep:
        """The step that runs what a link was made from."""
        if place == 0:
            return hub_run(self.chain.request, self.chain.hub)
        return self.chain.run_of(made[place - 1].result())

    def _compared(self, place: int, made: tuple[Future[MadeArtifact], ...]) -> JudgedArtifact:
        """A link's artifact against the baseline and against its parent."""
        return self.chain.judge(made[place].result(), parent=self._parent_run(place, made))

    def _judge(
        self,
        place: int,
        made: tuple[Future[MadeArtifact], ...],
        compared: tuple[Wait, ...],
        direct: Future[JudgedArtifact | None],
    ) -> JudgedArtifact:
        judged = compared[place].result()
        checks = tuple(one.result().measured.against_parent for one in compared[: place + 1])
        parent = self.float32[place - 1].id if place else None
        link = LinkResult(
            edge=self.links[place].edge,
            parent=parent,
            checks=checks[place],
            broken=self._broken(checks),
            direct=direct.result() if place == len(self.links) - 1 else None,
        )
        judged = replace(judged, link=link)
        if artifact_verdict(judged.checks) != "fail":
            return judged
        return replace(judged, divergence=self._blame(place, judged, made))

    def _broken(self, checks: tuple[tuple[Check, ...], ...]) -> str | None:
        """The first link whose artifact left its parent."""
        for link, found in zip(self.links, checks, strict=False):
            if any(check.verdict == "fail" for check in found):
                return link.edge
        return None

    def _direct(self, made: tuple[Future[MadeArtifact], ...]) -> JudgedArtifact | None:
        """The same format straight from the hub, to compare the end of the chain with."""
        request = self.float32[-1]
        if len(self.links) == 1 or request.format not in ROUTES["direct"]:
            return None
        # Nothing waits for it: while the SavedModel is made, memory and cores are taken.
        made[-2].result()
        try:
            direct = self.chain.convert(replace(request, route="direct", suffix=""))
        except (ConversionFailed, Unsupported):
            return None  # nobody ordered this file: what only this route converts is no failure
        return self.chain.judge(direct)

    def _blame(
        self, place: int, judged: JudgedArtifact, made: tuple[Future[MadeArtifact], ...]
    ) -> Divergence | None:
        link = judged.link
        if link is None or link.broken is None:
            return Divergence(
                layer="none of the links alone",
                explanation="each link keeps float32 limits, but together they leave the baseline",
            )
        if link.broken != link.edge:
            return Divergence(
                layer=f"the link {words(link.broken)}",
                explanation=f"{link.parent} was already wrong: the link {words(link.broken)} broke "
                "the chain, and the links after it kept what they were given",
            )
        inside = self._locate(place, judged, made)
        blamed = f"the link {words(link.edge)} broke the chain: everything before it agrees"
        if inside is None:
            return Divergence(layer=f"the link {words(link.edge)}", explanation=blamed)
        explanation = f"{blamed}; {inside.explanation}"
        return msgspec.structs.replace(inside, explanation=explanation)

    def _locate(
        self, place: int, judged: JudgedArtifact, made: tuple[Future[MadeArtifact], ...]
    ) -> Divergence | None:
        """The first wrong layer, against the last hub program before the link."""
        chain = self.chain
        again = [at for at in range(place) if self.links[at].target == "hub"]
        before = (
            chain.run_of(made[again[-1]].result()) if again else hub_run(chain.request, chain.hub)
        )
        return chain.locate(judged.made, judged.checks, before)


def words(edge: str) -> str:
    """``hub-onnx`` as people write it: ``hub -> onnx``."""
    return edge.replace("-", " -> ")
