"""Which tensors before an output share its use: only those that nothing else reads."""

from __future__ import annotations

import pytest

from phoneproof.optimize.consumers import Node, moved

HEAD = Node(op="CONV_2D", inputs=("features", "weights"), outputs=("logits",))
TURN = Node(op="TRANSPOSE", inputs=("logits", "order"), outputs=("turned",))
FLATTEN = Node(op="RESHAPE", inputs=("turned", "shape"), outputs=("scores",))
CHAIN = (HEAD, TURN, FLATTEN)


def test_moves_before_an_output_are_followed_up_to_what_computes_the_values() -> None:
    assert list(moved("scores", CHAIN, ("scores",))) == ["scores", "turned", "logits"]


@pytest.mark.parametrize(
    ("read", "kept"), [("logits", ["scores", "turned"]), ("turned", ["scores"]), ("scores", [])]
)
def test_a_tensor_that_another_operator_reads_keeps_its_whole_range(
    read: str, kept: list[str]
) -> None:
    other = Node(op="ADD", inputs=(read, "features"), outputs=("sum",))
    assert list(moved("scores", (*CHAIN, other), ("scores", "sum"))) == kept


def test_a_tensor_that_is_an_output_itself_keeps_its_whole_range() -> None:
    assert list(moved("scores", CHAIN, ("scores", "turned"))) == ["scores"]
