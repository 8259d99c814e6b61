"""Distillation: a smaller network learns to give what the original one gives, without labels.

The teacher says what is right for any picture, so pictures may be turned, shifted, brightened and
mixed as long as they stay within the range that pixels have. Hub programs have a batch of one; a
step runs several pictures by `torch.vmap`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from phoneproof.core.binding import Layout
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.events import Progress
from phoneproof.optimize.backends.channel_ops import BATCH_NORMS

_SEED: Final = 11
_HELD_OUT: Final = 8
"""Every eighth image judges, the others teach."""
_EPOCHS: Final = 400
_JUDGED: Final = 20
"""Epochs between two looks at the held-out images."""
_RATE: Final = 0.002
_WARM: Final = 20
"""Steps in which the rate grows to that."""
_FEATURES: Final = 0.5
"""Weight of the intermediate features beside the outputs."""
_SETTLING: Final = 32
"""Images that the statistics of batch normalisation are taken from."""

Values = tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Input tensors to learn from: float32 [N, *input shape], and the range of their numbers."""

    tensors: Tensor
    layout: Layout
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Taught:
    """How it went: the loss on held-out images before and after, and the steps made."""

    before: float
    after: float
    steps: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """A student and its teacher: both return outputs first, then features, of one picture.

    outputs: how many of the values are outputs. kept: for each feature its channel axis and the
    teacher's channels that the student still has. batch: pictures in one step.
    """

    teacher: GraphModule
    student: GraphModule
    outputs: int
    kept: tuple[tuple[int, Tensor], ...]
    batch: int


def teach(lesson: Lesson, pictures: Pictures, seconds: float, progress: Progress) -> Taught:
    """Learn until all epochs are made or the time is over; leaves the best state in the student.

    Raises:
        OptimizationFailed: too few images, or numbers that are not finite.
    """
    count = len(pictures.tensors)
    if count < 2:
        raise OptimizationFailed(
            "learning needs at least two images",
            found=f"{count}",
            next_step="add images to the calibration folder",
        )
    lessons = _Class(lesson, pictures, time.monotonic(), seconds)
    lessons.settle()
    return lessons.run(progress)


class _Class:
    def __init__(self, lesson: Lesson, pictures: Pictures, started: float, seconds: float) -> None:
        self._lesson = lesson
        self._pictures = pictures
        self._started, self._seconds = started, seconds
        places = torch.arange(len(pictures.tensors))
        judging = places % _HELD_OUT == min(_HELD_OUT, len(places)) - 1
        self._judging, self._teaching = places[judging], places[~judging]
        self._scales = self._measured()

    def settle(self) -> None:
        """Statistics of what is left of the network, where they do it good."""
        former, before = _state(self._lesson.student), self._judged()
        resettle(self._lesson.student, self._pictures.tensors[:_SETTLING])
        if not self._judged() < before:
            self._lesson.student.load_state_dict(former)

    def run(self, progress: Progress) -> Taught:
        """Learn, and keep the best."""
        student = self._lesson.student
        weights = [one for one in student.parameters() if one.is_floating_point()]
        for one in weights:
            one.requires_grad_(True)
        before = best = self._judged()
        kept = _state(student)
        optimizer = torch.optim.Adam(weights, lr=_RATE)
        random = torch.Generator().manual_seed(_SEED)
        each = max(math.ceil(len(self._teaching) / self._lesson.batch), 1)
        done, every = 0, each * _EPOCHS
        while done < (planned := min(every, self._affordable(done))):
            order = torch.randperm(len(self._teaching), generator=random)
            for lot in torch.split(order, self._lesson.batch):
                rate = _RATE * min((done + 1) / _WARM, 1.0)
                share = min(done / planned, 1.0)
                for group in optimizer.param_groups:
                    group["lr"] = rate * (1 + math.cos(math.pi * share)) / 2
                self._step(optimizer, self._teaching[lot], random)
                done += 1
                planned = min(every, self._affordable(done))
                progress(min(done, planned), planned)
                if done >= planned:
                    break
            if (done >= planned or done // each % _JUDGED == 0) and (loss := self._judged()) < best:
                best, kept = loss, _state(student)
        student.load_state_dict(kept)
        for one in weights:
            one.requires_grad_(False)
        return Taught(before=before, after=best, steps=done)

    def _affordable(self, done: int) -> int:
        """Steps in all that the time is enough for, at the pace so far."""
        gone = time.monotonic() - self._started
        if gone >= self._seconds:
            return done
        return int(done * self._seconds / gone) + 1 if done >= 2 else 1 << 30

    def _step(self, optimizer: torch.optim.Adam, places: Tensor, random: torch.Generator) -> None:
        pictures = varied(self._pictures, self._pictures.tensors[places], random)
        with torch.no_grad():
            wanted = self._wanted(pictures)
        optimizer.zero_grad(set_to_none=True)
        loss = self._loss(batched(self._lesson.student)(pictures), wanted)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def _wanted(self, pictures: Tensor) -> Values:
        values = batched(self._lesson.teacher)(pictures)
        features = zip(values[self._lesson.outputs :], self._lesson.kept, strict=True)
        return (
            *values[: self._lesson.outputs],
            *(value.index_select(axis + 1, kept) for value, (axis, kept) in features),
        )

    def _loss(self, found: Values, wanted: Values) -> Tensor:
        """Squared errors in units of each value's variance over the pictures."""
        outputs = self._lesson.outputs
        errors = [
            ((one - other) ** 2).mean() / scale
            for one, other, scale in zip(found, wanted, self._scales, strict=True)
        ]
        loss = torch.stack(errors[:outputs]).mean()
        if errors[outputs:]:
            loss = loss + _FEATURES * torch.stack(errors[outputs:]).mean()
        return loss

    def _measured(self) -> list[Tensor]:
        with torch.no_grad():
            wanted = self._wanted(self._pictures.tensors[: self._lesson.batch])
        if not all(bool(torch.isfinite(one).all()) for one in wanted):
            raise OptimizationFailed(
                "the network gives numbers that are not finite",
                next_step="look at the weights of the trained model",
            )
        return [one.var(correction=0) + 1e-12 for one in wanted]

    def _judged(self) -> float:
        """The loss on the images that do not teach, as they are."""
        losses = []
        with torch.no_grad():
            for places in torch.split(self._judging, self._lesson.batch):
                pictures = self._pictures.tensors[places]
                loss = self._loss(batched(self._lesson.student)(pictures), self._wanted(pictures))
                losses.append(float(loss) * len(places))
        return sum(losses) / len(self._judging)


def batched(module: GraphModule) -> Callable[[Tensor], Values]:
    """A program of one picture as a function of several: [N, *input shape] -> values [N, ...]."""
    return cast("Callable[[Tensor], Values]", torch.vmap(module))


def varied(pictures: Pictures, tensors: Tensor, random: torch.Generator) -> Tensor:
    """The pictures flipped, shifted, brightened and half of them mixed with another one.

    Args:
        tensors: float32 [N, 1, ...] in the layout of `pictures`.

    Returns:
        Tensors of the same shape, within the range of pixels.
    """
    chw = pictures.layout == "NCHW"
    images = tensors if chw else tensors.movedim(-1, -3)
    count, height, width = len(images), images.shape[-2], images.shape[-1]
    draw = torch.rand((7, count), generator=random)
    turned = images.clone()
    for place in range(count):
        image = images[place]
        if draw[0, place] < 0.5:
            image = image.flip(-1)
        down = int((draw[1, place] - 0.5) * height / 4)
        right = int((draw[2, place] - 0.5) * width / 4)
        turned[place] = _shifted(image, down, right)
    wide = (count, *[1] * (images.ndim - 1))
    gain = (0.8 + 0.4 * draw[3]).reshape(wide)
    offset = ((draw[4] - 0.5) * 0.2 * (pictures.high - pictures.low)).reshape(wide)
    middle = turned.mean(dim=(-1, -2), keepdim=True)
    turned = (turned - middle) * gain + middle + offset
    share = torch.where(draw[5] < 0.5, draw[6], torch.ones(count)).reshape(wide)
    turned = share * turned + (1 - share) * turned.roll(1, 0)
    turned = turned.clamp(pictures.low, pictures.high)
    return turned if chw else turned.movedim(-3, -1).contiguous()


def _shifted(image: Tensor, down: int, right: int) -> Tensor:
    """Moved by whole pixels, the border repeated."""
    rows = (torch.arange(image.shape[-2]) - down).clamp(0, image.shape[-2] - 1)
    columns = (torch.arange(image.shape[-1]) - right).clamp(0, image.shape[-1] - 1)
    return image.index_select(-2, rows).index_select(-1, columns)


def resettle(module: GraphModule, tensors: Tensor) -> None:
    """Take the statistics of every batch normalisation anew, from front to back, in place."""
    settling = _Settling(module)
    with torch.no_grad():
        for number, picture in enumerate(tensors):
            settling.share = 1 / (number + 8)
            settling.run(picture)


class _Settling(torch.fx.Interpreter):
    """Moves mean and variance towards those of the picture that passes."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.share = 1.0

    def run_node(self, n: Node) -> object:
        if n.op == "call_function" and n.target in BATCH_NORMS:
            args, _ = self.fetch_args_kwargs_from_env(n)
            values, mean, variance = (cast(Tensor, args[place]) for place in (0, 3, 4))
            axes = [axis for axis in range(values.ndim) if axis != 1]
            now = values.mean(axes)
            spread = ((values - mean.reshape(-1, *[1] * (values.ndim - 2))) ** 2).mean(axes)
            variance.lerp_((spread - (now - mean) ** 2 * self.share).clamp(min=0), self.share)
            mean.lerp_(now, self.share)
        return super().run_node(n)


def _state(module: nn.Module) -> Mapping[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}
