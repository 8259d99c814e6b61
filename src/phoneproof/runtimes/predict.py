"""From images to results: read, preprocess, run, decode, one image after the other.

Reading and preprocessing run ahead in a small pool (Pillow, OpenCV and NumPy release the
interpreter lock), so that the model is what takes the time. Memory stays flat whatever the
number of images.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageItem
from phoneproof.core.errors import InvalidInput, PhoneproofError
from phoneproof.core.events import Progress, silent
from phoneproof.decode.decode import decode, decode_heads, metric_policy
from phoneproof.decode.heads import canonical_heads, canonical_roles, heads_as_roles
from phoneproof.decode.results import Results
from phoneproof.pixels.image import read_image
from phoneproof.pixels.inverse import to_original
from phoneproof.pixels.preprocess import Prepared, Preprocessor
from phoneproof.runtimes.base import Float, Session, Tensor
from phoneproof.runtimes.binding_check import check_session

READERS = 2
"""Threads that read and preprocess: with two, a small model still finds its next image ready."""
AHEAD = 4
"""Images that are prepared before they are needed: enough to even out one large picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What one model says about one image.

    name, sha256: the image's. height, width: pixels of the oriented original. app: results under
    the app's decode. metric: detections under the decode of mAP. roles: the canonical outputs
    (`phoneproof.decode.heads.canonical_roles`), only where asked for, because they are large.
    """

    name: str
    sha256: str
    height: int
    width: int
    app: Results
    metric: Results | None
    roles: Mapping[str, Float] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ready:
    item: ImageItem
    height: int
    width: int
    prepared: Prepared


class Predictor:
    """One opened model with what it means. Not thread-safe, like its session.

    Raises:
        InvalidInput: the session's tensors are not those of the binding; the message names the
            difference.
    """

    def __init__(self, session: Session, contract: Contract, binding: Binding) -> None:
        check_session(session, contract, binding)
        self._session = session
        self._contract = contract
        self._binding = binding
        image = binding.image
        self._batch = image.shape[0]
        # Images are prepared one by one; a batch is put together just before the model runs.
        single = msgspec.structs.replace(image, shape=(1, *image.shape[1:]))
        self._preprocessor = Preprocessor(contract.image, single)

    def predict_rgb(self, rgb: NDArray[np.uint8]) -> tuple[Results, dict[str, Tensor]]:
        """Results of one picture uint8 [H, W, 3] (oriented, RGB), and the model's raw outputs."""
        prepared = self._preprocessor.prepare(rgb)
        outputs = self._run([prepared])
        results = decode(
            outputs,
            self._contract,
            self._binding,
            to_original=partial(to_original, plan=prepared.plan),
        )
        return results, outputs

    def predict_items(
        self,
        items: Iterable[ImageItem],
        *,
        keep_roles: Callable[[int], bool] | int = 0,
        with_metric: bool = False,
        progress: Progress = silent,
    ) -> Iterator[Prediction]:
        """Predictions in the order of `items`, as they are made.

        Args:
            items: the images.
            keep_roles: of which images (by position) the canonical outputs are kept, or of how
                many at the beginning.
            with_metric: also decode detections the way mAP wants them.
            progress: called after each image; the total is 0 where `items` does not know it.

        Raises:
            InvalidInput: an image that cannot be read, named; or the model's outputs.
        """
        total = operator.length_hint(items)
        wanted = keep_roles if callable(keep_roles) else range(keep_roles).__contains__
        ready = self._read_ahead(items)
        done = 0
        try:
            while group := list(islice(ready, self._batch)):
                outputs = self._run([one.prepared for one in group])
                for index, one in enumerate(group):
                    yield self._prediction(one, outputs, index, wanted(done), with_metric)
                    done += 1
                    progress(done, total)
        finally:
            ready.close()

    def _prediction(
        self, one: _Ready, outputs: dict[str, Tensor], index: int, with_roles: bool, metric: bool
    ) -> Prediction:
        contract, binding = self._contract, self._binding
        back = partial(to_original, plan=one.prepared.plan)
        best: Results | None = None
        roles: dict[str, Float] | None = None
        if contract.task == "detect":
            heads = canonical_heads(outputs, contract, binding, index=index)
            app: Results = decode_heads(heads, contract, binding, to_original=back)
            if metric:
                policy = metric_policy(contract)
                best = decode_heads(heads, contract, binding, to_original=back, policy=policy)
            roles = heads_as_roles(heads) if with_roles else None
        else:
            app = decode(outputs, contract, binding, to_original=back, index=index)
            if with_roles:
                roles = canonical_roles(outputs, contract, binding, index=index)
        return Prediction(
            name=one.item.name,
            sha256=one.item.sha256,
            height=one.height,
            width=one.width,
            app=app,
            metric=best,
            roles=roles,
        )

    def _run(self, group: list[Prepared]) -> dict[str, Tensor]:
        """Run up to a batch of images; a short batch is filled up with its last image."""
        image = self._binding.image
        filled = group + group[-1:] * (self._batch - len(group))
        tensors = [one.tensor.reshape(1, *image.shape[1:]) for one in filled]
        tensor = tensors[0] if len(tensors) == 1 else np.concatenate(tensors)
        return self._session.run({image.tensor: tensor})

    def _read_ahead(self, items: Iterable[ImageItem]) -> Generator[_Ready, None, None]:
        pool = ThreadPoolExecutor(READERS, thread_name_prefix="read")
        pending: deque[Future[_Ready]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(self._read, item))
                if len(pending) > AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, item: ImageItem) -> _Ready:
        try:
            rgb = read_image(item.path, self._contract.image)
            prepared = self._preprocessor.prepare(rgb)
        except PhoneproofError as error:
            raise InvalidInput(
                f"image {item.name} cannot be used",
                found=f"{error.failed}: {error.found}" if error.found else error.failed,
                next_step=error.next_step or "restore or remove the image, then start again",
            ) from error
        height, width = rgb.shape[:2]
        return _Ready(item=item, height=height, width=width, prepared=prepared)
