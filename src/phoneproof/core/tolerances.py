"""Named tolerances and limits, each with its reason. Users override limits in ``[checks]``."""

from __future__ import annotations

from typing import Final

FLOAT32_PROBABILITY: Final = 1e-3
"""Two float32 runtimes sum a convolution in different orders; 1e-3 of probability is ten times
what is seen between ONNX Runtime, XNNPACK and torch on deep networks, and far below any threshold
an app uses."""

FLOAT16_PROBABILITY: Final = 1e-2
"""float16 keeps 11 bits: a logit of 10 moves by 5e-3, its probability by at most a quarter."""

FLOAT_BOX_PIXELS: Final = 1.0
"""A box corner of the original image may move by one pixel."""

FLOAT32_SNR_DB: Final = 60.0
FLOAT16_SNR_DB: Final = 45.0
"""Signal to noise of an output against the baseline's: 45 dB is 0.6 % of the signal."""

APPLE_FLOAT16_SNR_DB: Final = 55.0
"""0.2 % of the signal. Core ML's float16 files are run here with every result rounded to float16,
the neural engine's accumulators may be narrower than that: the file gets what is left to 45 dB as
its margin, and operators that cost more than it stay float32."""

FLOAT32_CLASS_MAP: Final = 0.9999
FLOAT16_CLASS_MAP: Final = 0.99
"""Least share of positions with the same class in a map of class numbers. Where two classes are
equally likely (along every border) rounding decides between them: in float32 one position in a
million is such a tie, in float16, which moves a logit by up to one part in a thousand, some in a
thousand. A number cannot say how near it was, so ties are not told from faults."""

FLOAT32_RAW_RELATIVE: Final = 1e-3
"""max_abs of an output, relative to the largest magnitude of the baseline's."""

HUB_RELATIVE: Final = 1e-4
"""The capture gate: hub against source runtime, both float32, relative to the output's largest
magnitude."""

DEQUANTISED_SNR_DB: Final = 6.0
DEQUANTISED_TOP1: Final = 0.8
DEQUANTISED_BOXES: Final = 0.5
DEQUANTISED_LOST: Final = 0.2
"""The capture gate of a quantised source: its float program never gives the integers' outputs, but
rounding stays below half of the signal, four of five images keep their class, and four of five
clear detections stay. Boxes beside the threshold flicker by the dozen in 8 bits (a quarter of all
that yolov8n shows), so only half of all boxes must agree. A wrong layer leaves none of this."""

DEQUANTISED_CLASS_MAP: Final = 0.8
"""As `DEQUANTISED_TOP1`, for the positions of a class map."""

DEQUANTISED_FAINT: Final = 4 / 256
"""Probabilities that differ by less than four steps of 8 bits are all rounding: where no image
shows what the model knows, they are nothing else, and their signal-to-noise ratio means nothing."""

DEQUANTISED_BOX_PIXELS: Final = 16.0
"""A box in 8 bits over 640 pixels moves in steps of 2.5; a corner goes through several layers of
such rounding."""

REFERENCE_PIXELS: Final = 1e-3
REFERENCE_SCORES: Final = 1e-4
"""Recorded outputs of the original framework against our re-implementation."""

TENSORFLOW_RESIZE: Final = 1e-6
"""Relative to 255: float32 resizes may differ in the order of the sums."""

TOP1_DROP: Final = 0.01
MAP_DROP: Final = 0.01
SCORE_SHIFT: Final = 0.02
LOST_SHARE: Final = 0.02
SMALL_RECALL_DROP: Final = 0.02
"""Margins M: the loss a user accepts by default."""

INTEGER_SCORE_SHIFT: Final = 0.03
INTEGER_SMALL_RECALL_DROP: Final = 0.03
"""The same for integers: what a good int8 detector is held to. To halve a shift of .03 a quarter of
yolov8n's arithmetic has to stay float, which costs more on a phone than the shift does."""

INTEGER_TOP1_AGREEMENT: Final = 0.98
"""Without labels a classifier of integers keeps its class on 98 of 100 images. No loss of accuracy
is larger than the disagreement, so this bounds at two points what nobody could measure; the mean
of the probabilities alone does not move when a quarter of the images change their class."""

INTEGER_BOX_AGREEMENT: Final = 0.9
"""Without labels nine of ten clear detections of either model have their object in the other's
(IoU >= `MATCH_IOU`): `LOST_SHARE` guards those that go, this one those that moved away or came.
8 bits move corners by pixels (see `DEQUANTISED_BOX_PIXELS`), so that places say no more than
this."""

RAW_SNR_DB: Final = 20.0
"""Where nobody knows what outputs mean (task raw), integers keep the noise below a hundredth of
the signal's power, a tenth of its amplitude. Rounding an output alone to 8 bits leaves 48 dB (6.02
a bit, of a uniform signal over the whole range); values that have nothing to do with the signal
leave 0 dB or less."""

INTEGER_CLASS_MAP: Final = 0.95
"""Without labels a class map of integers keeps 95 of 100 positions: 8 bits move its borders by a
pixel or two, while a class that is lost or exchanged takes whole regions."""

CONTRACT_GAIN: Final = 0.02
"""Top-1 or mAP50 that another contract must surely win before a build refuses the one it was
given: what wins less is worth a proposal, not a refusal. Wrong channels or classes cost 3 points
on some models and tens on most. Of two equally good contracts, one seems to win more than this for
sure in less than one build of a hundred."""

LOST_CLEARANCE: Final = 0.1
"""A detection is lost only if its baseline score was this far above the app's threshold: scores
beside the threshold always flicker."""

MATCH_IOU: Final = 0.5
"""Two detections of a class may be the same object from this IoU on."""
