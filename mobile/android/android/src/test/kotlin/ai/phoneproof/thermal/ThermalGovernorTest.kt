package ai.phoneproof.thermal

import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Frame rates under heat, on a clock of the test's own. */
class ThermalGovernorTest {
    private var status = ThermalStatus.NONE
    private val told = ArrayList<ThermalState>()
    private val governor = ThermalGovernor({ status }) { told += it }
    private var now = 0L

    @Test
    fun `a cool device runs every frame of a 30 Hz camera, whose clock jitters`() {
        val jitter = longArrayOf(0, 3, -3, 5, -5).map { it * 1_000_000 }
        val admitted = (0 until 300).count { governor.admits(it * 33_333_333L + jitter[it % 5]) }
        assertTrue("$admitted", admitted >= 295)
        assertTrue(told.isEmpty())
    }

    @Test
    fun `heat lowers the rate and tells the app, and cooling raises it again`() {
        assertEquals(30, frames(1))
        status = ThermalStatus.MODERATE
        frames(1)
        assertEquals(15, frames(1), 1)
        status = ThermalStatus.SEVERE
        frames(1)
        assertEquals(5, frames(1), 1)
        status = ThermalStatus.NONE
        frames(1)
        assertEquals(30, frames(1), 1)
        val seen = told.map { it.status to it.framesPerSecond }
        val expected = listOf(
            ThermalStatus.MODERATE to 15.0,
            ThermalStatus.SEVERE to 5.0,
            ThermalStatus.NONE to 30.0,
        )
        assertEquals(expected, seen)
    }

    @Test
    fun `an emergency pauses`() {
        status = ThermalStatus.SHUTDOWN
        assertEquals(0, frames(3))
    }

    @Test
    fun `a model that becomes slow counts as throttled, whatever the status says`() {
        repeat(30) { governor.ran(20_000_000) }
        assertFalse(governor.state.isSlowed)
        repeat(15) { governor.ran(34_000_000) }
        assertTrue(governor.state.isSlowed)
        assertEquals(10.0, governor.state.framesPerSecond, 0.0)
        repeat(15) { governor.ran(21_000_000) }
        assertFalse(governor.state.isSlowed)
        assertEquals(listOf(true, false), told.map { it.isSlowed })
    }

    @Test
    fun `one slow frame is no throttling`() {
        repeat(30) { governor.ran(20_000_000) }
        governor.ran(2_000_000_000)
        assertFalse(governor.state.isSlowed)
    }

    @Test
    fun `a policy that cannot be followed is refused`() {
        assertThrows(IllegalArgumentException::class.java) { ThermalPolicy(slowdown = 1.0) }
        assertThrows(IllegalArgumentException::class.java) {
            ThermalPolicy(mapOf(ThermalStatus.NONE to -1.0))
        }
        assertThrows(IllegalArgumentException::class.java) {
            ThermalPolicy(mapOf(ThermalStatus.LIGHT to 1.0))
        }
    }

    /** Frames admitted of a 60 Hz camera in so many seconds. */
    private fun frames(seconds: Int): Int = (0 until 60 * seconds).count {
        now += 16_666_667L
        governor.admits(now)
    }

    private fun assertEquals(expected: Int, actual: Int, tolerance: Int) =
        assertTrue("$actual instead of $expected", Math.abs(expected - actual) <= tolerance)
}
