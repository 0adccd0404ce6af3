"""`python -m model_load_exporter`: the command line."""

import sys

from model_load_exporter.cli import main

sys.exit(main())
