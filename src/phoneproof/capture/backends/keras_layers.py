"""Keras' own classes that a model description may name; anything else is somebody's code."""

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
"""What Keras 2 wrote."""

_GONE = {
    *("Convolution2D", "RandomHeight", "RandomWidth", "SlicingOpLambda", "TFOpLambda"),
    *("ThresholdedReLU", "RadialConstraint"),
}
_ADDED = {
    *("AutoContrast", "Conv1DTranspose", "DepthwiseConv1D", "Identity", "RMSNormalization"),
    *("RandomHue", "RandomSaturation", "RandomSharpness", "Solarization"),
}
_VALUES_3 = ("__keras_tensor__", "__tensor__", "__numpy__", "__slice__", "__ellipsis__")
BUILT_IN_3 = (BUILT_IN - _GONE) | _ADDED | {"DTypePolicy", "OrthogonalInitializer", *_VALUES_3}
"""What Keras 3 writes: layers, what they are configured with, and values."""

MODULES_3 = frozenset(
    [
        *("keras", "keras.layers", "keras.models", "keras.initializers", "keras.regularizers"),
        *("keras.constraints", "keras.dtype_policies", "keras.src.models.functional"),
        *("keras.src.models.sequential", "keras.src.models.model"),
    ]
)
"""Where Keras 3 says its own classes are."""

OPERATION_MODULES_3 = frozenset(
    f"keras.src.ops.{name}" for name in ("core", "image", "math", "nn", "numpy")
)
_OPERATIONS_A = """
Abs Absolute Add Amax Amin AveragePool Cast Clip Concatenate Conv ConvTranspose
Cos DepthwiseConv Divide Einsum Elu Exp ExpandDims Flip Gelu GetItem HardSigmoid HardSilu LeakyRelu
Log Log1p LogSoftmax Logaddexp Matmul Max MaxPool Maximum Mean Min Minimum Multiply
"""
_OPERATIONS_N = """
Negative Pad Power Ravel Reciprocal Relu Relu6 Repeat Reshape Resize Rsqrt Selu SeparableConv
Sigmoid Silu Sin Softmax Softplus Softsign Split Sqrt Square Squeeze Stack StopGradient Subtract
Sum Swapaxes Tanh Tile Transpose TrueDivide Var
"""
OPERATIONS_3 = frozenset(f"{_OPERATIONS_A} {_OPERATIONS_N}".split())
"""Functions of `keras.ops` in a graph: tensors in, tensors out."""

_ACTIVATIONS = """
celu elu exponential gelu glu hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear
log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign
sparse_plus squareplus swish tanh tanh_shrink threshold
"""
ACTIVATIONS = frozenset(_ACTIVATIONS.split())
"""Activations that Keras 3 records as a function by name."""

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
