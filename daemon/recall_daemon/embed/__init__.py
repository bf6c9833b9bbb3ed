"""Text to vectors, in the order of use.

choose → locate → graph → export → wordpieces → passages → tokens →
onnx_session | amx_session | torch_model

- `base`: what an embedder promises; `errors`: how it fails.
- `lazy`: when the hub opens its embedder, and what it does without one.
- `choose`: the one entry, `open_embedder`: which embedder this machine gets.
- `locate`: finds the model's files, checks them, and names their embedding space.
- `graph`: the model as an ONNX graph; `export`: writes it once, checked, into the data folder.
- `passages`: where a long text is cut into windows; `wordpieces`: at the model's own words.
- `tokens`: texts to token ids and length-sorted batches.
- `onnx_session`: any CPU, fp32. `amx_session`: bulk, on CPUs with AMX; `workers`: its threads.
- `bulk`: which of those two gets which texts.
- `torch_model`: sentence-transformers, for a GPU, and the reference of every check.
- `reference`: the texts on which two ways of running the model are compared.
- `hashing`: no model at all, for tests and by explicit setting.
"""
