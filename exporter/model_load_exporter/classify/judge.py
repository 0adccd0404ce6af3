"""What one link of a chain says, and how far it is to be believed."""

from model_load_exporter.classify import levels, patterns
from model_load_exporter.classify.chain import Link
from model_load_exporter.classify.known import ERRNOS, LOOKUPS, NAMES, NETWORK_MODULES, STATUS_TYPES, TYPES


class Judgement:
    """A link's verdict. rank: see patterns. start: where in the link's text the deciding words stand."""

    __slots__ = ("link", "rank", "reason", "start")  # no dataclass: see Pattern

    def __init__(self, reason: str, rank: int, link: Link, start: int = 0) -> None:
        self.reason = reason
        self.rank = rank
        self.link = link
        self.start = start


def judge(link: Link) -> Judgement | None:
    """The most believable of message, error number and type (in this order where they rank equal), or None."""
    head = link.type.removeprefix("builtins.") + ": "
    hit = patterns.search(levels.said(head + link.text))
    found = [] if hit is None else [(hit[0].reason, hit[0].rank, max(hit[1] - len(head), 0))]
    # getaddrinfo's numbers overlap with errno's on some systems; its type says all there is to say.
    if link.errno in ERRNOS and "socket.gaierror" not in link.bases:
        found.append((*ERRNOS[link.errno], 0))
    by_type = _by_type(link.bases)
    if by_type is not None:
        found.append((*by_type, 0))
    if not found:
        return None
    reason, rank, start = max(found, key=lambda entry: entry[1])
    return Judgement(reason, rank, link, start)


def decide(links: tuple[Link, ...]) -> Judgement | None:
    """The verdict of a chain, outermost first: of the highest rank, and among equals the deepest.

    What was only being handled decides like a cause, for most programs say `raise` where they mean `raise from`; but
    not a lookup that failed (`except ImportError:`) below a plain reason. What was raised `from None` is asked last.
    """
    best: Judgement | None = None
    hidden: Judgement | None = None
    for link in links:
        judged = judge(link)
        if judged is None:
            continue
        if link.relation == "hidden":
            hidden = judged if hidden is None or judged.rank >= hidden.rank else hidden
        elif best is None or (judged.rank >= best.rank and not _only_looked_up(link, best)):
            best = judged
    return hidden if best is None or (hidden is not None and best.rank == patterns.FAILED) else best


def _only_looked_up(link: Link, outer: Judgement) -> bool:
    """Whether the outer link says what failed after such a lookup."""
    return looked_up(link) and outer.rank >= patterns.PLAIN and outer.reason != "config_invalid"


def looked_up(link: Link) -> bool:
    """Whether the link is a lookup that failed and was being handled when the failure came."""
    return link.relation == "handled" and not LOOKUPS.isdisjoint(link.bases)


def _by_type(bases: tuple[str, ...]) -> tuple[str, int] | None:
    for base in bases:
        if base in TYPES:
            return TYPES[base]
        module, _, name = base.rpartition(".")
        if module.partition(".")[0] in NETWORK_MODULES:
            return None if name in STATUS_TYPES else ("network_error", patterns.PLAIN)
        if base in NAMES:
            return NAMES[base]
    return None
