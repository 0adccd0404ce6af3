"""`run --model M`: a server of any language, from its start until it is ready, as one load of M.

The journal files are the supervisor's, their locks the service's: the service's process takes them before its program
begins, so the daemon knows whom to watch, and the supervisor keeps them open. When the service dies, its supervisor
closes them, and the daemon says who ended it. Nothing here fails or delays a start.
"""

import contextlib
import os
import signal
import time
from typing import Any

from model_load_exporter.instrument.load import PARENT
from model_load_exporter.journal.process import boot_id, pid_namespace, runtime
from model_load_exporter.journal.spool import SpoolError, find_spool
from model_load_exporter.journal.writer import JournalFile, stamp
from model_load_exporter.run.draft import Draft
from model_load_exporter.run.environment import TARGET
from model_load_exporter.run.evidence import exit_status_event
from model_load_exporter.run.options import Options

STAGE = "other"
"""What happens before a server is ready cannot be told apart from outside."""


class WitnessedStart:
    """One start of a service as a load, told while it happens."""

    def __init__(self, options: Options) -> None:
        from model_load_exporter.run.message import say

        self._options = options
        self._attempt: Draft | None = None
        self._holder: Draft | None = None
        try:
            folder = find_spool().folder
            self._attempt = Draft(folder, f"a-{os.urandom(16).hex()}")
            self._holder = Draft(folder, f"h-{os.urandom(16).hex()}", unnamed=True)
        except (OSError, SpoolError) as error:
            say(f"the load is not witnessed: {error}")
        self._output = None
        if options.ready_log is not None:
            from model_load_exporter.run.output import Output

            self._output = Output(options.ready_log)
        self._load: JournalFile | None = None
        self._holding: JournalFile | None = None
        self._pid = 0
        self._helper = 0
        self._found_ready = False
        self._open = True
        self._ready = False
        self._deadline: float | None = None
        self._began: tuple[int | None, int | None] = None, None

    @property
    def environment(self) -> dict[str, str]:
        """What the service's own loads of this model are part of."""
        return {PARENT: self._attempt.id} if self._attempt is not None else {}

    def in_child(self) -> None:
        """In the service's process, before its program."""
        for draft in (self._attempt, self._holder):
            if draft is not None:
                with contextlib.suppress(OSError):
                    draft.lock()
        if self._output is not None:
            self._output.in_child()

    def not_started(self) -> None:
        """There is no such program: the load has failed before it could begin."""
        self._begin_load(os.getpid())
        self._end_load({"outcome": "failed", "reason": "config_invalid", "message": "the command cannot be started"})

    def begin(self, pid: int) -> None:
        """The service's program runs."""
        self._pid = pid
        self._begin_load(pid)
        if self._options.ready_timeout is not None:
            self._deadline = time.monotonic() + self._options.ready_timeout
        if self._options.ready_url is not None:
            from model_load_exporter.run.address import ask_in_background

            self._helper = ask_in_background(self._options.ready_url, self._in_helper)
        if self._output is not None:
            self._output.begin(self._note_ready)

    def seconds_left(self) -> float | None:
        """Until the time limit; None while there is none."""
        return max(0.0, self._deadline - time.monotonic()) if self._deadline is not None and self._open else None

    def is_helper(self, pid: int) -> bool:
        """True for the process that asks the address."""
        return pid == self._helper

    def helper_ended(self, status: int) -> None:
        """It has had its answer."""
        self._helper = 0
        self._found_ready = self._found_ready or status == 0

    def look(self) -> None:
        """Between two signals: is it ready, has its time passed?"""
        if self._ready:
            return
        if self._found_ready:
            self._ready = True
            self._end_load({"outcome": "loaded"})
            self._hold()
            if self._output is not None:
                self._output.forget()
        elif self._open and self.seconds_left() == 0.0:
            limit = f"{self._options.ready_timeout:g} s"
            self._end_load({"outcome": "failed", "reason": "timeout", "message": f"not ready within {limit}"})

    def end(self, status: int, asked: int | None) -> None:
        """The service has ended; asked: the last signal that asked it to."""
        if self._helper:
            os.kill(self._helper, signal.SIGKILL)
            os.waitpid(self._helper, 0)
            self._helper = 0
        if self._output is not None:
            self._output.finish()
            self.look()
        if self._open:
            self._died(status, asked)
        if self._holding is not None:
            orderly = status == 0 or asked is not None
            self._holding.write(stamp("exit") if orderly else exit_status_event(self._pid, status))
            if self._holder is not None:
                self._holder.unlock()
            self._holding.close()

    def _died(self, status: int, asked: int | None) -> None:
        """Before it was ready. Who ended it is the daemon's to say, unless it said so itself or was asked to end."""
        if asked == signal.SIGINT:
            self._end_load({"outcome": "cancelled"})
            return
        found = None
        if self._output is not None and not os.WIFSIGNALED(status):
            from model_load_exporter.classify.text import classify_text

            found = classify_text(self._output.seen())
        if found is not None:
            self._end_load({"outcome": "failed", "reason": found.reason, "message": found.message})
        elif asked is not None and not os.WIFSIGNALED(status):
            name = signal.Signals(asked).name
            self._end_load({"outcome": "failed", "reason": "killed", "message": f"{name} before it was ready"})
        elif self._load is not None:
            self._load.write(exit_status_event(self._pid, status))
            self._load.close()
            self._open = False

    def _begin_load(self, pid: int) -> None:
        if self._attempt is None:
            return
        with contextlib.suppress(OSError, ValueError):
            self._began = _resident(pid)
            self._load = self._attempt.publish({**stamp("begin"), **self._identity(pid), "kind": "service"})
            self._load.write({**stamp("stage_begin"), "stage": STAGE})

    def _end_load(self, outcome: dict[str, str]) -> None:
        self._open = False
        if self._load is not None:
            rss, anonymous = _resident(self._pid) if self._pid else (None, None)
            failed = {} if outcome["outcome"] == "loaded" else {"failed": True}
            self._load.write({**stamp("stage_end"), "stage": STAGE, "rss": rss, "anonymous": anonymous, **failed})
            self._load.write({**stamp("end"), "peak_rss": rss, "peak_anonymous": anonymous, **outcome})
            self._load.close()

    def _hold(self) -> None:
        """Late too, after its time had passed: then the load has failed, and the model is held."""
        if self._holder is None or self._load is None:
            return
        _, anonymous = _resident(self._pid)
        grown = max(0, (anonymous or 0) - (self._began[1] or 0))
        with contextlib.suppress(OSError, ValueError):
            self._holding = self._holder.publish(
                {**stamp("hold"), **self._identity(self._pid), "attempt": self._load.id, "anonymous": grown}
            )

    def _identity(self, pid: int) -> dict[str, Any]:
        where = {key: value for key, value in runtime().items() if key != "python"}
        target = self._options.name or os.environ.get(TARGET)
        event = {
            "model": self._options.model, "pid": pid, "boot_id": boot_id(), "pid_namespace": pid_namespace(),
            "target": target or None, "runtime": where or None,
        }  # fmt: skip
        return {key: value for key, value in event.items() if value is not None}

    def _note_ready(self) -> None:
        """In the thread that reads the output: the supervisor wakes, and looks."""
        self._found_ready = True
        os.kill(os.getpid(), signal.SIGCHLD)

    def _in_helper(self) -> None:
        """Its copies of what is the service's would outlive the service."""
        if self._holder is not None:
            self._holder.unlock()
        if self._output is not None:
            self._output.close_in_helper()


def _resident(pid: int) -> tuple[int | None, int | None]:
    """(resident, anonymous) bytes of the service's process now; its workers' are their own."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            fields = [int(field) * os.sysconf("SC_PAGE_SIZE") for field in file.read().split()]
        return fields[1], fields[1] - fields[2]
    except (OSError, ValueError, IndexError):
        return None, None
