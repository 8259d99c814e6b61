"""Makes the golden vectors in ``mobile/vectors``: what Kotlin and Swift must equal bit for bit."""
