"""Looks at the file system that the daemon asks for and never makes itself, for a mount may hang.

    daemon ─ask("space", "/models")─> Looker ─pipe─> process.py, a thread a look ─> answers.py

Who sleeps on a dead FUSE or NFS mount cannot be ended, not by SIGKILL either, and takes its whole process along: an
exporter that looked itself could neither start, nor scrape, nor be stopped.
"""

from collections.abc import Callable
from typing import Any

Look = Callable[..., Any]
"""look(what, argument..., seconds=): Looker.ask, or answers.look_here. Raises OSError; TimeoutError where it hangs."""
