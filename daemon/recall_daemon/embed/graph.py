"""The model as an ONNX graph, built from its weights with ONNX Runtime's fused operators.

Built by hand rather than traced: no exporter is needed, the fusions (attention, skip + layer
normalisation, bias + GELU) are there by construction, and the same weights give the same bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recall_daemon.embed.errors import ModelDamaged
from recall_daemon.embed.locate import CONFIG, DIM, ModelFiles

if TYPE_CHECKING:
    from onnx import ModelProto

Weights = dict[str, NDArray[np.float32]]

_FUSED = "com.microsoft"
_OPSET = 17
_IR_VERSION = 8


def build(files: ModelFiles) -> ModelProto:
    """(input_ids, attention_mask: int64 [batch, width]) → embedding: float32 [batch, 384].

    Mean pooled over the mask and L2-normalised. Raises `ModelDamaged` where a weight is missing
    or has another shape.
    """
    config = json.loads((files.folder / CONFIG).read_bytes())
    try:
        return _Graph(_read(files), float(config["layer_norm_eps"])).bert(
            layers=int(config["num_hidden_layers"]), heads=int(config["num_attention_heads"])
        )
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise ModelDamaged(f"{files.weights} does not hold the model: {error}") from error


def _read(files: ModelFiles) -> Weights:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(files.weights)
    except (SafetensorError, OSError) as error:
        raise ModelDamaged(f"{files.weights} cannot be read: {error}") from error


class _Graph:
    """Nodes and constants so far. Every method returns the name of the value it made."""

    def __init__(self, weights: Weights, epsilon: float) -> None:
        self._weights = weights
        self._epsilon = epsilon
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def bert(self, *, layers: int, heads: int) -> ModelProto:
        x = self._embeddings()
        mask = self._node("Cast", ["attention_mask"], "mask_i32", to=6)  # TensorProto.INT32
        for layer in range(layers):
            x = self._layer(f"encoder.layer.{layer}.", x, mask, heads)
        self._pool(x)
        return self._model()

    def _embeddings(self) -> str:
        # Every text is segment 0, so its row is added to the positions once, here.
        positions = self._weight("embeddings.position_embeddings.weight")
        positions = positions + self._weight("embeddings.token_type_embeddings.weight")[0]
        words = self._constant("words", self._weight("embeddings.word_embeddings.weight"))
        self._constant("zero", np.array([0], np.int64))
        self._constant("one", np.array([1], np.int64))
        self._constant("two", np.array([2], np.int64))
        self._node("Gather", [words, "input_ids"], "word_rows")
        self._node("Shape", ["input_ids"], "shape")
        self._node("Slice", ["shape", "one", "two"], "width")
        self._node("Slice", [self._constant("positions", positions), "zero", "width"], "places")
        self._node("Add", ["word_rows", "places"], "embedded")
        norm = self._norm("embeddings.LayerNorm")
        return self._node(
            "LayerNormalization", ["embedded", *norm], "x", axis=-1, epsilon=self._epsilon
        )

    def _layer(self, at: str, x: str, mask: str, heads: int) -> str:
        qkv = [f"{at}attention.self.{name}." for name in ("query", "key", "value")]
        weight = np.concatenate([self._weight(name + "weight").T for name in qkv], axis=1)
        bias = np.concatenate([self._weight(name + "bias") for name in qkv])
        inputs = [x, self._constant(at + "qkv", weight), self._constant(at + "qkv_bias", bias)]
        attended = self._fused("Attention", [*inputs, mask], at + "attended", num_heads=heads)
        x = self._skip(at + "attention.output.", attended, x)
        inner = self._matmul(at + "intermediate.dense.weight", x)
        bias_name = self._named(at + "intermediate.dense.bias")
        inner = self._fused("BiasGelu", [inner, bias_name], at + "gelu")
        return self._skip(at + "output.", inner, x)

    def _skip(self, at: str, inner: str, x: str) -> str:
        """norm(x + inner · dense + bias)"""
        inner = self._matmul(at + "dense.weight", inner)
        inputs = [inner, x, *self._norm(at + "LayerNorm"), self._named(at + "dense.bias")]
        return self._fused("SkipLayerNormalization", inputs, at + "out", epsilon=self._epsilon)

    def _pool(self, x: str) -> None:
        # The sum over the mask points where the mean does, and only the direction is kept.
        self._node("Cast", ["attention_mask"], "mask_f32", to=1)  # TensorProto.FLOAT
        self._node("Unsqueeze", ["mask_f32", "one"], "mask_rows")
        self._node("MatMul", ["mask_rows", x], "sum_rows")
        self._node("Squeeze", ["sum_rows", "one"], "sums")
        self._node("LpNormalization", ["sums"], "embedding", axis=-1, p=2)

    def _model(self) -> ModelProto:
        from onnx import TensorProto, helper

        wide = ["batch", "width"]
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, wide)
            for name in ("input_ids", "attention_mask")
        ]
        output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIM])
        graph = helper.make_graph(self._nodes, "minilm", inputs, [output], self._constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)

    def _weight(self, name: str) -> NDArray[np.float32]:
        return self._weights[name].astype(np.float32, copy=False)

    def _named(self, name: str) -> str:
        return self._constant(name, self._weight(name))

    def _norm(self, at: str) -> tuple[str, str]:
        return self._named(at + ".weight"), self._named(at + ".bias")

    def _matmul(self, name: str, x: str) -> str:
        return self._node("MatMul", [x, self._constant(name, self._weight(name).T)], name + ".y")

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _fused(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        return self._node(op, inputs, output, domain=_FUSED, **attributes)

    def _node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self._nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output
