"""Real faults of real libraries, run by test_fault_matrix.py under the interpreters that have them.

    python classify_faults FOLDER models|formats

Each fault makes its own files below FOLDER (which every user may enter), loads them, and what the library raises
is printed as one JSON object: {name: {expected, verify, silent, found_as, links, here, message, path, manifest, uid,
printed, said}}. The first four are the fault's own (registry.Fault). `links` is describe()'s answer as data,
`here` the reason that classify_exception gave inside this process, `path` the model's path when the load had one,
`manifest` a manifest.sha256 that was written before the damage, `uid` the user who met the fault if it was not this
one, `printed` the traceback as Python prints it, `said` what the libraries themselves wrote to the terminal.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from registry import FAULTS, provoke

Outcomes = dict[str, dict[str, Any] | None]


def models(base: Path) -> Outcomes:
    """torch, safetensors, transformers, the hub, LiteRT, joblib: what a service of today has."""
    import http.server
    import threading

    import folders  # noqa: F401  # importing a module registers its faults
    import hub
    import python_system  # noqa: F401
    import safetensors_files  # noqa: F401
    import tflite_files  # noqa: F401
    import torch_damage  # noqa: F401
    import torch_files  # noqa: F401
    import transformers_models  # noqa: F401

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), hub.Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(base / "home"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "no_proxy": "127.0.0.1",
    }
    import huggingface_hub.utils._http
    import transformers.models.bert  # noqa: F401  # before a fault takes away rights or files

    huggingface_hub.utils._http.time.sleep = lambda _: None  # the retries are real, their pauses of 23 s each are not

    refused = {name: FAULTS.pop(name) for name in hub.REFUSED}
    outcomes: Outcomes = {name: provoke(name, base) for name in FAULTS}
    server.shutdown()
    server.server_close()
    FAULTS.update(refused)
    return outcomes | {name: provoke(name, base) for name in refused}


def formats(base: Path) -> Outcomes:
    """keras, tensorflow, onnxruntime, gguf: an interpreter of their own, since they want other versions."""
    import gguf_files  # noqa: F401
    import keras_files  # noqa: F401
    import onnx_files  # noqa: F401

    return {name: provoke(name, base) for name in FAULTS}


def main() -> None:
    base = Path(sys.argv[1])
    os.environ["OMP_NUM_THREADS"] = "1"  # a pool of OpenMP threads does not survive the forks of registry.InAChild
    os.umask(0o022)
    outcomes = {"models": models, "formats": formats}[sys.argv[2]](base)
    json.dump({name: outcome for name, outcome in outcomes.items() if outcome is not None}, sys.stdout)


if __name__ == "__main__":
    main()
