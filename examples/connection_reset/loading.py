"""How the service of the reproduction loads its model: as many do, and with less memory. The settings are environment.

MODEL   the model's folder.
LOAD    naive: build the model, read the whole pickle checkpoint beside it, copy: twice the weights in memory.
        low: from_pretrained of the safetensors file in bfloat16: the file is mapped, half the weights in memory.
"""

import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from model_load_exporter import track_load

NAME = "nllb-200"
Translate = Callable[[str], list[int]]


def say(message: str) -> None:
    """A line of the service's log, with the memory of the process: the last one before a death is a clue."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{stamp} INFO [{os.getpid()}] {message} (peak RSS {peak} MB)", file=sys.stderr, flush=True)


def load() -> Translate:
    """The model, ready to translate; each stage is told to the journal and to the log."""
    folder = os.environ["MODEL"]
    with track_load(NAME, path=folder) as attempt:
        say(f"Loading tokenizer of {NAME} from {folder}")
        with attempt.stage("tokenizer"):
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
        say("importing torch and transformers")
        with attempt.stage("other"):
            import torch

            # A pool of threads would not survive the fork of a preloaded server.
            torch.set_num_threads(1)
            from transformers import M2M100ForConditionalGeneration
        say(f"loading weights, {os.environ['LOAD']}")
        with attempt.stage("weights"):
            model = _weights(M2M100ForConditionalGeneration, folder)
        attempt.holds(model)
    say(f"Model {NAME} loaded")

    def translate(text: str) -> list[int]:
        with torch.no_grad():
            tokens = torch.tensor([tokenizer.encode(text).ids])
            answer: list[int] = model.generate(tokens, max_new_tokens=8, num_beams=1)[0].tolist()
            return answer

    return translate


def _weights(kind: Any, folder: str) -> Any:
    import torch

    if os.environ["LOAD"] == "low":
        return kind.from_pretrained(folder, dtype=torch.bfloat16, use_safetensors=True).eval()
    from transformers import M2M100Config

    model = kind(M2M100Config.from_pretrained(folder))
    model.load_state_dict(torch.load(f"{folder}/pytorch_model.bin", weights_only=True))
    return model.eval()
