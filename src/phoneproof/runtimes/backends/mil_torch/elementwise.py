"""Operations that work number by number: arithmetic, comparisons, logic, functions of one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from phoneproof.runtimes.backends.mil_torch.call import Call, Operator, on_one


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    def run(call: Call, /) -> Tensor:
        return function(call.tensor("x"), call.tensor("y"))

    return run


def clip(call: Call, /) -> Tensor:
    """x, cut to alpha..beta."""
    return torch.clamp(call.tensor("x"), call.real("alpha"), call.real("beta"))


def inverse(call: Call, /) -> Tensor:
    """1 / (x + epsilon)."""
    return torch.reciprocal(call.tensor("x") + call.real("epsilon", 1e-4))


def log(call: Call, /) -> Tensor:
    """log(x + epsilon)."""
    return torch.log(call.tensor("x") + call.real("epsilon", 1e-45))


def rsqrt(call: Call, /) -> Tensor:
    """1 / sqrt(x + epsilon)."""
    return torch.rsqrt(call.tensor("x") + call.real("epsilon", 1e-12))


def threshold(call: Call, /) -> Tensor:
    """x, but at least alpha."""
    x = call.tensor("x")
    return torch.clamp(
        x, min=call.real("alpha") if x.is_floating_point() else call.integer("alpha")
    )


def select(call: Call, /) -> Tensor:
    """A where cond, else b."""
    return torch.where(call.tensor("cond"), call.tensor("a"), call.tensor("b"))


def identity(call: Call, /) -> Tensor:
    """x itself; a cast is what the declared type makes of it afterwards."""
    return call.tensor("x")


def cast(call: Call, /) -> Tensor:
    """x in another type: floats become whole towards zero, bool is 0 or 1."""
    x, kind = call.tensor("x"), call.text("dtype")
    if kind == "bool":
        return x != 0
    return x


ELEMENTWISE: Mapping[str, Operator] = {
    "add": _binary(torch.add),
    "sub": _binary(torch.sub),
    "mul": _binary(torch.mul),
    "real_div": _binary(torch.true_divide),
    "floor_div": _binary(torch.floor_divide),
    "mod": _binary(torch.remainder),
    "pow": _binary(torch.pow),
    "maximum": _binary(torch.maximum),
    "minimum": _binary(torch.minimum),
    "equal": _binary(torch.eq),
    "not_equal": _binary(torch.ne),
    "greater": _binary(torch.gt),
    "greater_equal": _binary(torch.ge),
    "less": _binary(torch.lt),
    "less_equal": _binary(torch.le),
    "logical_and": _binary(torch.logical_and),
    "logical_or": _binary(torch.logical_or),
    "logical_xor": _binary(torch.logical_xor),
    "logical_not": on_one(torch.logical_not),
    "abs": on_one(torch.abs),
    "acos": on_one(torch.acos),
    "asin": on_one(torch.asin),
    "atan": on_one(torch.atan),
    "atanh": on_one(torch.atanh),
    "cast": cast,
    "ceil": on_one(torch.ceil),
    "clip": clip,
    "cos": on_one(torch.cos),
    "cosh": on_one(torch.cosh),
    "erf": on_one(torch.erf),
    "exp": on_one(torch.exp),
    "exp2": on_one(torch.exp2),
    "floor": on_one(torch.floor),
    "identity": identity,
    "inverse": inverse,
    "log": log,
    "round": on_one(torch.round),
    "rsqrt": rsqrt,
    "select": select,
    "sign": on_one(torch.sign),
    "sin": on_one(torch.sin),
    "sinh": on_one(torch.sinh),
    "sqrt": on_one(torch.sqrt),
    "square": on_one(torch.square),
    "tan": on_one(torch.tan),
    "tanh": on_one(torch.tanh),
    "threshold": threshold,
}
