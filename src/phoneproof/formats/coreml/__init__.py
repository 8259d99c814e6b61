"""Core ML models as files, read without Core ML and without coremltools' converters.

``file``: a ``.mlpackage`` folder or a bare ``.mlmodel`` -> its specification (protobuf);
``program`` and ``program_read``: the MIL program in it as plain frozen types;
``blob``: the file of weights beside it; ``description``: inputs and outputs as an app sees them;
``metadata``: what the model says of itself.
"""
