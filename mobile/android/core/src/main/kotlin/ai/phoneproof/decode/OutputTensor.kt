package ai.phoneproof.decode

import ai.phoneproof.contract.DType
import java.nio.ByteBuffer

/**
 * One output tensor of a run.
 *
 * @property name as the binding calls it.
 * @property shape batch first.
 * @property bytes the whole tensor from index 0, in native order; the engine's buffer may be put
 *   here frame after frame.
 */
public class OutputTensor(
    public val name: String,
    public val dtype: DType,
    public val shape: List<Int>,
    public var bytes: ByteBuffer,
)
