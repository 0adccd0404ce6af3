"""One wording of a log that is not a failure's cause: what roles there are, and what a row has."""

from model_load_exporter.classify.patterns import LAST

CAUSE = "cause"
"""A wording of classify's."""
END = "end"
"""A process ended, or could not begin its work."""
CLIENT = "client"
"""Somebody who asked the service noticed."""
NOTICE = "notice"
"""Worth a line of the timeline, and no failure by itself."""
BEGIN = "begin"
"""A process, server or load begins: what was before it was another try."""
LOADED = "loaded"
"""The model is loaded: what failed before was made good."""
SERVING = "serving"
"""The server takes requests; a model that loads on the first one may still fail."""
STOP = "stop"
"""Somebody asked the process to end. A failure only where a load was under way."""
BOOT = "boot"
"""The host starts or goes down. A failure only where a load was under way."""
CLOCK_SET = "clock"
"""Tells the time of the host's start, and nothing of the load."""
STAGE = "stage"
"""A load's stage: stages.py has these rows."""
FRAME = "frame"
"""A line of a traceback that tells the stage."""
TRACEBACK = "traceback"
"""The head of a traceback: it has the time that the exception's own line lacks."""
EXCUSE = "excuse"
"""A warning: the traceback below it is a part of it."""


class Sign:
    """One wording.

    role: one of the constants above. needle, regex: as in classify.patterns.Pattern. reason, rank: what it says of
    the load's end, by itself. stage: of STAGE and FRAME. says: for the timeline, where the line itself is obscure.
    owns: nothing else in the line counts, whatever classify finds there.
    """

    __slots__ = ("needle", "owns", "rank", "reason", "regex", "role", "says", "stage")

    def __init__(
        self,
        role: str,
        needle: str,
        regex: str = "",
        reason: str = "",
        rank: int = LAST,
        says: str = "",
        stage: str = "",
        owns: bool = False,
    ) -> None:
        self.role = role
        self.needle = needle
        self.regex = regex
        self.reason = reason
        self.rank = rank
        self.says = says
        self.stage = stage
        self.owns = owns

    def __repr__(self) -> str:
        return f"Sign({self.role!r}, {self.needle!r})"
