"""The daemon's log: one line an event on standard error, logfmt or JSON."""

import json
import logging
import re
import sys
import time

_PLAIN = re.compile(r"[^\s\"=]+\Z")


def configure(form: str, level: str) -> None:
    """Sends the log to standard error. form: `logfmt` or `json`; level: debug, info, warn or error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Logfmt())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel({"warn": "WARNING"}.get(level, level.upper()))
    # One line a request would drown what matters.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


class _Logfmt(logging.Formatter):
    """`ts=... level=... msg="..."`, as Prometheus and its exporters write it."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{key}={_quoted(str(value))}" for key, value in _fields(self, record).items())


class _Json(logging.Formatter):
    """The same fields as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(_fields(self, record))


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, object]:
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    fields: dict[str, object] = {
        "ts": f"{when}.{int(record.msecs):03d}Z",
        "level": {"WARNING": "warn", "CRITICAL": "error"}.get(record.levelname, record.levelname.lower()),
        "logger": record.name.removeprefix("model_load_exporter."),
        "msg": record.getMessage(),
    }
    if record.exc_info:
        fields["exception"] = formatter.formatException(record.exc_info)
    return fields


def _quoted(text: str) -> str:
    return text if _PLAIN.match(text) else json.dumps(text, ensure_ascii=False)
