"""Lists that many tables share: what is read is bounded for the whole file."""

from __future__ import annotations

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from phoneproof.core.errors import InvalidInput
from phoneproof.formats.tflite import parse_tflite


def shared(tensors: int, sides: int) -> bytes:
    """A file whose `tensors` entries are one table with a shape of `sides` sides."""
    builder = flatbuffers.Builder(0)
    schema.TensorStartShapeVector(builder, sides)
    for _ in range(sides):
        builder.PrependInt32(1)
    shape = builder.EndVector()
    schema.TensorStart(builder)
    schema.TensorAddShape(builder, shape)
    tensor = schema.TensorEnd(builder)
    schema.SubGraphStartTensorsVector(builder, tensors)
    for _ in range(tensors):
        builder.PrependUOffsetTRelative(tensor)
    entries = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, entries)
    graph = schema.SubGraphEnd(builder)
    schema.ModelStartSubgraphsVector(builder, 1)
    builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    schema.ModelStartBuffersVector(builder, 1)
    builder.PrependUOffsetTRelative(tensor)  # any table without the field is an empty buffer
    buffers = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    schema.ModelAddBuffers(builder, buffers)
    builder.Finish(schema.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.timeout(20)
def test_lists_are_bounded_in_total() -> None:
    assert len(parse_tflite(shared(2, 2), "model.tflite").tensors) == 2  # the control
    with pytest.raises(InvalidInput) as caught:
        parse_tflite(shared(2000, 2000), "model.tflite")
    assert "more items than" in caught.value.found
