"""Accuracy of `analyze` over a corpus of real failure texts: the confusion table, and false alarms on good loads.

python benchmarks/analyze_corpus.py [../shared/corpus/examples.jsonl ...] [--verbose]

Each line of a corpus is JSON with `id`, `reason` (of the closed set, or none), `text` and perhaps `stage`. Each text is
written to a file and analysed as the command line does it. Exits 1 below 95 % or with any failure told of a `none`.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_load_exporter import cli

GOAL = 0.95
_CORPUS = Path(__file__).parents[2] / "shared" / "corpus" / "examples.jsonl"


@dataclass(frozen=True)
class Case:
    """One text: what it is labelled with, and what `analyze --json` answered."""

    id: str
    reason: str
    stage: str
    text: str
    answer: dict[str, Any]

    @property
    def right(self) -> bool:
        """Whether the reason is the labelled one."""
        return bool(self.answer["reason"] == self.reason)


def main() -> int:
    """Runs all, prints all."""
    parser = argparse.ArgumentParser(description="Accuracy of analyze.")
    parser.add_argument("corpus", nargs="*", type=Path, default=[_CORPUS])
    parser.add_argument("--verbose", action="store_true", help="print the text of each wrong answer")
    options = parser.parse_args()
    reports = [_report(path, options.verbose) for path in options.corpus]
    return 0 if all(reports) else 1


def _report(path: Path, verbose: bool) -> bool:
    begun = time.process_time()
    cases = list(_cases(path))
    spent = time.process_time() - begun
    right = sum(case.right for case in cases)
    good = [case for case in cases if case.reason == "none"]
    alarms = [case for case in good if not case.right]
    print(f"{path.name}: {right} of {len(cases)} right ({100 * right / len(cases):.1f} %), {spent:.1f} CPU s")
    print(f"  false alarms: {len(alarms)} of {len(good)} good loads")
    staged = [case for case in cases if case.stage not in ("", "unknown", "none") and case.reason != "none"]
    same = sum(case.answer["stage"] == case.stage for case in staged)
    print(f"  stage as labelled: {same} of {len(staged)} (the labels are weak)")
    sure = Counter((case.answer["confidence"], case.right) for case in cases)
    for level in ("high", "medium", "low"):
        print(f"  confidence {level:<6}: {sure[level, True]:>3} right, {sure[level, False]:>3} wrong")
    _table(cases)
    for case in cases:
        if not case.right:
            line = case.answer["evidence"][0]["text"] if case.answer["evidence"] else ""
            print(f"  wrong: {case.id}: {case.reason} told as {case.answer['reason']}: {line[:120]}")
            if verbose:
                print("\n".join(f"      {text}" for text in case.text.splitlines()))
    return right >= GOAL * len(cases) and not alarms


def _table(cases: list[Case]) -> None:
    """One row a label: how often right, and what it was told as instead."""
    print(f"  {'label':<28} {'right':>5} {'of':>4}  told as")
    for label in sorted({case.reason for case in cases}):
        own = [case for case in cases if case.reason == label]
        others = Counter(case.answer["reason"] for case in own if not case.right)
        told = ", ".join(f"{reason} {count}" for reason, count in others.most_common())
        print(f"  {label:<28} {sum(case.right for case in own):>5} {len(own):>4}  {told}")


def _cases(path: Path) -> Iterator[Case]:
    with tempfile.TemporaryDirectory() as folder, path.open(encoding="utf-8") as corpus:
        for line in corpus:
            row = json.loads(line)
            log = Path(folder) / "case.log"
            log.write_text(row["text"] + "\n", encoding="utf-8")
            yield Case(row["id"], row["reason"], row.get("stage", ""), row["text"], _analyze(log))


def _analyze(log: Path) -> dict[str, Any]:
    """The answer of the command line itself, in this process: starting one for each text would take minutes."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = cli.main(["analyze", "--json", "--timezone", "UTC", str(log)])
    answer: dict[str, Any] = json.loads(out.getvalue())
    if status != (answer["reason"] != "none"):
        raise SystemExit(f"{log}: exit status {status} does not fit the answer {answer['reason']}")
    return answer


if __name__ == "__main__":
    sys.exit(main())
