"""MIL programs (Core ML's ``mlprogram``) in PyTorch: the reference runtime, for machines that have
no Core ML.

``operators``: the table, operation type -> function, one file a family; ``module``: a whole
program, planned once; ``float16``: how numbers of 16 bits are kept and what they lose; ``call``:
what an operation's function gets. Operations follow coremltools' definitions of them; where those
leave a choice open (ties, borders of windows) the choice is torch's.
"""
