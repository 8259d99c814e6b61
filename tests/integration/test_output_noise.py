"""Errors inside a network and what they do to its outputs: against doing it."""

from __future__ import annotations

import torch

from phoneproof.core.binding import OutputBinding
from phoneproof.optimize.backends.output_noise import OutputPart, Tally


def part(axes: tuple[str, ...], cut: tuple[int, int] | None, packed: int = 1) -> OutputPart:
    item = OutputBinding(
        tensor="out",
        role="scores",
        shape=(1, 6, 5),
        axes=axes,  # type: ignore[arg-type]
        slice=cut,
        packed=packed,
    )
    return OutputPart(item)


def test_a_part_is_cut_out_of_the_axis_that_its_binding_names() -> None:
    """Axes are named from behind the batch on."""
    whole = torch.arange(30.0).reshape(1, 6, 5)
    first = part(("class", "anchor"), (1, 3)).of({"out": whole})
    torch.testing.assert_close(first.reshape(2, 5), whole[0, 1:3])
    last = part(("anchor", "class"), (1, 3)).of({"out": whole})
    torch.testing.assert_close(last.reshape(6, 2), whole[0, :, 1:3])
    packed = part(("class", "anchor"), (1, 2), packed=2).of({"out": whole})
    torch.testing.assert_close(packed.reshape(2, 5), whole[0, [1, 4]])
    assert part(("class", "anchor"), None).of({"out": whole}) is whole


def test_noise_of_a_linear_network_is_what_it_is() -> None:
    """Of one linear map the first order is all there is; the mean over signs needs many."""
    torch.manual_seed(1)
    hidden = torch.randn(1, 8, requires_grad=True)
    weights = torch.randn(8, 6)
    outputs = {"out": (hidden @ weights).reshape(1, 6, 1)}
    error = 1e-3 * torch.randn(1, 8)
    tally = Tally(part=part(("class", "anchor"), None))
    signs = torch.Generator().manual_seed(0)
    values = {"hidden": hidden, "out": outputs["out"]}
    tally.look(outputs, values, {"layer": {"hidden": error}}, 4000, signs)
    signal = outputs["out"].detach().square().sum()
    wanted = float((error @ weights).square().sum() / signal)
    assert abs(tally.relative("layer") / wanted - 1) < 0.1
    assert tally.relative("another") == 0.0
