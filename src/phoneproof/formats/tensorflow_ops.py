"""TensorFlow operations a model file may hold, and the ones that reach outside the graph.

What is not listed is refused: being stateless and taking no text does not make an operation
harmless (PyFuncStateless, ImmutableConst, DebugIdentity and Abort are all of that kind).
"""

from __future__ import annotations

import re

_ELEMENTWISE = """
Abs Acos Acosh Add AddN AddV2 Asin Asinh Atan Atan2 Atanh BiasAdd BiasAddV1 BitwiseAnd BitwiseOr
Cast Ceil CheckNumerics ClipByValue Cos Cosh Div DivNoNan Elu Equal Erf Erfc Exp Expm1 Floor
FloorDiv FloorMod Greater GreaterEqual Inv IsFinite IsInf IsNan LeakyRelu Less LessEqual Log Log1p
LogSoftmax LogicalAnd LogicalNot LogicalOr Maximum Minimum Mod Mul MulNoNan Neg NotEqual Pow RealDiv
Reciprocal Relu Relu6 Rint Round Rsqrt Select SelectV2 Selu Sigmoid Sign Sin Sinh Softmax Softplus
Softsign Sqrt Square SquaredDifference Sub Tan Tanh TruncateDiv TruncateMod Xdivy Xlog1py Xlogy
"""
_LAYERS = """
AvgPool AvgPool3D BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchNormWithGlobalNormalization Conv2D
Conv2DBackpropInput Conv3D Conv3DBackpropInputV2 DepthwiseConv2dNative Dilation2D Einsum
FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 FusedPadConv2D FusedResizeAndPadConv2D LRN L2Loss
MatMul MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax _FusedBatchNormEx _FusedConv2D
_FusedDepthwiseConv2dNative _FusedMatMul
"""
_QUANTISED = """
Dequantize FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel
QuantizeAndDequantize QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4
QuantizeV2
"""
_REDUCTIONS = """
All Any ArgMax ArgMin Cumprod Cumsum EuclideanNorm Max Mean Min Prod SegmentSum Sum
UnsortedSegmentSum
"""
_SHAPES = """
BatchToSpace BatchToSpaceND Bitcast BroadcastArgs BroadcastTo Concat ConcatOffset ConcatV2 Const
DepthToSpace DynamicPartition DynamicStitch EnsureShape ExpandDims ExtractImagePatches Fill Gather
GatherNd GatherV2 HostConst Identity IdentityN InvertPermutation LinSpace ListDiff MatrixBandPart
MatrixDiag MatrixDiagV3 MirrorPad OneHot OnesLike Pack Pad PadV2 ParallelDynamicStitch Placeholder
PlaceholderV2 PlaceholderWithDefault PreventGradient Range Rank Reshape Reverse ReverseV2 Roll
ScatterNd Shape ShapeN Size Slice Snapshot SpaceToBatch SpaceToBatchND SpaceToDepth SparseToDense
Split SplitV Squeeze StopGradient StridedSlice TensorScatterAdd TensorScatterUpdate Tile TopK TopKV2
Transpose Unique UniqueV2 Unpack UnravelIndex Where ZerosLike
"""
_IMAGES = """
AdjustContrastv2 AdjustHue AdjustSaturation CombinedNonMaxSuppression CropAndResize HSVToRGB
ImageProjectiveTransformV2 ImageProjectiveTransformV3 NonMaxSuppression NonMaxSuppressionV2
NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 RGBToHSV ResizeArea ResizeBicubic
ResizeBilinear ResizeNearestNeighbor ScaleAndTranslate
"""
_CONTROL = """
Assert Case ControlTrigger Enter Exit If LoopCond Merge NextIteration NoOp PartitionedCall
StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile Switch While XlaCallModule
"""
_VARIABLES = """
Assign AssignVariableOp DisableCopyOnRead IsVariableInitialized RandomStandardNormal RandomUniform
RandomUniformInt ReadVariableOp StatelessRandomGetKeyCounter StatelessRandomNormalV2
StatelessRandomUniformV2 TruncatedNormal VarHandleOp VarIsInitializedOp Variable VariableV2
"""
_TENSOR_LISTS = """
TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem
TensorListLength TensorListReserve TensorListSetItem TensorListStack
"""

ALLOWED = frozenset(
    " ".join(
        (
            *(_ELEMENTWISE, _LAYERS, _QUANTISED, _REDUCTIONS, _SHAPES),
            *(_IMAGES, _CONTROL, _VARIABLES, _TENSOR_LISTS),
        )
    ).split()
)
"""Tensors in, tensors out; variables in memory; calls of functions that are judged themselves."""

SAVING = frozenset(
    [
        *("MergeV2Checkpoints", "SaveSlices", "SaveV2", "ShardedFilename"),
        *("StaticRegexFullMatch", "StringJoin"),
    ]
)
"""Beside `ALLOWED`, in what only the saver's save calls; loading never calls it."""

RESTORING = frozenset(["RestoreV2"])
"""Beside `ALLOWED`, in what only the saver's restore calls, and with the loader's file name."""

_OUTSIDE = re.compile(
    r"File|Reader|Writer|PyFunc|Save|Restore|Checkpoint|Dataset|Iterator|Debug|Rpc|Server|Dump|"
    r"ImmutableConst|LoadAndRemap|Summary|Library|^Abort$|^_?(Host)?(Send|Recv)$|Infeed|Outfeed|"
    r"Collective|Distributed|HostCallback|HostCompute"
)


def reaches_outside(op: str) -> bool:
    """Whether an operation is known to touch files, Python, other processes or this one's life.

    Decides how a refusal is worded and its exit code, not whether there is one.
    """
    return op not in ALLOWED and _OUTSIDE.search(op) is not None
