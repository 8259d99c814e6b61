package ai.phoneproof

import ai.phoneproof.vectors.VectorCase
import ai.phoneproof.vectors.VectorFile
import ai.phoneproof.vectors.alpha
import ai.phoneproof.vectors.decode
import ai.phoneproof.vectors.geometry
import ai.phoneproof.vectors.gray
import ai.phoneproof.vectors.image
import ai.phoneproof.vectors.inverse
import ai.phoneproof.vectors.orientation
import ai.phoneproof.vectors.resize
import ai.phoneproof.vectors.tables
import ai.phoneproof.vectors.tensor
import ai.phoneproof.vectors.yuv
import org.junit.Test
import org.junit.runner.RunWith
import org.junit.runners.Parameterized

/** Every case of every file in mobile/vectors: no byte, order, class or plan may differ. */
@RunWith(Parameterized::class)
internal class VectorsTest(private val case: VectorCase) {
    @Test
    fun agrees() {
        when (case.area) {
            "resize" -> resize(case)
            "geometry" -> geometry(case)
            "tensor" -> tensor(case)
            "gray" -> gray(case)
            "alpha" -> alpha(case)
            "orientation" -> orientation(case)
            "tables" -> tables(case)
            "yuv" -> yuv(case)
            "inverse" -> inverse(case)
            "decode" -> decode(case)
            "images" -> image(case)
            else -> error("no reader for the area ${case.area}")
        }
    }

    companion object {
        @JvmStatic
        @Parameterized.Parameters(name = "{0}")
        fun cases(): List<Array<Any>> =
            VectorFile.all().flatMap { VectorFile.cases(it) }.map { arrayOf(it) }
    }
}
