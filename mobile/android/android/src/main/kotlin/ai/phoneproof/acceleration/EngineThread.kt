package ai.phoneproof.acceleration

import java.util.concurrent.Semaphore
import java.util.concurrent.TimeUnit

/**
 * One thread that an engine lives on. GPU delegates must be used by the thread that made them, and
 * a caller must get away from one that never returns. Serves one caller at a time.
 */
internal class EngineThread(
    name: String,
) {
    private val asked = Semaphore(0)
    private val answered = Semaphore(0)
    private var work: Runnable? = null
    private var failure: Throwable? = null

    init {
        Thread(::serve, name).apply { isDaemon = true }.start()
    }

    /**
     * Runs [work] on the thread.
     *
     * @return false where it took longer than [limitMs]: the thread is then lost, and must not be
     *   asked again.
     * @throws Throwable what [work] threw.
     */
    fun run(
        limitMs: Long,
        work: Runnable,
    ): Boolean {
        this.work = work
        asked.release()
        if (!waitFor(limitMs)) return false
        failure?.let { throw it }
        return true
    }

    /** Lets the thread end, after what it is doing now. */
    fun end() {
        work = null
        asked.release()
    }

    private fun serve() {
        while (true) {
            asked.acquireUninterruptibly()
            val task = work ?: return
            failure =
                try {
                    task.run()
                    null
                } catch (error: Throwable) {
                    // An engine may throw anything, UnsatisfiedLinkError and OutOfMemoryError too.
                    error
                }
            answered.release()
        }
    }

    /** Not interruptible: the engine reads the caller's buffers until it has answered. */
    private fun waitFor(limitMs: Long): Boolean {
        val end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(limitMs)
        var interrupted = false
        try {
            while (true) {
                try {
                    return answered.tryAcquire(end - System.nanoTime(), TimeUnit.NANOSECONDS)
                } catch (_: InterruptedException) {
                    interrupted = true
                }
            }
        } finally {
            if (interrupted) Thread.currentThread().interrupt()
        }
    }
}
