package ai.phoneproof.testing

import com.sun.jna.Callback
import com.sun.jna.Library
import com.sun.jna.Memory
import com.sun.jna.NativeLong
import com.sun.jna.Pointer
import com.sun.jna.ptr.NativeLongByReference
import com.sun.jna.ptr.PointerByReference

/**
 * The part of the LiteRT C API that runs a model (headers of the public v2.2.0 sources; they fit
 * the library of the ai-edge-litert 2.3.0 wheel). Every call answers 0 where it succeeded; indices
 * and counts are `size_t`.
 */
@Suppress("ktlint:standard:function-naming")
internal interface LiteRtC : Library {
    fun LiteRtCreateEnvironment(
        count: Int,
        options: Pointer?,
        environment: PointerByReference,
    ): Int

    fun LiteRtDestroyEnvironment(environment: Pointer)

    fun LiteRtCreateModelFromFile(
        environment: Pointer,
        path: String,
        model: PointerByReference,
    ): Int

    fun LiteRtDestroyModel(model: Pointer)

    fun LiteRtCreateOptions(options: PointerByReference): Int

    fun LiteRtSetOptionsHardwareAccelerators(options: Pointer, accelerators: Int): Int

    fun LiteRtCreateOpaqueOptions(
        identifier: String,
        payload: Pointer,
        deleter: Deleter,
        options: PointerByReference,
    ): Int

    fun LiteRtAddOpaqueOptions(options: Pointer, opaque: Pointer): Int

    fun LiteRtDestroyOptions(options: Pointer)

    fun LiteRtCreateCompiledModel(
        environment: Pointer,
        model: Pointer,
        options: Pointer,
        compiled: PointerByReference,
    ): Int

    fun LiteRtDestroyCompiledModel(compiled: Pointer)

    fun LiteRtGetModelSignature(
        model: Pointer,
        index: NativeLong,
        signature: PointerByReference,
    ): Int

    fun LiteRtGetNumSignatureInputs(signature: Pointer, count: NativeLongByReference): Int

    fun LiteRtGetNumSignatureOutputs(signature: Pointer, count: NativeLongByReference): Int

    fun LiteRtGetSignatureInputName(
        signature: Pointer,
        index: NativeLong,
        name: PointerByReference,
    ): Int

    fun LiteRtGetSignatureOutputName(
        signature: Pointer,
        index: NativeLong,
        name: PointerByReference,
    ): Int

    fun LiteRtGetSignatureInputTensorByIndex(
        signature: Pointer,
        index: NativeLong,
        tensor: PointerByReference,
    ): Int

    fun LiteRtGetSignatureOutputTensorByIndex(
        signature: Pointer,
        index: NativeLong,
        tensor: PointerByReference,
    ): Int

    fun LiteRtGetRankedTensorType(tensor: Pointer, type: Memory): Int

    fun LiteRtGetCompiledModelInputBufferRequirements(
        compiled: Pointer,
        signature: NativeLong,
        index: NativeLong,
        requirements: PointerByReference,
    ): Int

    fun LiteRtGetCompiledModelOutputBufferRequirements(
        compiled: Pointer,
        signature: NativeLong,
        index: NativeLong,
        requirements: PointerByReference,
    ): Int

    fun LiteRtCreateManagedTensorBufferFromRequirements(
        environment: Pointer,
        type: Memory,
        requirements: Pointer,
        buffer: PointerByReference,
    ): Int

    fun LiteRtDestroyTensorBuffer(buffer: Pointer)

    fun LiteRtLockTensorBuffer(buffer: Pointer, address: PointerByReference, mode: Int): Int

    fun LiteRtUnlockTensorBuffer(buffer: Pointer): Int

    fun LiteRtRunCompiledModel(
        compiled: Pointer,
        signature: NativeLong,
        inputCount: NativeLong,
        inputs: Array<Pointer>,
        outputCount: NativeLong,
        outputs: Array<Pointer>,
    ): Int

    /** Frees the text of an option; ours lies in memory that the JVM frees. */
    fun interface Deleter : Callback {
        fun delete(payload: Pointer?)
    }
}
