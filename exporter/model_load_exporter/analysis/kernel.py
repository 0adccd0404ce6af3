"""Lines of the kernel's log: whose they are, whom they name, and whether that can be the service."""

from dataclasses import dataclass

from model_load_exporter.classify.patterns import compiled

# What may stand before a kernel's own words: brackets (time, cpu, thread), a syslog head, a priority, punctuation.
_KERNEL_HEAD = (
    r"^[\s>|#$*`-]*(?:\d{1,4},\d+,\d+,[^;\s]{0,32};)?"
    r"(?:\w{3,}\s*:\s*\w+\s*:\s*)?(?:<\d{1,3}>)?(?:\S{0,40}\d\d:\d\d:\d\d\S*\s+)?(?:[\w.-]+\s+)?(?:\[[^\]]{1,40}\]\s*)*$"
)
# dmesg's own stamp, alone or behind a priority: nobody else writes six figures of seconds in brackets.
_SECONDS = r"^[\s>|]*(?:<\d{1,3}>)?\[\s*\d{1,9}\.\d{6}\]"
_TAG = 80
_KERNEL_TAG = r"(?:^|\s)kernel(?:\[\d+\])?:\s|\bkernel-monitor\b|\bOOMKilling\b|\bGuest: "
_WORDS = (
    r"oom-kill:|(?:\S+ )?invoked oom-killer|Memory cgroup out of memory|Out of memory: Kill|Kill(?:ed)? process \d+|"
    r"memory: usage \d+kB, limit |Task in /\S* killed as a result|oom_reaper:|mem_cgroup_out_of_memory|"
    r"oom_kill_process|out_of_memory\+|"
    r"\S+\[\d+\]: segfault at |traps: |NVRM: |amdgpu|Linux version |Kernel panic"
)
_QUOTE = r"[\"'{}=]"
_RECORD = r"^(\d{1,4}),\d+,\d+,[^;]{0,64};"
_DECODED = r"^(?:user|mail|daemon|auth|syslog|local\d)\s*:\w+\s*:"

_VICTIMS = (
    r"[Kk]ill(?:ed)? process (?P<pid>\d+) \((?P<name>[^)]{1,32})\)",
    r"task=(?P<name>[^,]{1,32}),pid=(?P<pid>\d+)",
    r"reaped process (?P<pid>\d+) \((?P<name>[^)]{1,32})\)",
    r"(?P<name>[\w./:-]{1,32})\[(?P<pid>\d+)\]: segfault at",
    r"traps: (?P<name>[^\[]{1,32})\[(?P<pid>\d+)\]",
    r"NVRM: Xid .*\bpid='?(?P<pid>\d+)'?, name=(?P<name>[\w.-]+)",
)
_PID = (
    r"\bpid[ =:]{1,2}(\d{2,7})\b|\bprocess \[(\d{2,7})\]|\]\s\[(\d{2,7})\]\s\[|"
    r"\b(?:python3?|gunicorn|uvicorn|[\w-]*serve[\w-]*)\[(\d{2,7})\]:|\b(\d{2,7}) Killed\b|\"pid\":(\d{2,7})"
)
_SERVERS = (
    r"(?i)^(?:python|pt_main|pt_data|uvicorn|gunicorn|hypercorn|vllm|sglang|ray|triton|torch|text-gen|tgi|"
    r"llama|ollama|server|main|java|node|whisper|onnx|tf|tensorflow|bento|mlserver|kserve|model|jupyter|celery|uwsgi|"
    r"cuda|nv|tei)"
)


@dataclass(frozen=True, slots=True)
class Victim:
    """Whom a kernel line names: pid of the host's namespace, and the first 15 characters of the program's name."""

    pid: int
    name: str

    @property
    def may_serve(self) -> bool:
        """Whether a program of that name may be one that loads models. An unknown name does not rule it out."""
        return compiled(_SERVERS).search(self.name) is not None


def is_kernel(text: str) -> bool:
    """Whether the kernel itself wrote the line. Its words inside another program's line are only text."""
    if is_forged(text):
        return False
    if compiled(_SECONDS).match(text) is not None:
        return True
    words = compiled(_WORDS).search(text)
    head = text[: words.start()] if words is not None else text[:_TAG]
    if compiled(_KERNEL_TAG).search(head) is not None:
        return compiled(_QUOTE).search(head) is None
    return words is not None and compiled(_KERNEL_HEAD).match(head) is not None


def is_forged(text: str) -> bool:
    """Whether the kernel's log itself says that somebody else wrote the record: facility 0 is the kernel's own."""
    record = compiled(_RECORD).match(text)
    return (record is not None and int(record[1]) >> 3 != 0) or compiled(_DECODED).match(text) is not None


def speaks_as_kernel(text: str) -> bool:
    """Whether the line has a kernel's words anywhere."""
    return compiled(_WORDS).search(text) is not None


def victim(text: str) -> Victim | None:
    """Whom a kernel line says that it ended, or that faulted."""
    for pattern in _VICTIMS:
        match = compiled(pattern).search(text)
        if match:
            return Victim(int(match["pid"]), match["name"].strip())
    return None


def pids(text: str) -> tuple[int, ...]:
    """The process ids that a service's own line tells."""
    return tuple(int(next(group for group in match.groups() if group)) for match in compiled(_PID).finditer(text[:300]))
