"""Elementwise operations and activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional

from tests.integration.mil_programs import Case, Draw, tensor

MakeCase = Callable[[Draw], Case]


def _unary(
    op: str, function: Callable[[torch.Tensor], torch.Tensor], low: float = -2.0, high: float = 2.0
) -> MakeCase:
    def make(draw: Draw) -> Case:
        x = draw.array(draw.shape(1, 4), low, high)
        return Case(
            body=lambda mb, x: getattr(mb, op)(x=x, name="out"),
            feeds=[x],
            expected=[function(tensor(x))],
        )

    return make


def _with(
    op: str,
    function: Callable[..., torch.Tensor],
    parameters: Callable[[Draw], dict[str, Any]],
    low: float = -3.0,
    high: float = 3.0,
) -> MakeCase:
    """`function` gets x and the same keywords as the operation."""

    def make(draw: Draw) -> Case:
        x, given = draw.array(draw.shape(1, 4), low, high), parameters(draw)
        return Case(
            body=lambda mb, x: getattr(mb, op)(x=x, name="out", **given),
            feeds=[x],
            expected=[function(tensor(x), **given)],
        )

    return make


def _broadcast(draw: Draw) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shape = draw.shape(1, 4)
    other = tuple(1 if draw.flag() else side for side in shape)[draw.integer(0, len(shape) - 1) :]
    return (shape, other) if draw.flag() else (other, shape)


def _binary(
    op: str,
    function: Callable[..., torch.Tensor],
    low: float = -2.0,
    high: float = 2.0,
    *,
    truth: bool = False,
) -> MakeCase:
    def make(draw: Draw) -> Case:
        left, right = _broadcast(draw)
        x, y = draw.array(left, low, high), draw.array(right, low, high)
        if truth:  # equal numbers must occur
            x, y = x.round(), y.round()
        result = function(tensor(x), tensor(y))

        def body(mb: Any, x: Any, y: Any) -> Any:
            out = getattr(mb, op)(x=x, y=y, name="out")
            return mb.cast(x=out, dtype="fp32", name="number") if truth else out

        return Case(body=body, feeds=[x, y], expected=[result.float()])

    return make


def _whole(op: str, function: Callable[..., torch.Tensor]) -> MakeCase:
    def make(draw: Draw) -> Case:
        left, right = _broadcast(draw)
        x, y = draw.whole(left, -7, 7), draw.whole(right, 1, 5)
        return Case(
            body=lambda mb, x, y: getattr(mb, op)(x=x, y=y, name="out"),
            feeds=[x, y],
            expected=[function(tensor(x), tensor(y)).int()],
        )

    return make


def _logical(op: str, function: Callable[..., torch.Tensor]) -> MakeCase:
    def make(draw: Draw) -> Case:
        left, right = _broadcast(draw)
        x, y = draw.array(left), draw.array(right)

        def body(mb: Any, x: Any, y: Any) -> Any:
            out = getattr(mb, op)(x=mb.greater(x=x, y=0.0), y=mb.greater(x=y, y=0.0), name="out")
            return mb.cast(x=out, dtype="fp32", name="number")

        result = function(tensor(x) > 0, tensor(y) > 0).float()
        return Case(body=body, feeds=[x, y], expected=[result])

    return make


def logical_not(draw: Draw) -> Case:
    x = draw.array(draw.shape(1, 3))
    return Case(
        body=lambda mb, x: mb.cast(x=mb.logical_not(x=mb.less(x=x, y=0.5)), dtype="fp32"),
        feeds=[x],
        expected=[(~(tensor(x) < 0.5)).float()],
    )


def cast(draw: Draw) -> Case:
    x, kind = draw.array(draw.shape(1, 3), -9, 9), draw.choice(["int32", "bool", "fp16"])
    middle = {"int32": torch.int32, "bool": torch.bool, "fp16": torch.float16}[kind]
    return Case(
        body=lambda mb, x: mb.cast(x=mb.cast(x=x, dtype=kind), dtype="fp32"),
        feeds=[x],
        expected=[tensor(x).to(middle).float()],
    )


def select(draw: Draw) -> Case:
    (left, right), third = _broadcast(draw), draw.integer(0, 1)
    x, y = draw.array(left), draw.array(right)
    condition = draw.array((left, right)[third])
    return Case(
        body=lambda mb, c, x, y: mb.select(cond=mb.greater(x=c, y=0.0), a=x, b=y, name="out"),
        feeds=[condition, x, y],
        expected=[torch.where(tensor(condition) > 0, tensor(x), tensor(y))],
    )


def prelu(draw: Draw) -> Case:
    channels = draw.integer(1, 4)
    x = draw.array((draw.integer(1, 2), channels, draw.integer(1, 4), draw.integer(1, 4)))
    alpha = draw.array((channels,))
    return Case(
        body=lambda mb, x: mb.prelu(x=x, alpha=alpha, name="out"),
        feeds=[x],
        expected=[functional.prelu(tensor(x), tensor(alpha))],
    )


def softplus_parametric(draw: Draw) -> Case:
    channels = draw.integer(1, 4)
    x = draw.array((1, channels, draw.integer(1, 4), draw.integer(1, 4)))
    alpha, beta = draw.array((channels,)), draw.array((channels,), 0.5, 2.0)
    a, b = tensor(alpha)[:, None, None], tensor(beta)[:, None, None]
    return Case(
        body=lambda mb, x: mb.softplus_parametric(x=x, alpha=alpha, beta=beta, name="out"),
        feeds=[x],
        expected=[a * torch.log1p(torch.exp(tensor(x) * b))],
    )


def softmax(draw: Draw) -> Case:
    x = draw.array(draw.shape(1, 4), -5, 5)
    axis = draw.axes(x.ndim)[0]
    return Case(
        body=lambda mb, x: mb.softmax(x=x, axis=axis, name="out"),
        feeds=[x],
        expected=[torch.softmax(tensor(x), axis)],
    )


def _alpha(draw: Draw) -> dict[str, Any]:
    return {"alpha": draw.choice([0.1, 0.25, 1.0, 1.5])}


def _alpha_beta(draw: Draw) -> dict[str, Any]:
    return {"alpha": draw.choice([0.2, 0.5, 1.5]), "beta": draw.choice([0.3, 1.0, 2.5])}


def _gelu(x: torch.Tensor, mode: str) -> torch.Tensor:
    if mode == "SIGMOID_APPROXIMATION":
        return x / (1 + torch.exp(-1.702 * x))
    return functional.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


def _clamped(x: torch.Tensor, alpha: float, beta: float) -> torch.Tensor:
    return torch.minimum(torch.where(x < 0, x * alpha, x), torch.tensor(beta))


NUMBER_CASES: Mapping[str, MakeCase] = {
    "abs": _unary("abs", torch.abs),
    "acos": _unary("acos", torch.acos, -1, 1),
    "add": _binary("add", lambda x, y: x + y),
    "asin": _unary("asin", torch.asin, -1, 1),
    "atan": _unary("atan", torch.atan),
    "atanh": _unary("atanh", torch.atanh, -0.9, 0.9),
    "cast": cast,
    "ceil": _unary("ceil", torch.ceil),
    "clamped_relu": _with("clamped_relu", _clamped, _alpha_beta),
    "clip": _with(
        "clip",
        lambda x, alpha, beta: x.clamp(alpha, beta),
        lambda draw: {"alpha": -draw.choice([0.5, 1.0]), "beta": draw.choice([0.3, 6.0])},
    ),
    "cos": _unary("cos", torch.cos),
    "cosh": _unary("cosh", torch.cosh),
    "elu": _with("elu", lambda x, alpha: functional.elu(x, alpha), _alpha),
    "equal": _binary("equal", lambda x, y: x == y, truth=True),
    "erf": _unary("erf", torch.erf),
    "exp": _unary("exp", torch.exp),
    "exp2": _unary("exp2", torch.exp2),
    "floor": _unary("floor", torch.floor),
    "floor_div": _whole("floor_div", lambda x, y: x // y),
    "gelu": _with(
        "gelu",
        _gelu,
        lambda draw: {
            "mode": draw.choice(["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"])
        },
    ),
    "greater": _binary("greater", lambda x, y: x > y, truth=True),
    "greater_equal": _binary("greater_equal", lambda x, y: x >= y, truth=True),
    "identity": _unary("identity", lambda x: x),
    "inverse": _with(
        "inverse",
        lambda x, epsilon: 1 / (x + epsilon),
        lambda draw: {"epsilon": draw.choice([1e-4, 0.5])},
        low=0.5,
    ),
    "leaky_relu": _with("leaky_relu", lambda x, alpha: functional.leaky_relu(x, alpha), _alpha),
    "less": _binary("less", lambda x, y: x < y, truth=True),
    "less_equal": _binary("less_equal", lambda x, y: x <= y, truth=True),
    "linear_activation": _with(
        "linear_activation", lambda x, alpha, beta: alpha * x + beta, _alpha_beta
    ),
    "log": _with(
        "log",
        lambda x, epsilon: torch.log(x + epsilon),
        lambda draw: {"epsilon": draw.choice([1e-45, 0.1])},
        low=0.01,
    ),
    "logical_and": _logical("logical_and", torch.logical_and),
    "logical_not": logical_not,
    "logical_or": _logical("logical_or", torch.logical_or),
    "logical_xor": _logical("logical_xor", torch.logical_xor),
    "maximum": _binary("maximum", torch.maximum),
    "minimum": _binary("minimum", torch.minimum),
    "mod": _whole("mod", lambda x, y: x - y * torch.floor(x / y)),
    "mul": _binary("mul", lambda x, y: x * y),
    "not_equal": _binary("not_equal", lambda x, y: x != y, truth=True),
    "pow": _binary("pow", lambda x, y: x**y, 0.1, 2.0),
    "prelu": prelu,
    "real_div": _binary("real_div", lambda x, y: x / y, 0.5, 2.0),
    "relu": _unary("relu", functional.relu),
    "relu6": _unary("relu6", functional.relu6, -3, 9),
    "round": _unary("round", torch.round),
    "rsqrt": _with(
        "rsqrt",
        lambda x, epsilon: 1 / torch.sqrt(x + epsilon),
        lambda draw: {"epsilon": draw.choice([1e-12, 0.1])},
        low=0.1,
    ),
    "scaled_tanh": _with(
        "scaled_tanh", lambda x, alpha, beta: alpha * torch.tanh(beta * x), _alpha_beta
    ),
    "select": select,
    "sigmoid": _unary("sigmoid", torch.sigmoid),
    "sigmoid_hard": _with(
        "sigmoid_hard", lambda x, alpha, beta: (alpha * x + beta).clamp(0, 1), _alpha_beta
    ),
    "sign": _unary("sign", torch.sign),
    "silu": _unary("silu", lambda x: x * torch.sigmoid(x)),
    "sin": _unary("sin", torch.sin),
    "sinh": _unary("sinh", torch.sinh),
    "softmax": softmax,
    "softplus": _unary("softplus", lambda x: torch.log1p(torch.exp(x)), -5, 5),
    "softplus_parametric": softplus_parametric,
    "softsign": _unary("softsign", lambda x: x / (1 + x.abs())),
    "sqrt": _unary("sqrt", torch.sqrt, 0, 4),
    "square": _unary("square", lambda x: x * x),
    "sub": _binary("sub", lambda x, y: x - y),
    "tan": _unary("tan", torch.tan, -1, 1),
    "tanh": _unary("tanh", torch.tanh),
    "threshold": _with("threshold", lambda x, alpha: x.clamp(min=alpha), _alpha),
    "thresholded_relu": _with(
        "thresholded_relu", lambda x, alpha: torch.where(x >= alpha, x, 0 * x), _alpha
    ),
}
