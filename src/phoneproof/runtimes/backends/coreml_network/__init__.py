"""Core ML's older networks (``neuralNetwork``: a list of layers) interpreted by PyTorch.

What each layer does is described in ``mlmodel/format/NeuralNetwork.proto`` of coremltools.
"""
