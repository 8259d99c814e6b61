package ai.phoneproof.pixels.filters

import ai.phoneproof.contract.Filter
import ai.phoneproof.contract.Size

/** The resizer of a filter with whole-number results, prepared for one pair of sizes. */
internal fun byteResizer(filter: Filter, from: Size, to: Size, channels: Int): ByteResizer {
    val (height, width) = from
    return when (filter) {
        Filter.PILLOW_NEAREST -> {
            val rows = pillowNearest(height, to.height)
            Nearest(height, rows, pillowNearest(width, to.width), channels)
        }

        Filter.OPENCV_NEAREST -> {
            val rows = openCvNearest(height, to.height)
            Nearest(height, rows, openCvNearest(width, to.width), channels)
        }

        Filter.OPENCV_LINEAR -> {
            val rows = centerSamples(height, to.height)
            OpenCvLinear(height, width, rows, centerSamples(width, to.width), channels)
        }

        Filter.OPENCV_CUBIC -> {
            val rows = centerSamples(height, to.height)
            OpenCvCubic(height, width, rows, centerSamples(width, to.width), channels)
        }

        Filter.OPENCV_AREA -> openCvArea(height, width, to.height, to.width, channels)

        else -> PillowResizer(height, width, to.height, to.width, channels, pillowKernel(filter))
    }
}
