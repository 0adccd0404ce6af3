"""The supervisor's process, as `commands/run.py` starts it: `python -I -S __main__.py [--KEY=VALUE...] -- CMD...`.

Nothing of the environment (PYTHONPATH, a sitecustomize, .pth files) is meant for the supervisor; all of it is handed
to the service as it is. The package's own __init__ is what services import: a bare package spares its memory here.
"""

import os
import sys

_PACKAGE = "model_load_exporter"

bare = type(sys)(_PACKAGE)
bare.__path__ = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
sys.modules[_PACKAGE] = bare

from model_load_exporter.run.supervise import main  # noqa: E402 - the package had to be there first

main(sys.argv[1:])
