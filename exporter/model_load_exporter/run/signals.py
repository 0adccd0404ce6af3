"""Which signals are handed on, how a stop is shared, and how the supervisor ends as its service did.

The service stays in the supervisor's process group, so a terminal treats it as it would without a supervisor: Ctrl-C,
Ctrl-Z, a new window size reach it from the kernel, once. The supervisor gets the same signal with si_code SI_KERNEL
and keeps it to itself: a second SIGINT would make many servers drop their requests.
"""

import os
import resource
import signal

TYPE_CHECKING = False  # typing itself would cost the supervisor a megabyte
if TYPE_CHECKING:
    from typing import NoReturn

WAITED = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
"""All that can be caught. They stay blocked in the supervisor, which takes them one by one with sigwaitinfo."""

_SI_KERNEL = 0x80
_TERMINAL = {
    signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH,
    signal.SIGHUP, signal.SIGCONT,
}  # fmt: skip
_HANGUP = {signal.SIGHUP, signal.SIGCONT}
_JOB_STOPS = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}


def to_hand_on(info: signal.struct_siginfo, child: int) -> bool:
    """True for a signal that the service did not get by itself."""
    if info.si_signo == signal.SIGCHLD:
        return False
    if info.si_code == _SI_KERNEL and info.si_signo in _TERMINAL:
        # The kernel tells a terminal's end to the leader of the session alone: without a supervisor, the service.
        return info.si_signo in _HANGUP and _leads_session()
    # What the service sent, it sent to its group (kill 0): it has it already.
    return info.si_pid != child


def stop_like(number: int, *, asked: bool) -> None:
    """Stops the supervisor as its service stopped, where a shell is to see it; returns once it is continued.

    asked: a job-control stop came before; editors answer it with SIGSTOP. Any other SIGSTOP was meant for the service
    alone, and whoever sent it will continue the service alone.
    """
    # Continued already, before the stop was heard of: a stop now would outlast it.
    if _leads_session() or not _has_terminal() or signal.SIGCONT in signal.sigpending():
        return
    if number in _JOB_STOPS or (number == signal.SIGSTOP and asked):
        # Sent first and let in then: one that the terminal sent too is one and the same with it.
        os.kill(os.getpid(), number)
        if number in WAITED:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
            signal.pthread_sigmask(signal.SIG_BLOCK, {number})


def is_stop_request(number: int) -> bool:
    """True for the job-control stops, which a program may put off and answer with SIGSTOP."""
    return number in _JOB_STOPS


def leave(status: int) -> "NoReturn":
    """Ends this process as the service ended; status: as wait(2) has it."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if os.getpid() == 1:
            # The kernel lets nobody end the first process of a container so, itself included.
            os._exit(128 + number)
        _no_core()
        if number in WAITED:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os._exit(128 + number)
    os._exit(os.WEXITSTATUS(status))


def _no_core() -> None:
    """The service has left its core, if any: the supervisor's would only hide it. 1 stops a core_pattern pipe too."""
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (hard if hard == 0 else 1, hard))
    except (OSError, ValueError):
        pass


def _leads_session() -> bool:
    return os.getsid(0) == os.getpid()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY))
    except OSError:
        return False
    return True
