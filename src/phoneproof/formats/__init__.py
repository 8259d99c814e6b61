"""Model files read and edited as files, without running them."""
