"""Starting the service: everything of it as the supervisor itself was started, but for the environment."""

import errno
import os
import select
import signal
from collections.abc import Callable, Mapping

_PR_SET_PDEATHSIG = 1


class StartError(Exception):
    """The service could not be started. status: what env(1) would exit with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Inherited:
    """What the supervisor changes of its own signals, and the service must not inherit. Made before the change."""

    def __init__(self, block: set[signal.Signals]) -> None:
        # Where it is ignored nobody can wait for a child.
        self._child = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, block)

    def restore(self) -> None:
        """In the service's process, before its program."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        # Python ignores it from its start on, so that what it was before can only be known from who started us:
        # systemd starts its units with SIGPIPE ignored, nobody else does.
        if os.environ.get("SYSTEMD_EXEC_PID") != str(os.getppid()):
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if self._child == signal.SIG_IGN:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)


def start(command: list[str], environment: Mapping[str, str], inherited: Inherited, prepare: Callable[[], None]) -> int:
    """Starts it and returns its pid once its program runs. Raises StartError.

    prepare: done in the new process first.
    """
    supervisor = os.getpid()
    told, tell = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        raise StartError(f"cannot start a process: {error.strerror}", 125) from None
    if child == 0:
        number = errno.EIO
        try:
            prepare()
            _die_with(supervisor)
            inherited.restore()
            _exec(command, environment)
        except OSError as error:
            number = error.errno or number
        finally:
            os.write(tell, b"%d" % number)
            os._exit(125)
    os.close(tell)
    said = _said(told, child)
    os.close(told)
    if said:
        os.waitpid(child, 0)
        number = int(said)
        raise StartError(f"{command[0]}: {os.strerror(number)}", 127 if number == errno.ENOENT else 126)
    return child


def _said(told: int, child: int) -> bytes:
    """Why the program could not be run; empty once it runs, or was stopped (Ctrl-Z) before it could."""
    poll = select.poll()
    poll.register(told, select.POLLIN)
    while not poll.poll(100):
        if os.waitid(os.P_PID, child, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None:
            return b""
    return os.read(told, 16)


def _exec(command: list[str], environment: Mapping[str, str]) -> None:
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - a shell is asked for by who wants one
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        # A script without a first line that names its interpreter is the shell's, as execvp(3) has it.
        os.execve("/bin/sh", ["sh", _path_of(command[0], environment), *command[1:]], environment)  # noqa: S606


def _path_of(name: str, environment: Mapping[str, str]) -> str:
    if "/" in name:
        return name
    paths = (os.path.join(folder, name) for folder in os.get_exec_path(dict(environment)))
    return next(path for path in paths if os.access(path, os.X_OK))


def _die_with(supervisor: int) -> None:
    """SIGKILL cannot be handed on: who kills the supervisor with it means the service, and gets it."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return
    if os.getppid() != supervisor:
        os._exit(125)
