"""Generators for use outside of a work directory, and without this package.

`weights` writes and reads them as safetensors, `programs` are what the other formats compute,
`stablehlo`, `saved_model` and `onnx_graph` write those, `description` and `card` say beside each
file what it is, `export` does it all.
"""
