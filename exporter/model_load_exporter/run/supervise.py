"""The supervisor at work: it sleeps in sigwaitinfo, hands on what comes, and ends as its service ended.

Nothing is polled. One thread more runs only where the service's output is read (`--ready-log`), one process more only
until the service is ready (`--ready-url`).
"""

import os
import signal
import time

from model_load_exporter.run.environment import environment_of, why_not
from model_load_exporter.run.message import say
from model_load_exporter.run.options import Options
from model_load_exporter.run.signals import WAITED, is_stop_request, leave, stop_like, to_hand_on
from model_load_exporter.run.start import Inherited, StartError, start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from model_load_exporter.run.witnessed import WitnessedStart

_EXITED, _KILLED, _DUMPED = os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED
_ORDERLY = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def main(arguments: list[str]) -> "NoReturn":
    """Runs the service to its end, and ends as it did; 125, 126 or 127 where it could not be started."""
    options = Options.from_arguments(arguments)
    reason = None if options.model is not None else why_not(options.command, os.environ)
    if reason is not None:
        say(f"the service is not instrumented: {reason}; track_load in its code works all the same")
    inherited = Inherited(WAITED)
    watched = _watched(options) if options.model is not None else None
    environment = environment_of(os.environ, options.name, instrumented=watched is None)
    if watched is not None:
        environment.update(watched.environment)
    try:
        child = start(options.command, environment, inherited, watched.in_child if watched is not None else _nothing)
    except StartError as error:
        if watched is not None:
            watched.not_started()
        say(str(error))
        os._exit(error.status)
    status = Supervisor(child, watched).until_end()
    leave(status)


def _watched(options: Options) -> "WitnessedStart":
    from model_load_exporter.run.witnessed import WitnessedStart

    return WitnessedStart(options)


class Supervisor:
    """Stands beside one service from its start to its end."""

    def __init__(self, child: int, watched: "WitnessedStart | None") -> None:
        self._child = child
        self._watched = watched
        self._began = time.time()
        self._stop_asked = False
        self._end_asked: int | None = None

    def until_end(self) -> int:
        """The service's wait status."""
        if self._watched is not None:
            self._watched.begin(self._child)
        while True:
            info = self._next()
            if info is not None and info.si_signo == signal.SIGCHLD:
                status = self._children()
                if status is not None:
                    return status
            elif info is not None:
                self._take(info)
            if self._watched is not None:
                self._watched.look()

    def _next(self) -> signal.struct_siginfo | None:
        """The next signal; None when the time limit for being ready has passed."""
        left = self._watched.seconds_left() if self._watched is not None else None
        # Without a limit it sleeps for as long as nothing happens.
        return signal.sigwaitinfo(WAITED) if left is None else signal.sigtimedwait(WAITED, left)

    def _take(self, info: signal.struct_siginfo) -> None:
        if is_stop_request(info.si_signo):
            self._stop_asked = True
        elif info.si_signo == signal.SIGCONT:
            self._stop_asked = False
        elif info.si_signo in _ORDERLY:
            self._end_asked = info.si_signo
        if to_hand_on(info, self._child):
            os.kill(self._child, info.si_signo)

    def _children(self) -> int | None:
        """Takes what befell children, those too that fell to the first process of a container."""
        while True:
            try:
                # Looked at first and reaped then: evidence is there before anybody may ask for it.
                event = os.waitid(os.P_ALL, 0, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return None
            if event is None:
                return None
            if event.si_code in (_EXITED, _KILLED, _DUMPED):
                status = self._ended(event.si_pid, _wait_status(event.si_code, event.si_status))
                if status is not None:
                    return status
            else:
                os.waitid(os.P_PID, event.si_pid, os.WSTOPPED | os.WNOHANG)
                if event.si_pid == self._child:
                    stop_like(event.si_status, asked=self._stop_asked)

    def _ended(self, pid: int, status: int) -> int | None:
        watched = self._watched
        if watched is not None and watched.is_helper(pid):
            os.waitpid(pid, 0)
            watched.helper_ended(status)
            return None
        from model_load_exporter.run.evidence import tell_exit_status

        tell_exit_status(pid, status, self._began)
        if watched is not None and pid == self._child:
            watched.end(status, self._end_asked)
        _, status = os.waitpid(pid, 0)
        return status if pid == self._child else None


def _wait_status(code: int, status: int) -> int:
    """As wait(2) gives it, from what waitid(2) says."""
    if code == _EXITED:
        return status << 8
    return status | 0x80 if code == _DUMPED else status


def _nothing() -> None:
    """There is nothing to do in the new process before its program."""
