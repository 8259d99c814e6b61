"""Keras 2's own classes that a model description may name; anything else is somebody's code."""

from __future__ import annotations

LAYERS = frozenset(
    [
        "Activation",
        "ActivityRegularization",
        "Add",
        "AlphaDropout",
        "Attention",
        "Average",
        "AveragePooling1D",
        "AveragePooling2D",
        "AveragePooling3D",
        "BatchNormalization",
        "CenterCrop",
        "Concatenate",
        "Conv1D",
        "Conv2D",
        "Conv2DTranspose",
        "Conv3D",
        "Convolution2D",
        "Cropping2D",
        "Dense",
        "DepthwiseConv2D",
        "Dot",
        "Dropout",
        "ELU",
        "EinsumDense",
        "Embedding",
        "Flatten",
        "GaussianDropout",
        "GaussianNoise",
        "GlobalAveragePooling1D",
        "GlobalAveragePooling2D",
        "GlobalMaxPooling1D",
        "GlobalMaxPooling2D",
        "GroupNormalization",
        "InputLayer",
        "LayerNormalization",
        "LeakyReLU",
        "MaxPooling1D",
        "MaxPooling2D",
        "MaxPooling3D",
        "Maximum",
        "Minimum",
        "MultiHeadAttention",
        "Multiply",
        "Normalization",
        "PReLU",
        "Permute",
        "RandomBrightness",
        "RandomContrast",
        "RandomCrop",
        "RandomFlip",
        "RandomHeight",
        "RandomRotation",
        "RandomTranslation",
        "RandomWidth",
        "RandomZoom",
        "ReLU",
        "RepeatVector",
        "Rescaling",
        "Reshape",
        "Resizing",
        "SeparableConv2D",
        "Softmax",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpectralNormalization",
        "Subtract",
        "ThresholdedReLU",
        "TimeDistributed",
        "UnitNormalization",
        "UpSampling1D",
        "UpSampling2D",
        "ZeroPadding1D",
        "ZeroPadding2D",
        "SlicingOpLambda",
        "TFOpLambda",
    ]
)
"""Layers an image model is built of."""

_OTHERS = frozenset(
    [
        "Functional",
        "Model",
        "Sequential",
        "Constant",
        "GlorotNormal",
        "GlorotUniform",
        "HeNormal",
        "HeUniform",
        "Identity",
        "LecunNormal",
        "LecunUniform",
        "Ones",
        "Orthogonal",
        "RandomNormal",
        "RandomUniform",
        "TruncatedNormal",
        "VarianceScaling",
        "Zeros",
        "L1",
        "L1L2",
        "L2",
        "OrthogonalRegularizer",
        "MaxNorm",
        "MinMaxNorm",
        "NonNeg",
        "RadialConstraint",
        "UnitNorm",
        "Policy",
        "__tuple__",
        "TensorShape",
    ]
)
"""Models, initializers, regularizers, constraints, dtype policies and JSON's own records."""

BUILT_IN = LAYERS | _OTHERS

_MATH = "abs add divide exp log maximum minimum multiply negative pow reduce_max reduce_mean"
_MORE_MATH = "reduce_sum rsqrt sigmoid softplus sqrt square subtract tanh truediv"
_NN = "avg_pool2d bias_add elu gelu leaky_relu max_pool2d relu relu6 sigmoid silu softmax swish"
_PLAIN = "cast clip_by_value concat expand_dims identity pad reshape squeeze stack transpose"

TENSOR_FUNCTIONS = frozenset(
    [f"math.{name}" for name in f"{_MATH} {_MORE_MATH}".split()]
    + [f"nn.{name}" for name in _NN.split()]
    + _PLAIN.split()
    + ["__operators__.add", "__operators__.getitem", "image.resize"]
)
"""TensorFlow functions a description may call by name: tensors in, tensors out, no files."""

RANK_2 = frozenset(
    {"GlobalAveragePooling2D", "GlobalMaxPooling2D", "GlobalAvgPool2D", "GlobalMaxPool2D"}
)
FILTERED = frozenset({"Conv2D", "Convolution2D", "Conv2DTranspose", "SeparableConv2D"})
"""Layers whose `filters` is their channel count."""
