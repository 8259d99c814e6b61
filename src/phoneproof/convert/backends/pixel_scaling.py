"""Scale, mean and std as operators in front of a network: the file takes pixels of 0..255."""

from __future__ import annotations

from typing import Final

import torch

from phoneproof.pixels.baked import Scaling

_OPS: Final = {
    "sub": torch.ops.aten.sub.Tensor,
    "mul": torch.ops.aten.mul.Tensor,
}


def bake(module: torch.fx.GraphModule, scaling: Scaling) -> None:
    """Put the operators behind the image input (NCHW) of a network, in place."""
    graph = module.graph
    image = next(node for node in graph.nodes if node.op == "placeholder")
    users = list(image.users)
    last = image
    for index, (op, constant) in enumerate(scaling.steps):
        name = f"pixel_{op}_{index}"
        channels = torch.from_numpy(constant.copy()).reshape(1, -1, 1, 1)
        module.register_buffer(name, channels)
        with graph.inserting_after(last):
            operand = graph.get_attr(name)
        with graph.inserting_after(operand):
            last = graph.call_function(_OPS[op], (last, operand))
    for user in users:
        user.replace_input_with(image, last)
    graph.lint()
    module.recompile()
