"""Asks an address until it answers, in a process of its own that is gone once the service is ready.

So the supervisor needs no HTTP library, and sleeps: the end of this process is a signal as any other.
"""

import os
import time
from collections.abc import Callable
from typing import NoReturn

_FIRST, _LAST = 0.05, 1.0
_PATIENCE = 2.0


def ask_in_background(url: str, before: Callable[[], None]) -> int:
    """The pid of a process that ends with 0 when `url` has answered 2xx. before: run in it first."""
    supervisor = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            before()
            _ask(url, supervisor)
        finally:
            os._exit(1)
    return child


def _ask(url: str, supervisor: int) -> NoReturn:
    import ssl
    import urllib.error
    import urllib.request

    # No proxy stands between a service and its own host, and its certificate is for others to check.
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unchecked)
    )
    pause = _FIRST
    while os.getppid() == supervisor:
        try:
            with opener.open(url, timeout=_PATIENCE) as answer:
                if 200 <= answer.status < 300:
                    os._exit(0)
        except (OSError, ValueError, urllib.error.URLError):  # nobody answers: not ready yet
            pass
        except Exception:  # noqa: S110 - half an answer (http.client's own errors): not ready yet
            pass
        time.sleep(pause)
        pause = min(pause * 1.5, _LAST)
    os._exit(1)
