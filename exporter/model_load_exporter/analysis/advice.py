"""What to do about the cause, and which other logs would have told more."""

from collections.abc import Sequence

from model_load_exporter.analysis.cause import Cause
from model_load_exporter.analysis.events import KERNEL, SERVICE, Event
from model_load_exporter.analysis.sign import CLIENT, LOADED, SERVING, STAGE
from model_load_exporter.reasons import REASONS

_UNEXPLAINED = frozenset(("killed", "process_died", "unknown"))


def advice(cause: Cause, runbooks: str) -> tuple[str, ...]:
    """What to do first, and where the rest stands; nothing where nothing failed."""
    if cause.event is None:
        return ()
    reason = REASONS[cause.reason]
    steps = [reason.remedy]
    if any(event.reason == "killed" and "out of memory?" in event.text for event in cause.failures) and (
        cause.reason == "timeout"
    ):
        steps.append('Leave the memory as it is: gunicorn\'s "Perhaps out of memory?" is a guess. It timed out.')
    if reason.passing:
        steps.append("A later try may succeed by itself: look at the last load before you change anything.")
    steps.append(f"Runbook: {runbooks.rstrip('/')}/{reason.anchor}")
    return tuple(steps)


def missing(cause: Cause, events: Sequence[Event], problems: Sequence[str], left_out: int) -> tuple[str, ...]:
    """What the logs do not tell, and where it would stand."""
    notes = list(problems)
    speakers = {event.speaker for event in events}
    if not events:
        notes.append("No line speaks of a model's load. Is this the log of the service that loads it?")
    if cause.reason in _UNEXPLAINED and KERNEL not in speakers:
        notes.append(
            "The kernel's log of that time is not among the logs: `journalctl -k --since ...` or `dmesg -T` of the "
            "host would tell an OOM kill or a fault."
        )
    if cause.event is not None and cause.event.role != CLIENT and SERVICE not in speakers:
        notes.append("The service's own log is not among the logs: it would tell the model and the stage.")
    if cause.reason == "network_error" and not any(event.role == STAGE for event in events):
        notes.append(
            "If a client wrote this: the service's own log, and its kernel's, would tell why it did not answer."
        )
    if any(event.stamp is not None and event.seconds is None and event.speaker == KERNEL for event in events):
        notes.append(
            "The kernel's lines tell seconds since boot only: their place among the others is by kind, not by time. "
            "`dmesg -T`, `journalctl -k`, or --boot-time would tie them to the others."
        )
    if cause.event is None and events:
        notes.extend(_unfinished(cause, events))
    if left_out:
        notes.append(f"{left_out} kinds of less telling lines found no room and are not in the timeline.")
    return tuple(notes)


def _unfinished(cause: Cause, events: Sequence[Event]) -> list[str]:
    last = next((event for event in reversed(events) if event.role in (STAGE, LOADED, SERVING)), None)
    if last is None or last.role != STAGE:
        return []
    return [f"The log ends at stage {last.stage}: no line says how the load ended. It may still be running."]
