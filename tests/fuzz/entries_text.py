"""What is read of logs and exceptions: classify's words, analyze's lines, times, wrappers and engines."""

import gzip
import json
import os
import tempfile
from functools import lru_cache
from pathlib import Path

from fuzz_target import Target

from model_load_exporter.analysis import kernel, timestamps
from model_load_exporter.analysis.analyze import analyze
from model_load_exporter.analysis.engines import NAMES, EngineError
from model_load_exporter.analysis.markdown import render as render_markdown
from model_load_exporter.analysis.reading import TABLE
from model_load_exporter.analysis.report import NONE
from model_load_exporter.analysis.scan import SourceError, scan
from model_load_exporter.analysis.text import render as render_text
from model_load_exporter.analysis.wrapping import unwrap
from model_load_exporter.attempt import STAGES
from model_load_exporter.classify import tracebacks
from model_load_exporter.classify.chain import links_from_json
from model_load_exporter.classify.exceptions import MESSAGE_LIMIT, classify, one_line
from model_load_exporter.classify.patterns import PATTERNS
from model_load_exporter.classify.text import classify_text, line_verdict
from model_load_exporter.reasons import REASONS

_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _classify_text(data: bytes) -> None:
    found = classify_text(_text(data))
    if found is not None:
        assert found.reason in REASONS
        assert found.message.isprintable(), found.message
        assert len(found.message) <= MESSAGE_LIMIT


def _line_verdict(data: bytes) -> None:
    first, *following = _text(data).split("\n")
    found = line_verdict(first, following)
    assert found is None or (found[0] in REASONS and found[2].isprintable())


def _one_line(data: bytes) -> None:
    text = _text(data)
    for start in (0, len(text) // 2, len(text)):
        line = one_line(text, start)
        assert len(line) <= MESSAGE_LIMIT
        assert not line or line.isprintable()


def _links(data: bytes) -> None:
    """A chain as another process reports it."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    found = classify(links_from_json(document), "/models/nowhere")
    assert found.reason in REASONS
    assert found.message.isprintable() or not found.message


def _timestamps(data: bytes) -> None:
    for line in _text(data).split("\n"):
        stamp = timestamps.parse(line)
        if stamp is not None:
            assert -1e15 < stamp.value < 1e15, (line, stamp)  # no NaN either
        timestamps.kernel_seconds(line)
        kernel.victim(line)
        kernel.pids(line)


def _analyze(data: bytes) -> None:
    """A whole log, to the reports that people read."""
    path = _FOLDER / "service.log"
    path.write_bytes(data)
    found = analyze([str(path)])
    assert found.reason == NONE or found.reason in REASONS
    assert found.stage is None or found.stage in STAGES
    assert found.confidence in ("high", "medium", "low")
    for row in found.evidence:
        assert row.line >= 1, row
        assert "\n" not in row.text, row
    for text in (render_text(found), render_markdown(found)):
        assert "\x1b" not in text
        assert text.encode()


def _engines(data: bytes) -> None:
    """Each engine that is installed finds the same lines, and the same rows in them."""
    path = _FOLDER / "engines.log"
    path.write_bytes(data)
    answers = {}
    for name in installed():
        answers[name] = [(line.number, line.text, line.rows) for line in scan([str(path)], TABLE, engine=name)]
    assert len({str(answer) for answer in answers.values()}) == 1, answers


@lru_cache(maxsize=1)
def installed() -> tuple[str, ...]:
    """The engines that run here."""
    empty, found = _FOLDER / "empty.log", []
    empty.write_bytes(b"")
    for name in NAMES:
        try:
            list(scan([str(empty)], TABLE, engine=name))
        except EngineError:
            continue
        found.append(name)
    return tuple(found)


TRACEBACK = b"""\
Traceback (most recent call last):
  File "/app/main.py", line 12, in load
    model = AutoModel.from_pretrained(path)
safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/main.py", line 14, in <module>
    raise RuntimeError("no model") from error
RuntimeError: no model
"""
LOGS = (
    TRACEBACK,
    b"2026-01-31 10:00:00,123 INFO app: loading\n2026-01-31 10:00:01,123 ERROR app: failed to load model\n" + TRACEBACK,
    b"[   12.345678] oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/x,task_memcg=/x,task=python,pid=77,uid=0\n"
    b"[   12.345679] Memory cgroup out of memory: Killed process 77 (python) total-vm:1kB, anon-rss:1kB\n",
    b"Jan 31 10:00:00 host kernel: [  99.000001] Out of memory: Killed process 5 (x)\n"
    b"2026-01-31T10:00:01Z client: ConnectionResetError: [Errno 104] Connection reset by peer\n",
    b'{"log":"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\\n","stream":"stderr",'
    b'"time":"2026-01-31T10:00:00.1Z"}\n{"level":"ERROR","ts":1790000000.5,"message":"failed","exc_info":"Traceback"}\n',
    b"2026-01-31T10:00:00.123456789Z stderr P half a \n2026-01-31T10:00:00.123456789Z stderr F line: No such file\n",
    b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1790000000000000\nMESSAGE=Out of memory: Killed process 7 (python)\n\n",
    b"[2026-01-31 10:00:00 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:8)\n[2026-01-31 10:00:01 +0000] [7] [ERROR] "
    b"Worker (pid:8) was sent SIGKILL! Perhaps out of memory?\n",
    b"E0131 10:00:00.123456 7 x.cc:1] failed\rLoading checkpoint shards:  50%\rLoading checkpoint shards: 100%\n",
    b"5m  Warning  BackOff  pod/x  Back-off restarting failed container\n    Reason: OOMKilled\n    Exit Code: 137\n",
    gzip.compress(TRACEBACK, mtime=0),
)  # fmt: skip
WORDS = tuple(sorted({pattern.needle.encode() for pattern in PATTERNS}))
_CHAIN = json.dumps([
    {"type": "builtins.OSError", "bases": ["builtins.OSError"], "text": "[Errno 2] x: '/a'", "errno": 2},
    {"type": "torch.OutOfMemoryError", "bases": ["builtins.RuntimeError"], "text": TRACEBACK.decode(), "module": None},
]).encode()  # fmt: skip

TARGETS = (
    Target("classify_text", _classify_text, (), LOGS),
    Target("line_verdict", _line_verdict, (), LOGS),
    Target("one_line", _one_line, (), (*LOGS, "\x1b[31mü\u2028\0".encode() * 40)),
    Target("links", _links, (), (_CHAIN,)),
    Target("tracebacks", lambda data: tracebacks.parse(_text(data)), (), LOGS),
    Target("timestamps", _timestamps, (), LOGS),
    Target("wrapping", lambda data: [unwrap(line) for line in data.split(b"\n")], (), LOGS),
    Target("analyze", _analyze, (SourceError,), LOGS),
    Target("engines", _engines, (SourceError,), LOGS),
)
