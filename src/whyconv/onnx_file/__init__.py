"""ONNX files, let in, read from their bytes, and run: no package ``onnx`` is needed, which servers do not have."""
