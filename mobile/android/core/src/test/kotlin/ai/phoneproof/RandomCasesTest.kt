package ai.phoneproof

import ai.phoneproof.vectors.VectorFile
import ai.phoneproof.vectors.tensor
import java.io.File
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test

/** Tensors of sizes that no file lists: the Python suite writes them and names the file. */
internal class RandomCasesTest {
    @Test
    fun `sizes drawn at random agree`() {
        val named = System.getProperty("phoneproof.vectors.extra").orEmpty()
        assumeTrue("phoneproof.vectors.extra names no file", named.isNotEmpty())
        val cases = VectorFile.cases(File(named))
        val different =
            cases.mapNotNull { case -> runCatching { tensor(case) }.exceptionOrNull()?.message }
        assertTrue("${different.size} of ${cases.size}: ${different.take(5)}", different.isEmpty())
        println("phoneproof.random.cases=${cases.size}")
    }
}
