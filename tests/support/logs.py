"""Logs as texts, analysed as the command line does it."""

from datetime import UTC
from pathlib import Path

from model_load_exporter.analysis.analyze import Options, analyze
from model_load_exporter.analysis.report import Analysis


def told(folder: Path, *texts: str, options: Options | None = None) -> Analysis:
    """What the texts tell together: each is a source of its own (0.log, 1.log, ...). Times without a zone are UTC."""
    paths = []
    for number, text in enumerate(texts):
        path = folder / f"{number}.log"
        path.write_text(text, encoding="utf-8")
        paths.append(str(path))
    return analyze(paths, options or Options(zone=UTC))
