"""Ends by a signal: as shells, Python and operating systems name it, and as exit statuses tell it."""

from model_load_exporter.classify.patterns.row import LAST, PLAIN, VAGUE, Pattern


def _status(signal: int) -> str:
    """An expression for an exit status that tells a signal, as shells, Docker, Kubernetes and Python put it."""
    code, negative = 128 + signal, f"-{signal}"
    numbers = rf"(?:{code}|{negative})(?!\d)"
    return (
        rf"(?i)\bexit(?:ed|s|ing)?(?:[ _-]?(?:with|code|status|on|error|value|an?|of))*[\s:=(]+\(?{numbers}"
        rf"|\breturn ?code[\s:=]+{numbers}|\breturned {numbers}"
    )


def _windows(reason: str, code: int, rank: int) -> tuple[Pattern, ...]:
    """A status of Windows in its three forms: in hexadecimal, unsigned, and signed as Python and Node print it."""
    return tuple(
        Pattern(reason, text, "", "Windows", log=True, rank=rank)
        for text in (f"{code:#x}", str(code), str(code - (1 << 32)))
    )


def _shell(reason: str, *words: str, rank: int) -> tuple[Pattern, ...]:
    """What shells print of a signal, in other languages than English."""
    return tuple(Pattern(reason, word, "", "shell", log=True, rank=rank) for word in words)


def _audit(reason: str, signal: int, rank: int) -> tuple[Pattern, ...]:
    """The audit log's record of an abnormal end, raw and as ausearch prints it."""
    return (
        Pattern(
            reason, f"sig={signal}", rf"type=(?:1701|ANOM_ABEND)\b.*\bsig={signal}\b", "audit", log=True, rank=rank
        ),
    )


ROWS: tuple[Pattern, ...] = (
    # signals by their names
    Pattern("segfault", "fatal python error: segmentation fault", "", "faulthandler", log=True),
    Pattern("segfault", "segfault at", r"segfault at [0-9a-f]+ ip", "kernel", log=True),
    Pattern("segfault", "general protection fault ip", "", "kernel", log=True, rank=PLAIN),
    Pattern("segfault", "general protection ip", "", "kernel", "-5.x", log=True, rank=PLAIN),
    Pattern("segfault", "caught signal 11", "", "UCX", log=True),
    Pattern("segfault", "signal 11", r"(?i)signal:? 11\b", "", log=True, rank=PLAIN),
    Pattern("segfault", "sigsegv", r"^(?!.*root cause).*SIGSEGV", "", rank=PLAIN),
    Pattern("segfault", "segmentation violation", "", "Go", log=True, rank=PLAIN),
    Pattern("segfault", "windows fatal exception: access violation", "", "faulthandler", log=True),
    Pattern("segfault", "access violation reading", r"(?i)error|exception", "ctypes"),
    Pattern("segfault", "access violation writing", r"(?i)error|exception", "ctypes"),
    Pattern("segfault", "0xc0000005", r"^(?!.*GPU discovery).*", "Windows", log=True, rank=PLAIN),
    Pattern("segfault", "3221225477", "", "Windows", log=True, rank=PLAIN),
    Pattern("segfault", "-1073741819", "", "Windows", log=True, rank=PLAIN),
    Pattern("segfault", "segmentation fault", "", "shell", log=True, rank=PLAIN),
    Pattern("segfault", "段错误", "", "shell", log=True, rank=PLAIN),
    Pattern("segfault", "speicherzugriffsfehler", "", "shell", log=True, rank=PLAIN),
    Pattern("segfault", "erreur de segmentation", "", "shell", log=True, rank=PLAIN),
    Pattern("segfault", "violación de segmento", "", "shell", log=True, rank=PLAIN),
    Pattern("segfault", "falha de segmentação", "", "shell", log=True, rank=PLAIN),
    Pattern("segfault", "ошибка сегментирования", "", "shell", log=True, rank=PLAIN),
    Pattern("segfault", "세그멘테이션 오류", "", "shell", log=True, rank=PLAIN),
    Pattern("segfault", "stack smashing detected", "", "glibc", log=True, rank=VAGUE),
    Pattern("bus_error", "fatal python error: bus error", "", "faulthandler", log=True),
    Pattern("bus_error", "unexpected bus error encountered in worker", "", "torch", rank=PLAIN),
    Pattern("bus_error", "killed by signal: bus error", "", "torch", rank=PLAIN),
    Pattern("bus_error", "sigbus", r"SIGBUS", "", rank=PLAIN),
    Pattern("bus_error", "signal 7", r"(?i)signal:? 7\b", "", log=True, rank=PLAIN),
    Pattern("bus_error", "bus error", r"(?:^|[\s:])[Bb]us error\b(?! encountered)", "shell", log=True, rank=PLAIN),
    Pattern("bus_error", "总线错误", "", "shell", log=True, rank=PLAIN),
    Pattern("illegal_instruction", "trap invalid opcode", "", "kernel", log=True),
    Pattern("illegal_instruction", "fatal python error: illegal instruction", "", "faulthandler", log=True),
    Pattern("illegal_instruction", "sigill", r"SIGILL", "", rank=PLAIN),
    Pattern("illegal_instruction", "signal 4", r"(?i)signal:? 4\b", "", log=True, rank=PLAIN),
    Pattern("illegal_instruction", "illegal instruction", r"(?i)^(?!.*was encountered).*", "shell", log=True,
            rank=PLAIN),
    Pattern("illegal_instruction", "0xc000001d", "", "Windows", log=True, rank=PLAIN),
    Pattern("illegal_instruction", "3221225501", "", "Windows", log=True, rank=PLAIN),
    Pattern("illegal_instruction", "-1073741795", "", "Windows", log=True, rank=PLAIN),
    Pattern("illegal_instruction", "非法指令", "", "shell", log=True, rank=PLAIN),
    Pattern("illegal_instruction", "ungültiger maschinenbefehl", "", "shell", log=True, rank=PLAIN),
    Pattern("illegal_instruction", "compiled to use ", r"compiled to use \w+ instructions, but these aren't available",
            "tensorflow", "1.6-", log=True),
    Pattern("segfault", "exc_bad_access", "", "macOS", log=True, rank=PLAIN),
    Pattern("illegal_instruction", "exc_bad_instruction", "", "macOS", log=True, rank=PLAIN),
    Pattern("illegal_instruction", "illegal hardware instruction", "", "zsh", log=True, rank=PLAIN),
    *_windows("segfault", 0xC00000FD, rank=PLAIN),
    *_windows("bus_error", 0xC0000006, rank=PLAIN),
    *_windows("dependency_missing", 0xC0000135, rank=PLAIN),
    *_windows("version_incompatible", 0xC0000139, rank=PLAIN),
    *_windows("version_incompatible", 0xC000007B, rank=PLAIN),
    *_windows("aborted", 0xC0000374, rank=LAST),
    *_windows("killed", 0xC000013A, rank=LAST),
    Pattern("aborted", "3221226505", "", "Windows", log=True, rank=LAST),
    Pattern("aborted", "-1073740791", "", "Windows", log=True, rank=LAST),
    *_shell("segfault", "セグメンテーション違反", "errore di segmentazione", "naruszenie ochrony pamięci", rank=PLAIN),
    Pattern("segfault", "system.accessviolationexception", "", ".NET", log=True, rank=PLAIN),
    Pattern("segfault", "fault (11)", r"unhandled .{0,40}fault \(11\)", "kernel (arm64)", log=True, rank=PLAIN),
    Pattern("illegal_instruction", "exception_illegal_instruction", "", "JVM", log=True, rank=PLAIN),
    Pattern("bus_error", "exception_in_page_error", "", "JVM", log=True, rank=PLAIN),
    Pattern("bus_error", "access to an undefined portion of a memory object", "", "paddle", rank=PLAIN),
    *_audit("segfault", 11, rank=PLAIN),
    *_audit("bus_error", 7, rank=PLAIN),
    *_audit("illegal_instruction", 4, rank=PLAIN),
    *_audit("aborted", 6, rank=LAST),
    # exit statuses
    Pattern("segfault", "139", _status(11), "shell, docker, kubernetes", log=True, rank=PLAIN),
    Pattern("segfault", "-11", _status(11), "Python", rank=PLAIN),
    Pattern("bus_error", "135", _status(7), "shell, docker, kubernetes", log=True, rank=PLAIN),
    Pattern("bus_error", "-7", _status(7), "Python", log=True, rank=PLAIN),
    Pattern("illegal_instruction", "132", _status(4), "shell, docker, kubernetes", log=True, rank=PLAIN),
    Pattern("illegal_instruction", "-4", _status(4), "Python", log=True, rank=PLAIN),
    # it gave up itself
    Pattern("aborted", "fatal python error: aborted", "", "faulthandler", log=True, rank=LAST),
    Pattern("aborted", "terminate called", r"terminate called (?:after throwing|without an active|recursively)", "C++",
            log=True, rank=LAST),
    Pattern("aborted", "terminating due to uncaught exception", "", "libc++", log=True, rank=LAST),
    Pattern("aborted", "ggml_assert", r"GGML_ASSERT", "llama.cpp", log=True, rank=LAST),
    Pattern("aborted", "ggml_abort", "", "llama.cpp", "b3645-", log=True, rank=LAST),
    Pattern("aborted", "check failed: ", r"(?:^|\s|\d: )F(?:\d{4})? .{0,200}Check failed: ", "glog, tensorflow",
            log=True, rank=LAST),
    Pattern("aborted", "sigabrt", r"SIGABRT", "", rank=LAST),
    Pattern("aborted", "signal 6", r"(?i)signal:? 6\b", "", log=True, rank=LAST),
    Pattern("aborted", "signal: aborted", "", "Go, ollama", log=True, rank=LAST),
    Pattern("aborted", "double free or corruption", "", "glibc", log=True, rank=LAST),
    Pattern("aborted", "free(): invalid", r"free\(\): invalid (?:pointer|size|next size)", "glibc", log=True,
            rank=LAST),
    Pattern("aborted", "malloc(): ", r"malloc\(\): (?:corrupted|invalid|unaligned|memory corruption)", "glibc",
            log=True, rank=LAST),
    Pattern("aborted", "0xc0000409", "", "Windows", log=True, rank=LAST),
    Pattern("aborted", "aborted",
            r"(?:^|\s)Aborted(?: \(core dumped\))?\s*$|(?:^|\s)\d+ Aborted\s+(?:\(core dumped\)|\S)", "shell", log=True,
            rank=LAST),
    Pattern("aborted", "abgebrochen", r"(?:^|\s)Abgebrochen(?: \(Speicherabzug geschrieben\))?\s*$", "shell", log=True,
            rank=LAST),
    Pattern("aborted", "*** error in", r"\*\*\* Error in [`'].{0,200}: (?:free|malloc|realloc|double free|munmap_chunk|"
            r"corrupted|invalid)", "glibc", "-2.25", log=True, rank=LAST),
    Pattern("aborted", "munmap_chunk(): invalid", "", "glibc", log=True, rank=LAST),
    Pattern("aborted", "corrupted ", r"corrupted (?:size vs\. prev_size|double-linked list)", "glibc", log=True,
            rank=LAST),
    Pattern("aborted", "iot instruction", "", "zsh", log=True, rank=LAST),
    Pattern("aborted", "mpi_abort was invoked", "", "Open MPI", log=True, rank=LAST),
    Pattern("aborted", "process abort signal", "", "paddle", rank=LAST),
    Pattern("aborted", " abort ", r"^\[\d+\]\s*[+-]?\s*(?:\d+ )?abort\b", "zsh", log=True, rank=LAST),
    Pattern("aborted", "abort trap: 6", "", "macOS", log=True, rank=LAST),
    Pattern("aborted", "zsh: abort", "", "zsh", log=True, rank=LAST),
    Pattern("aborted", "trace trap", r"zsh: trace trap|[Tt]race/[Bb][Pp][Tt] trap", "macOS", log=True, rank=LAST),
    Pattern("aborted", "trace/bpt trap", "", "macOS", log=True, rank=LAST),
    Pattern("aborted", "terminating with uncaught exception", "", "libc++", log=True, rank=LAST),
    Pattern("aborted", "terminate called throwing an exception", "", "libc++", log=True, rank=LAST),
    *_shell("aborted", "已中止 (核心已转储)", "已放弃 (核心已转储)", "abandon (core dumped)", "abortado (",
            "аварийный останов", "中止 (コアダンプ)", rank=LAST),
    Pattern("aborted", "134", _status(6), "shell, docker, kubernetes", log=True, rank=LAST),
    Pattern("aborted", "-6", _status(6), "Python", log=True, rank=LAST),
    # somebody ended it
    Pattern("killed", "terminated",
            r"^\W*Terminated(?:: 15)?\W*$|(?:^|\s)\d+ Terminated\s{2,}\S|^\[\d+\]\s*[+-]?\s*(?:\d+ )?[Tt]erminated\b",
            "shell", log=True, rank=LAST),
    Pattern("killed", "killed: 9", r"\bKilled: 9\b", "macOS", log=True, rank=LAST),
    Pattern("killed", "`termination signal` is detected", "", "paddle", rank=LAST),
    Pattern("killed", "killed",
            r"(?:^|\s|\|)\d*\s*Killed\b(?!:)(?:\s*$|\s{2,}\S)|^\W*Killed\W*$|^\[\d+\]\s*[+-]?\s*(?:\d+ "
            r")?[Kk]illed\b", "shell", log=True, rank=LAST),
    Pattern("killed", "已杀死", "", "shell", log=True, rank=LAST),
    Pattern("killed", "已终止", "", "shell", log=True, rank=LAST),
    Pattern("killed", "getötet", r"(?:^|\s)Getötet\s*$", "shell", log=True, rank=LAST),
    Pattern("killed", "강제 종료", "", "shell", log=True, rank=LAST),
    *_shell("killed", "已砍掉", "強制終了", "죽었음", "убито", "processus arrêté", "terminado (killed)", rank=LAST),
    Pattern("killed", "was sent sigkill", "", "gunicorn", "20.1-", log=True, rank=LAST),
    Pattern("killed", "sigkill", r"^(?!.*(?:OOM killer|potential root causes|root cause)).*SIGKILL", "", rank=LAST),
    Pattern("killed", "signal 9", r"(?i)^(?!.*root cause).*signal:? 9\b", "", rank=LAST),
    Pattern("killed", "signal 15", r"(?i)^(?!.*(?:syslog|dhc|avahi|dnsmasq|root cause)).*signal:? 15\b",
            "torchelastic", log=True, rank=LAST),
    Pattern("killed", "signal: killed", "", "Go, AWS Lambda", log=True, rank=LAST),
    Pattern("killed", "signal: terminated", "", "Go, ollama", log=True, rank=LAST),
    Pattern("killed", "status=9/kill", "", "systemd", log=True, rank=LAST),
    Pattern("segfault", "status=11/segv", "", "systemd", log=True, rank=PLAIN),
    Pattern("aborted", "status=6/abrt", "", "systemd", log=True, rank=LAST),
    Pattern("killed", "137", _status(9), "shell, docker, kubernetes", log=True, rank=LAST),
    Pattern("killed", "-9", _status(9), "Python", log=True, rank=LAST),
    Pattern("killed", "143", _status(15), "shell, docker, kubernetes", log=True, rank=LAST),
)  # fmt: skip
"""Rows of the branch `process` that name a signal."""
