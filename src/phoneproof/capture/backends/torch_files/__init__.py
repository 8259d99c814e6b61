"""What torch writes, read without unpickling it: archives, legacy files, state dicts, programs."""
