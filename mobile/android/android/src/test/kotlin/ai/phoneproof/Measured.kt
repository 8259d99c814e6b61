package ai.phoneproof

import java.io.File
import java.lang.management.BufferPoolMXBean
import java.lang.management.ManagementFactory

/**
 * Memory of this process, in bytes.
 *
 * @property heap objects that are still referred to.
 * @property direct buffers outside the heap.
 * @property resident what the system counts, libraries and the JVM itself included; 0 where it is
 *   not told (Linux tells).
 */
internal data class Memory(val heap: Long, val direct: Long, val resident: Long) {
    companion object {
        fun now(): Memory {
            repeat(GCS) {
                System.gc()
                Thread.sleep(SETTLE_MS)
            }
            val heap = ManagementFactory.getMemoryMXBean().heapMemoryUsage.used
            val pools = ManagementFactory.getPlatformMXBeans(BufferPoolMXBean::class.java)
            return Memory(heap, pools.sumOf { it.memoryUsed }, resident())
        }

        private fun resident(): Long {
            val status = File("/proc/self/status").takeIf { it.canRead() } ?: return 0
            val line = status.readLines().first { it.startsWith("VmRSS:") }
            return line.filter { it.isDigit() }.toLong() * KIB
        }

        private const val GCS = 3
        private const val SETTLE_MS = 20L
        private const val KIB = 1024L
    }
}

/** What threads allocated on the heap, in bytes. */
internal object Allocations {
    private val threads = ManagementFactory.getThreadMXBean() as com.sun.management.ThreadMXBean

    fun ofCaller(): Long = threads.getThreadAllocatedBytes(Thread.currentThread().id)

    /** Of the thread that the engine in use lives on. */
    fun ofEngine(): Long {
        val all = Thread.getAllStackTraces().keys
        return all
            .filter { it.name.startsWith(ENGINE_THREAD) }
            .sumOf { threads.getThreadAllocatedBytes(it.id) }
    }

    private const val ENGINE_THREAD = "phoneproof CPU"
}
