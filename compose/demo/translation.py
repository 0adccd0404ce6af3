"""The models of the demo service: how each is loaded, and what it answers.

NLLB translates English to French, Aya continues a text, MiniLM turns a text into a vector. Imports of torch and
transformers happen inside the functions: they take seconds, and the service answers its health addresses meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from model_load_exporter import track_load

NEW_TOKENS = 16
"""How much NLLB and Aya write at most: a demonstration answers at once."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model. folder: its name in the folder of all models. kind: transformers' class. answers: inference."""

    name: str
    folder: str
    kind: str
    answers: Callable[[Any, Any, str], dict[str, Any]]

    def path(self, environment: Mapping[str, str]) -> str:
        """Where it lies: DEMO_PATH_NLLB and the like, else its folder in DEMO_MODELS_DIR (/models)."""
        own = environment.get(f"DEMO_PATH_{self.name.upper()}")
        return os.path.abspath(own or os.path.join(environment.get("DEMO_MODELS_DIR", "/models"), self.folder))

    def load(self, path: str, *, reduced: bool = False, before_weights: Callable[[], None] | None = None) -> Any:
        """(model, tokenizer) from the folder `path`, in stages. reduced: bfloat16, half the memory of float32.

        $DEMO_DEVICE: where the model goes, `cuda` for a GPU; the CPU where it says nothing.
        """
        import torch  # type: ignore[import-not-found]  # of the service's environment
        import transformers  # type: ignore[import-not-found]  # as above

        with track_load(self.name, path=path) as load:
            with load.stage("tokenizer"):
                tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
            with load.stage("weights"):
                if before_weights is not None:
                    before_weights()
                kind = getattr(transformers, self.kind)
                options = {"dtype": torch.bfloat16} if reduced else {}
                model = kind.from_pretrained(path, local_files_only=True, **options).eval()
            device = os.environ.get("DEMO_DEVICE") or "cpu"
            if device != "cpu":
                with load.stage("device"):
                    model = model.to(device)
            with load.stage("warmup"):
                # Weights are mapped: what is not touched here would be read within the first request.
                self.answers(model, tokenizer, "Hello.")
        return model, tokenizer


def _translate(model: Any, tokenizer: Any, text: str) -> dict[str, Any]:
    import torch

    tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=256).to(model.device)
    with torch.inference_mode():
        written = model.generate(**tokens, max_new_tokens=NEW_TOKENS)
    return {"output": tokenizer.batch_decode(written, skip_special_tokens=True)[0]}


def _continue(model: Any, tokenizer: Any, text: str) -> dict[str, Any]:
    import torch

    tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=256).to(model.device)
    known = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        written = model.generate(**known, max_new_tokens=NEW_TOKENS, do_sample=False)
    return {"output": tokenizer.decode(written[0, known["input_ids"].shape[1] :], skip_special_tokens=True)}


def _embed(model: Any, tokenizer: Any, text: str) -> dict[str, Any]:
    import torch

    tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=256).to(model.device)
    with torch.inference_mode():
        mean = model(**tokens).last_hidden_state.float().mean(dim=1)[0]
    return {"embedding": torch.nn.functional.normalize(mean, dim=0).tolist()}


MODELS = {
    model.name: model
    for model in (
        Model("nllb", "nllb-small", "AutoModelForSeq2SeqLM", _translate),
        Model("aya", "aya-small", "AutoModelForCausalLM", _continue),
        Model("minilm", "minilm", "AutoModel", _embed),
    )
}


def wanted(names: str) -> list[Model]:
    """The models of a list like `nllb,aya`. Raises ValueError with a line that names what there is."""
    asked = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in asked if name not in MODELS]
    if unknown or not asked:
        raise ValueError(f"DEMO_MODELS={names}: write some of {','.join(MODELS)}")
    return [MODELS[name] for name in dict.fromkeys(asked)]
