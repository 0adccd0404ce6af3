"""Which lines of a log tell of no failure, whatever words they use.

Libraries warn of what they do without, print advice for a failure that did not happen, and quote the source around a
frame. What is believed instead: lines of a level that says so, or of none, and exceptions that were printed with a
level that their writer gives to all that a worker says.
"""

from model_load_exporter.classify.patterns import compiled

IGNORED = "Exception ignored in"
"""Python's header of a traceback that changed nothing: a destructor at the end of the process."""

_GUESSES = " common causes include"
_HEAD = 240
"""Characters in which a logger's prefix ends."""

_LEVEL = (
    r"(?:^|[\s\[(:|\"/-])(?:DEBUG|INFO|NOTICE|TRACE|WARN|WARNING)(?=[\s\]):|\"/]|$)"
    # In small letters these are words as well: at the line's head behind a time, or between marks.
    r"|^(?:[\d\W]\S*\s+){0,3}(?:debug|info|notice|trace|warn|warning)(?=[\s:|]|$)"
    r"|[\[(|\":]\s*(?:debug|info|notice|trace|warn|warning)\s*[\])|\":/]"
    r"|\b(?i:level|severity|lvl)[\"']?\s*[=:]\s*[\"']?(?i:debug|info|notice|trace|warn)"
    r"|(?:^|[\[\]\d:>]\s?)[DIWV](?:\d{3,6})?[\s\]](?=.)|^\s+[DIWV]\d{4} "
    r"|^npm warn|^W: |^I: |^\.{3,}warning: "
)
_WARNING = r"(?:^|:\d+: )\w*Warning: |^\s*warnings\.warn\("
_ADVICE = (
    r"^[\s>*#-]*(?:If (?:you|your|the|this|it|not|reserved)|In case|Hint:|Tip:|This (?:can happen|might)|You can"
    r"|Consider |Either way|To (?:avoid|fix|resolve|silence|disable|use)\b"
    r"|Try (?:to|setting|increasing|reducing|decreasing)"
    r"|For debugging|See (?:also|the)\b|Possible (?:cause|reason|solution)|CUDA kernel errors might)"
)
_WENT_ON = (
    r"(?i)\b(?:will ignore (?:the |this )?error|error caught was: |falling back to|non-?fatal"
    r"|there was a problem when trying to write in your cache folder|error occurred while writing the file to cache: "
    r"|continuing (?:anyway|without)|TryGetProviderInfo_\w+|LoadLib\(\S+\) failed|http request: [a-z]+ https?)\b"
)
_QUOTED_SOURCE = (
    r"^\s*(?:-+> ?)?\d{1,5}(?: {4,}| *│|\t)|^\s*│\s*❱?\s*(?:\d+ )?│|^\s*│\s*❱?\s*\d+ "
    r"|^\s{2,}(?:raise|except|return|assert|if|elif|with|for|def|class)\b"
)
_WORKERS_STREAM = r"-std(?:out|err)\b|\| stderr \||\bstderr F |MODEL_LOG"
"""A line that a server took from its worker's output and gave a level of its own."""


def said(line: str) -> str:
    """The line without what its writer only guesses: ray lists each way in which a process can die."""
    return line.partition(_GUESSES)[0]


def harmless(line: str, exception: bool = False) -> bool:
    """Whether the line says by its form that nothing failed. exception: whether it ends as a printed exception does."""
    head = line[:_HEAD]
    if compiled(_WARNING).search(line[: 2 * _HEAD]) or compiled(_ADVICE).search(head):
        return True
    if compiled(_QUOTED_SOURCE).search(head) or compiled(_WENT_ON).search(line):
        return True
    level = compiled(_LEVEL).search(head)
    if level is None or compiled(_WORKERS_STREAM).search(head):
        return False
    if exception and compiled(r"\s*[\w.]*(?:Error|Exception): ").match(line):
        return False  # what comes behind it is its message, or another writer's line without a break
    # `INFO - ModuleNotFoundError: ...`: a traceback that was logged line by line. An exception's name further on in a
    # sentence is what the library does without.
    return not (exception and _begins_with_exception(line, level.end()))


def _begins_with_exception(line: str, start: int) -> bool:
    message = compiled(r"[\w.]*(?:Error|Exception)(?:: |:?\s*$)").search(line, start)
    if message is None or any(word in line[:start].upper() for word in ("WARN", "DEBUG", "TRACE")):
        return False
    between = line[start : message.start()].strip()
    return not compiled(r"[a-z]{2,} [a-z]{2,}").search(between)
