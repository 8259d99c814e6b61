"""The blocks of the families as torch modules, written from their published descriptions.

Attribute names are those the checkpoint's weights carry (``model.0.conv.weight``); everything else
is ours. The forward functions have no data-dependent shape and write nothing in place, so that
every exporter can follow them. Tensors are float32, NCHW.
"""
