"""Who asks the service: a poll of the health address and clients behind a load balancer. Each request is a connection.

The balancer does as all do: it sends clients while the last health answer was a 200.
"""

import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

HEALTH_SECONDS = 0.05
CLIENT_SECONDS = 0.25
TIMEOUT_SECONDS = 1.0
CLIENT_TIMEOUT_SECONDS = 30.0
UNANSWERED = ("refused", "reset", "timeout")


@dataclass(frozen=True)
class Seen:
    """One request. began: Unix time. outcome: ok, busy (503), error, or one of UNANSWERED."""

    began: float
    seconds: float
    outcome: str
    message: str


def ask(port: int, path: str, timeout: float) -> Seen:
    """One GET on a connection of its own."""
    began, clock = time.time(), time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    message = ""
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        answer.read()
        outcome = {200: "ok", 503: "busy"}.get(answer.status, "error")
    except ConnectionRefusedError as error:
        outcome, message = "refused", f"ConnectionRefusedError: {error}"
    except TimeoutError:
        outcome, message = "timeout", f"TimeoutError: no answer within {timeout:g} s"
    except (OSError, http.client.HTTPException) as error:
        # A connection that was there and went away: RST, or an end without an answer.
        outcome, message = "reset", f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return Seen(began, time.monotonic() - clock, outcome, message)


class Clients:
    """Polls from start() to stop(). health, work: all that was seen of the health address and of the service's own."""

    def __init__(self, port: int, health_port: int, log: Path) -> None:
        self.health: list[Seen] = []
        self.work: list[Seen] = []
        self._port, self._health_port = port, health_port
        self._log = log.open("w")
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._healthy = self._there = False
        self._threads = [threading.Thread(target=self._poll, daemon=True)]
        self._threads += [threading.Thread(target=self._use, daemon=True) for _ in range(2)]

    def start(self) -> None:
        """Begins to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, drop: bool) -> None:
        """Asks no more. drop: what is still under way counts no more; else it is waited for, with its answer."""
        self._ending.set()
        if drop:
            with self._lock:
                self._log.close()
            return
        for thread in self._threads:
            thread.join(CLIENT_TIMEOUT_SECONDS + 1)
        with self._lock:
            self._log.close()

    def _poll(self) -> None:
        while not self._ending.is_set():
            seen = ask(self._health_port, "/health", TIMEOUT_SECONDS)
            self._healthy = seen.outcome == "ok"
            self._keep(self.health, "GET /health", seen)
            self._ending.wait(max(0.0, HEALTH_SECONDS - seen.seconds))

    def _use(self) -> None:
        while not self._ending.is_set():
            if self._healthy:
                self._keep(self.work, "GET /translate", ask(self._port, "/translate", CLIENT_TIMEOUT_SECONDS))
            self._ending.wait(CLIENT_SECONDS)

    def _keep(self, rows: list[Seen], what: str, seen: Seen) -> None:
        with self._lock:
            if self._log.closed:
                return
            rows.append(seen)
            # Nothing listens yet: a balancer has not heard of the service.
            self._there = self._there or seen.outcome != "refused"
            if self._there and seen.outcome in UNANSWERED:
                ended = seen.began + seen.seconds
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ended)) + f".{int(ended % 1 * 1000):03d}Z"
                self._log.write(f"{stamp} ERROR client: {what} failed: {seen.message}\n")
                self._log.flush()


def from_first_answer(rows: list[Seen]) -> list[Seen]:
    """Without the refused connections of the start, when nothing listens yet."""
    first = next((at for at, one in enumerate(rows) if one.outcome != "refused"), len(rows))
    return rows[first:]


def by_second(rows: list[Seen], start: float) -> dict[int, Counter[str]]:
    """Outcomes by the second, counted from `start`, in which they came."""
    counts: dict[int, Counter[str]] = {}
    for one in rows:
        counts.setdefault(int(one.began + one.seconds - start), Counter())[one.outcome] += 1
    return dict(sorted(counts.items()))


def percentile(rows: list[Seen], share: float) -> float:
    """Seconds within which that share of the requests was answered; infinite where it was not."""
    times = sorted(one.seconds if one.outcome not in UNANSWERED else float("inf") for one in rows)
    return times[min(len(times) - 1, int(len(times) * share))] if times else float("nan")
