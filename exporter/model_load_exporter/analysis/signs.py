"""The rows that scan looks for beside classify's wordings.

classify/patterns says *why* a load failed; these say that a process began, got up or ended, and that others noticed.
By itself an end decides only where nothing tells more: see cause.py. A new wording is a new row in ends.py, life.py or
stages.py, and its line in tests/unit/test_analysis_signs.py.
"""

from model_load_exporter.analysis.ends import ENDS
from model_load_exporter.analysis.life import LIFE_SIGNS
from model_load_exporter.analysis.sign import CAUSE, EXCUSE, TRACEBACK, Sign
from model_load_exporter.analysis.stages import STAGE_SIGNS

_EXCEPTION = (
    r"(?:Error|Exception|Exit|Interrupt|Timeout|Expired|Enabled|NoSuchFile|InvalidProtobuf|InvalidGraph|Fail)"
    r"(?::\s|:?\s*$)"
)
"""At least what classify.tracebacks reads as the last line of a traceback; it has the last word."""

_EXCEPTION_WORDS = (
    "error",
    "exception",
    "exit",
    "interrupt",
    "timeout",
    "expired",
    "enabled",
    "nosuchfile",
    "invalid",
    "fail",
)

_TRACEBACKS = (
    *(
        Sign(CAUSE, needle, _EXCEPTION)
        for needle in _EXCEPTION_WORDS
    ),
    Sign(TRACEBACK, "traceback (most recent call last"),
    Sign(EXCUSE, "exception ignored in"),
)  # fmt: skip

SIGNS: tuple[Sign, ...] = (*ENDS, *LIFE_SIGNS, *_TRACEBACKS, *STAGE_SIGNS)
"""Every row; among rows of END and CLIENT that fit one line the highest rank decides, then the first."""
