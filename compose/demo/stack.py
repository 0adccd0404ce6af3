"""The programs of the demo, with their configurations: those of the compose stack, at addresses of this host."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import yaml
from memory_limit import LimitedGroup
from processes import Program
from settings import REPOSITORY, Settings, alertmanager_program, prometheus_program

COMPOSE = REPOSITORY / "compose"
ALERTS = REPOSITORY / "alerts"
COMMAND = str(Path(sys.executable).with_name("model-load-exporter"))


def exporter(settings: Settings) -> Program:
    """The exporter with compose/exporter/demo.yml, for the models that are loaded."""
    config = yaml.safe_load((COMPOSE / "exporter" / "demo.yml").read_text(encoding="utf-8"))
    config["models"] = [model for model in config["models"] if model["name"] in settings.models]
    for model in config["models"]:
        model["path"] = str(settings.models_dir / Path(model["path"]).name)
    (service,) = config["services"]
    for key in ("url", "model_url"):
        service[key] = service[key].replace("demo:8000", f"127.0.0.1:{settings.service_port}")
    service["models"] = dict.fromkeys(settings.models, 1)
    file = settings.folder / "exporter.yml"
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    command = [
        COMMAND, "serve", f"--config.file={file}", f"--web.listen-address=127.0.0.1:{settings.exporter_port}",
        f"--spool.dir={settings.folder / 'spool'}", f"--state.dir={settings.folder / 'state'}",
    ]  # fmt: skip
    return Program("exporter", command, settings.folder / "exporter.log")


def service(settings: Settings, group: LimitedGroup | None) -> Program:
    """The service under `run`, in a memory limit where there is a group."""
    environment = {
        "MODEL_LOAD_EXPORTER_SPOOL": str(settings.folder / "spool"),
        "DEMO_MODELS": ",".join(settings.models),
        "DEMO_MODELS_DIR": str(settings.models_dir),
        "DEMO_HEALTH_PORT": str(settings.health_port),
        "DEMO_HEALTH_HOST": "127.0.0.1",
        "DEMO_FALLBACK": "1" if settings.fallback else "0",
        "DEMO_FAIL": settings.fail or "",
        "DEMO_FAIL_MODEL": settings.fail_model or "",
        "DEMO_FAIL_SECONDS": str(settings.fail_seconds),
        "DEMO_FAIL_ONCE": str(settings.folder / "failed-once") if settings.fail_once else "",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        # Models this small gain nothing from more threads, and the service shares its cores with all else.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    command = [
        *(group.wrapper if group is not None else []), COMMAND, "run", "--name", "demo", "--",
        str(settings.python), "-m", "uvicorn", "--app-dir", str(COMPOSE / "demo"), "app:app",
        "--host", "127.0.0.1", "--port", str(settings.service_port), "--no-access-log",
    ]  # fmt: skip
    return Program("service", command, settings.folder / "service.log", environment)


def alertmanager(settings: Settings) -> Program | None:
    """Alertmanager with the shipped routes, where it is installed."""
    program = alertmanager_program()
    if program is None:
        return None
    command = [
        program, f"--config.file={ALERTS / 'alertmanager' / 'alertmanager.yml'}",
        f"--storage.path={settings.folder / 'alertmanager'}", "--cluster.listen-address=",
        f"--web.listen-address=127.0.0.1:{settings.alertmanager_port}",
    ]  # fmt: skip
    return Program("Alertmanager", command, settings.folder / "alertmanager.log")


def prometheus(settings: Settings, *, alerts: bool) -> Program | None:
    """Prometheus with the shipped rules, where it is installed. It looks every two seconds: one waits less."""
    program = prometheus_program()
    if program is None:
        return None
    config = yaml.safe_load((COMPOSE / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"}
    config["rule_files"] = [str(ALERTS / "rules" / "*.yml")]
    receivers = [{"static_configs": [{"targets": [f"127.0.0.1:{settings.alertmanager_port}"]}]}] if alerts else []
    config["alerting"] = {"alertmanagers": receivers}
    (job,) = (job for job in config["scrape_configs"] if job["job_name"] == "model-load-exporter")
    target = f"localhost:{settings.exporter_port}"
    job["static_configs"] = [{"targets": [f"127.0.0.1:{settings.exporter_port}"], "labels": {"instance": target}}]
    config["scrape_configs"] = [job]
    file = settings.folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    command = [
        program, f"--config.file={file}", f"--storage.tsdb.path={settings.folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{settings.prometheus_port}",
    ]  # fmt: skip
    return Program("Prometheus", command, settings.folder / "prometheus.log")
