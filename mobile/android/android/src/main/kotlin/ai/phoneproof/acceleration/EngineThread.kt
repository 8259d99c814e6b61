package ai.phoneproof.acceleration

import java.util.concurrent.TimeUnit
import java.util.concurrent.locks.LockSupport

/**
 * One thread that an engine lives on. GPU delegates must be used by the thread that made them, and
 * a caller must get away from one that never returns. Serves one caller at a time; nothing is
 * allocated for a call.
 */
internal class EngineThread(name: String) {
    private val thread = Thread(::serve, name).apply { isDaemon = true }

    /** What is asked and not answered yet. Written last on either side: it publishes the rest. */
    @Volatile
    private var work: Runnable? = null

    @Volatile
    private var last: Runnable? = null
    private var asker: Thread? = null
    private var failure: Throwable? = null

    init {
        thread.start()
    }

    /**
     * Runs [work] on the thread.
     *
     * @return false where it took longer than [limitMs]: the thread is then lost, and must not be
     *   asked again.
     * @throws Throwable what [work] threw.
     */
    fun run(limitMs: Long, work: Runnable): Boolean {
        asker = Thread.currentThread()
        this.work = work
        LockSupport.unpark(thread)
        if (!waitFor(limitMs)) return false
        failure?.let { throw it }
        return true
    }

    /** Lets the thread end after what it is doing now, and after [last]; nobody waits. */
    fun end(last: Runnable = Runnable { }) {
        this.last = last
        LockSupport.unpark(thread)
    }

    private fun serve() {
        while (true) {
            val task = work
            val end = last
            if (task != null) {
                failure = failureOf(task)
                val waiting = asker
                work = null
                LockSupport.unpark(waiting)
            } else if (end != null) {
                failureOf(end)
                return
            } else {
                LockSupport.park(this)
            }
        }
    }

    /** An engine may throw anything, UnsatisfiedLinkError and OutOfMemoryError too. */
    @Suppress("TooGenericExceptionCaught")
    private fun failureOf(task: Runnable): Throwable? = try {
        task.run()
        null
    } catch (error: Throwable) {
        error
    }

    /** Not interruptible: the engine reads the caller's buffers until it has answered. */
    private fun waitFor(limitMs: Long): Boolean {
        val end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(limitMs)
        var interrupted = false
        while (work != null) {
            val left = end - System.nanoTime()
            if (left <= 0) break
            LockSupport.parkNanos(this, left)
            interrupted = Thread.interrupted() || interrupted
        }
        val isAnswered = work == null
        if (interrupted) Thread.currentThread().interrupt()
        return isAnswered
    }
}
