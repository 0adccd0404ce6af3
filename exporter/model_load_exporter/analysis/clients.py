"""Which sources are logs of clients: they tell of broken connections, and of no load."""

from collections.abc import Sequence

from model_load_exporter.analysis.events import CLIENT_SIDE, SERVICE, Event
from model_load_exporter.analysis.sign import BEGIN, CAUSE, CLIENT, END, LOADED, SERVING, STAGE
from model_load_exporter.classify.patterns import compiled

_SERVES = frozenset((BEGIN, END, LOADED, SERVING, STAGE))
_HUB = r"(?i)huggingface|hf\.co\b|amazonaws|modelscope|\bhub\b|\bproxy|registry|resolve/|\.safetensors|\.gguf"


def mark(events: Sequence[Event]) -> None:
    """Makes the failures of such a source a client's, where another source is the service's or the kernel's.

    Alone, a broken connection may as well be a service's own, to a hub.
    """
    groups: dict[tuple[int, str], list[Event]] = {}
    for event in events:
        groups.setdefault(event.life, []).append(event)
    for group in groups.values():
        if len(groups) > 1 and _of_client(group):
            for event in group:
                event.speaker = CLIENT_SIDE
                event.role = CLIENT if event.fails else event.role


def _of_client(group: Sequence[Event]) -> bool:
    broken = [event for event in group if event.fails and event.speaker in (SERVICE, CLIENT_SIDE)]
    return bool(broken) and all(
        event.role not in _SERVES
        and (not event.fails or event.role == CLIENT or _is_broken_connection(event))
        for event in group
    )  # fmt: skip


def _is_broken_connection(event: Event) -> bool:
    vague = event.reason == "timeout" or event.reason == "unknown"
    return event.role == CAUSE and (event.reason == "network_error" or vague) and not compiled(_HUB).search(event.text)
