"""ONNX files, read from their bytes: no package ``onnx`` is needed, which a machine that only serves does not have."""
