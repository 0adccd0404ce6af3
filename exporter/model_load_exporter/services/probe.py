"""One request to a service's health address, and what came of it in the words of a client."""

import asyncio
import errno
import json
import ssl
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

CAUSES = ("refused", "reset", "timeout", "http_status", "tls", "dns")
"""Why a probe failed (label `cause` of model_service_probe_failures_total)."""

UNANSWERED = frozenset(("refused", "reset", "timeout"))
"""The causes for which the service gave no answer at all."""

_BODY = 65_536
_REFUSED = frozenset((errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EADDRNOTAVAIL))


@dataclass(frozen=True, slots=True)
class Probed:
    """One probe. seconds: until the answer was read, or it failed. cause: one of CAUSES, None where all is well.

    model_loaded: what the answer's JSON says of it; None where it says nothing. message: one line for a person.
    """

    seconds: float
    cause: str | None = None
    model_loaded: bool | None = None
    message: str = ""


async def probe(session: aiohttp.ClientSession, url: str, timeout: float) -> Probed:
    """Asks `url` once. Never raises for anything that a service does."""
    address = without_secrets(url)
    began = time.monotonic()
    try:
        async with asyncio.timeout(timeout), session.get(url, allow_redirects=False) as response:
            body = await _beginning(response.content)
            seconds = time.monotonic() - began
            cause = None if response.status < 400 else "http_status"
            return Probed(seconds, cause, _model_loaded(body), f"{address} answered {response.status}" if cause else "")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # TimeoutError is an OSError.
        cause = _cause(error)
        return Probed(time.monotonic() - began, cause, None, f"{address}: {_message(error, cause, timeout)}")


def without_secrets(url: str) -> str:
    """An address as it may be shown: without user, password, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """All of a short answer: one that breaks off is a reset, and shows only at its end."""
    body = b""
    while len(body) < _BODY and (part := await content.read(_BODY - len(body))):
        body += part
    return body


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "dns"
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError, aiohttp.ServerFingerprintMismatch)):
        return "tls"
    number = getattr(error, "errno", None) or getattr(getattr(error, "os_error", None), "errno", None)
    if number in _REFUSED:
        return "refused"
    if number == errno.ETIMEDOUT:
        return "timeout"
    if isinstance(error, aiohttp.ClientResponseError):
        return "http_status"  # an answer, and none of HTTP: another program's port
    # The connection was there and went away, before or within the answer.
    return "reset"


def _message(error: Exception, cause: str, timeout: float) -> str:
    if cause == "timeout":
        return f"no whole answer within {timeout:g} s"
    if isinstance(error, aiohttp.ClientResponseError):
        # Its own text has a status that nobody sent, and the address with all that is secret in it.
        return f"its answer is not HTTP ({' '.join(error.message.split())[:80]})"
    return str(error) or type(error).__name__


def _model_loaded(body: bytes) -> bool | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    told = document.get("model_loaded") if isinstance(document, dict) else None
    return told if isinstance(told, bool) else None
