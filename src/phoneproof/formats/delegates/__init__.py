"""Which operators of a TFLite file an accelerator's delegate takes, from its published rules."""
