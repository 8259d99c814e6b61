"""TFLite graphs in PyTorch: our own operators, and what computes a graph with them.

``operators``: the table; ``evaluate``: one operator at its place; ``module``: a whole graph as a
module that can be watched, changed and differentiated. The hub program of a TFLite source is made
with the same operators (`phoneproof.capture.backends.tflite_to_hub`).
"""
