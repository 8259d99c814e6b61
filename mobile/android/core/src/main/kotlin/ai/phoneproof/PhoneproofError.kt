package ai.phoneproof

/**
 * Everything this library throws on purpose.
 *
 * [message] is one text for a log: what failed, what was found, what to do next.
 *
 * @property failed what could not be done.
 * @property found what was there instead; null where [failed] says it all.
 * @property nextStep what the developer can do about it; null where nothing is known to help.
 */
public sealed class PhoneproofError(
    public val failed: String,
    public val found: String?,
    public val nextStep: String?,
    cause: Throwable?,
) : RuntimeException(sentence(failed, found, nextStep), cause)

// Kotlin inherits no constructors: each class says its own again, so that each can be caught alone.

/** A contract that cannot be read, or whose geometry does not fit a picture. */
public class ContractError @JvmOverloads constructor(
    failed: String,
    found: String? = null,
    nextStep: String? = null,
    cause: Throwable? = null,
) : PhoneproofError(failed, found, nextStep, cause)

/** A binding that cannot be read, is of another contract, or does not describe its file. */
public class BindingError @JvmOverloads constructor(
    failed: String,
    found: String? = null,
    nextStep: String? = null,
    cause: Throwable? = null,
) : PhoneproofError(failed, found, nextStep, cause)

/** A picture that is empty, too large, recycled or otherwise no picture. */
public class ImageError @JvmOverloads constructor(
    failed: String,
    found: String? = null,
    nextStep: String? = null,
    cause: Throwable? = null,
) : PhoneproofError(failed, found, nextStep, cause)

/** Output tensors that are missing or are not what the binding says. */
public class OutputError @JvmOverloads constructor(
    failed: String,
    found: String? = null,
    nextStep: String? = null,
    cause: Throwable? = null,
) : PhoneproofError(failed, found, nextStep, cause)

/** A model file that is missing, altered or no model. */
public class ModelFileError @JvmOverloads constructor(
    failed: String,
    found: String? = null,
    nextStep: String? = null,
    cause: Throwable? = null,
) : PhoneproofError(failed, found, nextStep, cause)

/** An inference engine or its accelerator that failed. */
public class EngineError @JvmOverloads constructor(
    failed: String,
    found: String? = null,
    nextStep: String? = null,
    cause: Throwable? = null,
) : PhoneproofError(failed, found, nextStep, cause)

/** A call on something that was closed before. */
public class ClosedError @JvmOverloads constructor(
    failed: String,
    found: String? = null,
    nextStep: String? = null,
    cause: Throwable? = null,
) : PhoneproofError(failed, found, nextStep, cause)

/** A second thread in something that serves one at a time. */
public class BusyError @JvmOverloads constructor(
    failed: String,
    found: String? = null,
    nextStep: String? = null,
    cause: Throwable? = null,
) : PhoneproofError(failed, found, nextStep, cause)

private fun sentence(failed: String, found: String?, nextStep: String?): String = buildString {
    append(failed)
    if (found != null) append("; found: ").append(found)
    if (nextStep != null) append("; next: ").append(nextStep)
}
