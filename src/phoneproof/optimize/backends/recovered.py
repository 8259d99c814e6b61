"""A pruned network in the hands of the user's own training code, and what comes back of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from phoneproof.core.errors import ConfigError, OptimizationFailed
from phoneproof.optimize.base import Recovery

_SHOWN = 4
_RETURN = "return the network that was given, trained: its layers and their names have to stay"

Weights = Mapping[str, Tensor]


class PrunedNetwork(nn.Module):
    """What the user's function is given: a hub program, which knows one picture, as a module that
    takes any number of them.

    float32 [N, ...] of the shape and layout of the contract's input -> the hub's output, [N, ...],
    or a tuple of them where there are several. Dropout is gone and statistics of batch
    normalisation are constants, in training mode too; weights, biases and scales learn.
    """

    def __init__(self, program: GraphModule) -> None:
        super().__init__()
        self.program = program

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Every picture by itself, the results stacked."""
        values = torch.vmap(self.program)(images.unsqueeze(1))
        outputs = tuple(value.flatten(0, 1) for value in values)
        return outputs[0] if len(outputs) == 1 else outputs


def recovered(program: GraphModule, recovery: Recovery, seconds: float) -> None:
    """Let the user's code train a copy of the program, and take over its weights, in place.

    Args:
        program: its layers' weights are parameters. seconds: what the function is told that it
            may take; nobody stops it then.

    Raises:
        ConfigError: the function returned nothing, or another network than it was given.
        OptimizationFailed: weights that are not finite.
    """
    network = PrunedNetwork(copy.deepcopy(program)).eval()
    for parameter in network.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    given = {key: value.detach().clone() for key, value in network.state_dict().items()}
    weights = _weights_of(recovery(network, seconds), given, recovery.name)
    _require_finite(weights, recovery.name)
    program.load_state_dict({key.removeprefix("program."): value for key, value in weights.items()})


def _weights_of(returned: object, given: Weights, name: str) -> dict[str, Tensor]:
    """The returned network's weights, on the CPU.

    Raises:
        ConfigError: no network, or not the one that was given.
    """
    if not isinstance(returned, nn.Module):
        what = "nothing" if returned is None else f"no network but {type(returned).__name__}"
        raise ConfigError(f"finetune {name} returned {what}", next_step=_RETURN)
    found = {key: value.detach().cpu() for key, value in returned.state_dict().items()}
    differ = [
        *(f"{key} is missing" for key in given if key not in found),
        *(f"{key} is new" for key in found if key not in given),
        *(
            f"{key} is {_kind(found[key])} in place of {_kind(value)}"
            for key, value in given.items()
            if key in found and _kind(found[key]) != _kind(value)
        ),
    ]
    if differ:
        more = f", and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
        raise ConfigError(
            f"finetune {name} returned another network than it was given",
            found=", ".join(differ[:_SHOWN]) + more,
            next_step=_RETURN,
        )
    return found


def _kind(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"


def _require_finite(weights: Weights, name: str) -> None:
    for key, value in weights.items():
        bad = int((~torch.isfinite(value)).sum())
        if bad:
            raise OptimizationFailed(
                f"finetune {name} returned weights that are not finite",
                found=f"{bad} of {value.numel()} numbers of {key}",
                next_step="train more slowly, or look at the images that it trains on",
            )
