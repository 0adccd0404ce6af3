"""compose/ as files: valid, pinned, bounded, closed to the network, and consistent with what it mounts."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from model_load_exporter.config import Config, load_config

REPOSITORY = Path(__file__).parents[2]
COMPOSE = REPOSITORY / "compose"
SCHEMA = REPOSITORY / "tests" / "fixtures" / "compose-spec" / "compose-spec.json"

PRIVILEGES = {
    "cap_add": ["SYSLOG", "SYS_PTRACE", "DAC_READ_SEARCH"],
    "devices": ["/dev/kmsg:/dev/kmsg:r"],
    "pid": "host",
    "cgroup": "host",
    "user": "0:0",
}
"""What the witness needs, and compose/README.md explains. Nobody else has any of it."""


DEMOS = {"demo": ["demo"], "demo-gpu": ["gpu"], "demo-broken": ["broken"]}
"""The demo service in its three settings, each started by its profile alone."""
every_demo = pytest.mark.parametrize("name", DEMOS)


def stack() -> dict[str, Any]:
    """The compose file with the defaults of its variables."""
    text = (COMPOSE / "compose.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)))


SERVICES: dict[str, dict[str, Any]] = stack()["services"]
every_service = pytest.mark.parametrize("name", SERVICES)


def mounts(name: str) -> dict[str, str]:
    """What a service sees where: path inside, source outside."""
    return {volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES[name]["volumes"]}


def outside(name: str, path: str) -> Path:
    """The repository's file that a service sees under that path."""
    folders = [folder for folder in mounts(name) if path == folder or path.startswith(folder + "/")]
    folder = max(folders, key=len)
    return (COMPOSE / mounts(name)[folder]).resolve() / path[len(folder) :].lstrip("/")


def test_it_is_valid() -> None:
    """compose.yaml is of the Compose Specification."""
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(stack())] == []


def test_it_has_the_whole_stack() -> None:
    """Exporter, Prometheus, Alertmanager and Grafana by default; a demo service by each of the profiles."""
    by_default = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert by_default == {"exporter", "prometheus", "alertmanager", "grafana"}
    assert {name: SERVICES[name]["profiles"] for name in SERVICES.keys() - by_default} == DEMOS


@every_service
def test_a_service_is_pinned_and_bounded(name: str) -> None:
    """Each service has a version, a memory limit, a restart policy, and a health check that waits for its start."""
    service = SERVICES[name]
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"]) or service["build"]
    assert service["mem_limit"]
    assert service["restart"] == "unless-stopped"
    assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])


@every_service
def test_a_service_has_only_the_privileges_it_needs(name: str) -> None:
    """No capability, no root, no host namespace; but for the exporter, exactly what the witness needs."""
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    if name == "exporter":
        assert {key: service[key] for key in PRIVILEGES} == PRIVILEGES
    else:
        assert set(service) & set(PRIVILEGES) == {"user"}
        assert not service["user"].startswith("0:")


@every_service
def test_a_port_is_open_to_this_host_alone(name: str) -> None:
    """None of these servers has a password."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@every_service
def test_what_is_mounted_exists(name: str) -> None:
    """Every file or folder of the repository that a service mounts is there, and is read-only inside."""
    for volume in SERVICES[name]["volumes"]:
        source, *rest = volume.split(":")
        if source.startswith("."):
            assert (COMPOSE / source).is_dir(), source
            assert rest[-1] == "ro"


def test_every_named_volume_is_declared_and_used() -> None:
    """State outlives a container."""
    used = {source for name in SERVICES for source in mounts(name).values() if not source.startswith((".", "/"))}
    assert used == set(stack()["volumes"])


@pytest.mark.parametrize("name", ["exporter", "prometheus", "alertmanager"])
def test_the_configuration_that_a_command_names_is_mounted(name: str) -> None:
    """--config.file leads to a file of the repository."""
    (path,) = re.findall(r"--config\.file=(\S+)", " ".join(SERVICES[name]["command"]))
    assert outside(name, path).is_file()


def test_the_exporters_configuration_is_valid() -> None:
    """config.yml has no mistake, and neither has the example in its comments."""
    path = COMPOSE / "exporter" / "config.yml"
    assert isinstance(load_config(str(path)), Config)


def test_the_commented_example_is_valid(tmp_path: Path) -> None:
    """Whoever takes the comment signs off the example gets a valid configuration with a canary."""
    text = (COMPOSE / "exporter" / "config.yml").read_text(encoding="utf-8")
    text = text.replace("models: []\n", "models:\n").replace("services: []\n", "services:\n")
    text = re.sub(r"^#(  )", r"\1", text, flags=re.MULTILINE).replace("  docker compose", "#  docker compose")
    (tmp_path / "config.yml").write_text(text, encoding="utf-8")
    config = load_config(str(tmp_path / "config.yml"))
    assert config.models[0].canary is not None
    assert config.services[0].models == {config.models[0].name: 2}


def test_grafana_asks_this_prometheus_at_its_interval() -> None:
    """The data source leads to the service's port and knows its scrape interval; the dashboard's folder is mounted."""
    provisioning = COMPOSE / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    prometheus = yaml.safe_load((COMPOSE / "prometheus" / "prometheus.yml").read_text())
    assert source["url"] == "http://prometheus:9090"
    assert source["isDefault"]
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "fleet.yml").read_text())["providers"]
    assert (outside("grafana", provider["options"]["path"]) / "fleet.json").is_file()
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert outside("grafana", home).is_file()


def test_the_image_is_built_from_what_its_context_holds() -> None:
    """The build context lets in every file that the package is built from, and the targets exist."""
    folder = COMPOSE / "exporter"
    allowed = re.findall(r"^!(\S+)$", (folder / "Dockerfile.dockerignore").read_text(), flags=re.MULTILINE)
    package = (REPOSITORY / "pyproject.toml").read_text()
    included = re.findall(r'^"((?:alerts|dashboards)/\S+)" = ', package, flags=re.MULTILINE)
    assert included
    assert {*included, "pyproject.toml", "README.md", "LICENSE", "exporter"} == set(allowed)
    assert all((REPOSITORY / path).exists() for path in allowed)
    targets = re.findall(r"^FROM .* AS ([\w-]+)$", (folder / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert SERVICES["exporter"]["build"]["target"] in targets
    assert "exporter-canary" in targets


@every_demo
def test_a_demo_is_read_only_and_keeps_its_memory_limit(name: str) -> None:
    """Nothing of it is written but the spool and /tmp; NLLB's threshold is its time to start."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert set(mounts(name)) == {"/var/lib/model-load-exporter/spool"}
    assert service["healthcheck"]["start_period"] == "300s"
    assert service["environment"]["DEMO_HEALTH_PORT"] in " ".join(service["healthcheck"]["test"])


def test_only_the_broken_demo_fails_and_only_the_other_has_a_gpu() -> None:
    """The switch of one, and the device of the other, are set nowhere else."""
    assert {name for name in DEMOS if "DEMO_FAIL" in SERVICES[name]["environment"]} == {"demo-broken"}
    assert SERVICES["demo-broken"]["environment"]["DEMO_FAIL"] in demo_module("faults").KINDS
    assert {name for name in DEMOS if "deploy" in SERVICES[name]} == {"demo-gpu"}


def test_the_demos_configuration_is_valid_and_names_its_models() -> None:
    """EXPORTER_CONFIG=demo.yml knows every model of the service, where the image has it, with the promised limits."""
    config = load_config(str(COMPOSE / "exporter" / "demo.yml"))
    assert isinstance(config, Config)
    served = demo_module("translation").MODELS
    assert {model.name: model.path for model in config.models} == {
        name: f"/models/{model.folder}" for name, model in served.items()
    }
    assert {model.name: model.thresholds.load_seconds for model in config.models} == {
        "nllb": 300,
        "aya": 3600,
        "minilm": 60,
    }
    (service,) = config.services
    assert set(service.models) == set(served) == set(SERVICES["demo"]["environment"]["DEMO_MODELS"].split(","))
    dockerfile = (COMPOSE / "demo" / "Dockerfile").read_text(encoding="utf-8")
    assert f'"--name", "{service.target}"' in dockerfile
    assert re.search(r'"--port", "(\d+)"', dockerfile)[1] in str(service.url)  # type: ignore[index]  # a TypeError fails it as well


def test_the_demos_image_is_built_from_what_its_context_holds() -> None:
    """What the Dockerfile copies is there and let in; its packages have the versions that the tests run with."""
    folder = COMPOSE / "demo"
    dockerfile = (folder / "Dockerfile").read_text(encoding="utf-8")
    allowed = re.findall(r"^!(\S+)$", (folder / "Dockerfile.dockerignore").read_text(), flags=re.MULTILINE)
    copied = [
        path
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, flags=re.MULTILINE)
        for path in line.split()[:-1]
    ]
    assert len(copied) > 5
    for path in copied:
        assert (REPOSITORY / path).exists(), path
        assert any(Path(path).match(pattern) for pattern in allowed), path
    assert SERVICES["demo"]["build"]["target"] in re.findall(r"^FROM .* AS (\w+)$", dockerfile, flags=re.MULTILINE)
    setup = (REPOSITORY / "scripts" / "setup").read_text(encoding="utf-8")
    pinned = re.findall(r"'(\S+==\S+)'", dockerfile)
    assert {"torch", "transformers", "uvicorn", "starlette"} <= {pin.partition("==")[0] for pin in pinned}
    assert [pin for pin in pinned if f"'{pin}'" not in setup] == []


def demo_module(name: str) -> Any:
    """A module of the demo service, which is no package."""
    spec = importlib.util.spec_from_file_location(f"demo_{name}", COMPOSE / "demo" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(COMPOSE / "demo"))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(COMPOSE / "demo"))
    return module
