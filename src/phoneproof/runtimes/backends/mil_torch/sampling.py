"""Images sampled at places that other numbers name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from phoneproof.runtimes.backends.mil_torch.call import Call, Operator
from phoneproof.runtimes.backends.mil_torch.resizes import LONGEST_SIDE

_BORDERS: Final[Mapping[tuple[str, bool], str]] = {
    ("constant", True): "zeros",
    ("constant", False): "zeros",
    ("border", True): "border",
    ("border", False): "border",
    ("reflection", True): "reflection",
    ("symmetric", False): "reflection",
}
"""(padding mode, aligned corners) -> torch's. torch reflects about the centres of the edge pixels
where corners are aligned, and about their edges where not: two modes of Core ML."""


def resample(call: Call, /) -> Tensor:
    """x [B, C, H, W] at coordinates [B, H2, W2, (x, y)]."""
    x, places = call.tensor("x"), call.tensor("coordinates").float()
    aligned, borders = call.flag("align_corners"), call.text("padding_mode")
    mode = call.text("coordinates_mode")
    if mode == "normalized_zero_to_one":
        places = places * 2 - 1
    elif mode == "unnormalized":
        # Whole numbers are the centres of pixels, which is (2 i + 1) / side - 1 of -1..1.
        sides = torch.tensor((x.shape[3], x.shape[2]), dtype=places.dtype, device=places.device)
        places = (places * 2 + 1) / sides - 1
    elif mode != "normalized_minus_one_to_one":
        raise call.unsupported(f"coordinates {mode!r}")
    key = borders, aligned
    if key not in _BORDERS:
        raise call.unsupported(f"padding {borders!r} with align_corners {aligned}")
    inside = aligned and mode != "unnormalized"
    if _BORDERS[key] == "reflection" and inside is not aligned:
        raise call.unsupported(f"padding {borders!r} with coordinates {mode!r}")
    value = call.real("padding_value") if borders == "constant" else 0.0
    return _sampled(call, x - value if value else x, places, _BORDERS[key], inside) + value


def _sampled(call: Call, x: Tensor, places: Tensor, borders: str, aligned: bool) -> Tensor:
    mode = call.text("sampling_mode")
    if mode not in ("bilinear", "nearest"):
        raise call.unsupported(f"sampling {mode!r}")
    return functional.grid_sample(x, places, mode=mode, padding_mode=borders, align_corners=aligned)


def affine(call: Call, /) -> Tensor:
    """x [B, C, H, W] under transforms [B or 1, (a0, a1, a2, b0, b1, b2)]."""
    x, matrix = call.tensor("x"), call.tensor("transform_matrix")
    known = (
        call.text("coordinates_mode") == "normalized_minus_one_to_one"
        and call.text("padding_mode") == "constant"
        and call.real("padding_value") == 0.0
        and call.flag("align_corners")
    )
    if not known:
        raise call.unsupported("another form than corners at -1 and 1 with zeros around")
    height, width = call.integer("output_height"), call.integer("output_width")
    rows, columns = torch.meshgrid(_corners(call, height), _corners(call, width), indexing="ij")
    base = torch.stack([columns, rows, torch.ones_like(rows)], dim=-1).to(x.device)
    theta = matrix.reshape(-1, 1, 2, 3).expand(int(x.shape[0]), 1, 2, 3)
    return _sampled(call, x, torch.matmul(base, theta.transpose(-1, -2)), "zeros", True)


def _corners(call: Call, count: int) -> Tensor:
    """Places from -1 to 1, the first and the last on the corners; one alone lies in the middle."""
    if not 1 <= count <= LONGEST_SIDE:
        raise call.misfit(f"{count} places of an image")
    return torch.linspace(-1, 1, count) if count > 1 else torch.zeros(1)


SAMPLING: Mapping[str, Operator] = {"affine": affine, "resample": resample}
