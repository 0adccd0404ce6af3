"""Real faults of real libraries, run by test_classify_faults.py under the interpreter that has them.

    python classify_faults FOLDER

Each fault makes its own files below FOLDER (which every user may enter), loads them, and what the library raises
is printed as one JSON object: {name: {expected, links, here, message, path, printed}}. `links` is describe()'s answer
as data, `here` the reason that classify_exception gave inside this process, `path` the model's path when the load had
one, `printed` the traceback as Python prints it.
"""

import http.server
import json
import os
import sys
import threading
from pathlib import Path

import hub
import python_system  # noqa: F401  # importing a module registers its faults
import safetensors_files  # noqa: F401
import torch_files  # noqa: F401
import transformers_models  # noqa: F401
from registry import FAULTS, provoke


def main() -> None:
    base = Path(sys.argv[1])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), hub.Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(base / "home"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "no_proxy": "127.0.0.1",
    }
    os.umask(0o022)
    import huggingface_hub.utils._http
    import transformers.models.bert  # noqa: F401  # before a fault takes away rights or files

    huggingface_hub.utils._http.time.sleep = lambda _: None  # the retries are real, their pauses of 23 s each are not

    refused = {name: FAULTS.pop(name) for name in hub.REFUSED}
    outcomes = {name: provoke(name, base) for name in FAULTS}
    server.shutdown()
    server.server_close()
    FAULTS.update(refused)
    outcomes |= {name: provoke(name, base) for name in refused}
    json.dump({name: outcome for name, outcome in outcomes.items() if outcome is not None}, sys.stdout)


if __name__ == "__main__":
    main()
