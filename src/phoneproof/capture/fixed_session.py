"""A source's own runtime, held to one input shape."""

from __future__ import annotations

from collections.abc import Callable

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import Tensor, Tensors
from phoneproof.runtimes.tensors import check_tensors


class FixedSession:
    """Runs one image tensor; `outputs` carry the shapes measured on a first run.

    Args:
        image: the input with its full static shape.
        names: the outputs, in the source's order.
        call: image tensor -> output arrays in that order, owned by the caller.
        probe: an input of the right shape, for the measurement.
    """

    def __init__(
        self,
        *,
        image: TensorSpec,
        names: tuple[str, ...],
        call: Callable[[Tensor], tuple[Tensor, ...]],
        probe: Tensor,
    ) -> None:
        self._image = image
        self._names = names
        self._call = call
        self.outputs = tuple(
            TensorSpec(name=name, shape=value.shape, dtype="float32")
            for name, value in self.run({image.name: probe}).items()
        )

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The image input."""
        return (self._image,)

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        """Run once.

        Raises:
            InvalidInput: another name, shape or dtype than `inputs`, or an output that is missing
                or not float32.
        """
        check_tensors(self.inputs, tensors)
        values = self._call(tensors[self._image.name])
        if len(values) != len(self._names):
            raise InvalidInput(
                "the source has another number of outputs than it declares",
                found=f"{len(values)}, declared {', '.join(self._names)}",
            )
        return dict(zip(self._names, values, strict=True))


def static_shape(
    declared: tuple[int, ...], wanted: tuple[int, ...], *, name: str
) -> tuple[int, ...]:
    """`wanted` where the declared input shape (-1: open) allows it.

    Raises:
        Unsupported: the file fixes another size, channel count or batch.
    """
    fits = len(declared) == len(wanted) and all(
        have in (-1, want) for have, want in zip(declared, wanted, strict=True)
    )
    if not fits:
        raise Unsupported(
            f"{name} is fixed to another input shape",
            found=f"{list(declared)} in the file, {list(wanted)} asked for",
            next_step="use the file's own size and batch, or export the model again with the ones "
            "you need (or with dynamic axes)",
        )
    return wanted
