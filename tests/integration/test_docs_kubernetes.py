"""deploy/kubernetes: accepted by Kubernetes' schema, fitting together, and what INSTALL.md says of it."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs_pages import ROOT, fenced
from kubernetes_schema import definition_of, problems

from support.daemon import COMMAND

FOLDER = ROOT / "deploy" / "kubernetes"
OTHERS = {"PodMonitor", "Kustomization"}
"""Kinds of the Prometheus operator and of kustomize: no schema of Kubernetes'."""

MONITOR_KEYS = {
    "namespaceSelector": {"any", "matchNames"},
    "selector": {"matchLabels", "matchExpressions"},
    "jobLabel": None,
    "podMetricsEndpoints": {"port", "path", "interval", "honorLabels", "relabelings", "metricRelabelings", "scheme"},
}
"""Keys of PodMonitor.spec that are used or likely, as the operator's API reference names them."""


def documents() -> list[tuple[str, dict[str, Any]]]:
    """Every document of every manifest, with its file and kind as a name."""
    return [
        (f"{file.stem}-{document['kind']}", document)
        for file in sorted(FOLDER.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
    ]


def one(name: str) -> dict[str, Any]:
    return dict(documents())[name]


def containers(document: dict[str, Any]) -> list[dict[str, Any]]:
    spec = document["spec"]["template"]["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


WORKLOADS = [(name, document) for name, document in documents() if "template" in document.get("spec", {})]


@pytest.mark.parametrize(("name", "document"), documents(), ids=[name for name, _ in documents()])
def test_schema(name: str, document: dict[str, Any]) -> None:
    """Kubernetes' strict schema accepts each document of its own kinds."""
    definition = definition_of(document["apiVersion"], document["kind"])
    if definition is None:
        assert document["kind"] in OTHERS, f"{name}: no schema for it in tests/fixtures/kubernetes"
    else:
        assert problems(document, definition) == []


def test_the_schema_refuses() -> None:
    """A misspelt key deep in a manifest is found: the schema is strict."""
    document = one("daemonset-DaemonSet")
    document["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    assert "livenesProbe" in " ".join(problems(document, "io.k8s.api.apps.v1.DaemonSet"))


@pytest.mark.parametrize(
    "document", [d for _, d in documents() if d["kind"] == "PodMonitor"], ids=lambda d: d["metadata"]["name"]
)
def test_pod_monitor(document: dict[str, Any]) -> None:
    """A PodMonitor has the operator's keys only."""
    assert document["apiVersion"] == "monitoring.coreos.com/v1"
    assert set(document["spec"]) <= set(MONITOR_KEYS)
    for endpoint in document["spec"]["podMetricsEndpoints"]:
        assert set(endpoint) <= (MONITOR_KEYS["podMetricsEndpoints"] or set())


@pytest.mark.parametrize(("name", "document"), WORKLOADS, ids=[name for name, _ in WORKLOADS])
def test_it_fits_together(name: str, document: dict[str, Any]) -> None:
    """Labels are selected, volumes are there, ports of probes have their names."""
    spec = document["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    volumes = {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
    used = {mount["name"] for container in containers(document) for mount in container["volumeMounts"]}
    assert used == volumes
    for container in containers(document):
        ports = {port["name"] for port in container["ports"]}
        probes = [container[key] for key in container if key.endswith("Probe")]
        assert {probe["httpGet"]["port"] for probe in probes} <= ports


def test_monitors_select_the_exporters() -> None:
    """Both PodMonitors find the pods that they are for, by label and by the name of the port."""
    selectors = {d["metadata"]["name"]: d["spec"] for _, d in documents() if d["kind"] == "PodMonitor"}
    daemon = one("daemonset-DaemonSet")["spec"]["template"]
    wanted = selectors["model-load-exporter"]["selector"]["matchExpressions"][0]
    assert daemon["metadata"]["labels"][wanted["key"]] in wanted["values"]
    assert (
        daemon["spec"]["containers"][0]["ports"][0]["name"]
        == selectors["model-load-exporter"]["podMetricsEndpoints"][0]["port"]
    )
    sidecar = one("sidecar-Deployment")["spec"]["template"]
    chosen = selectors["model-load-exporter-sidecars"]
    assert chosen["selector"]["matchLabels"].items() <= sidecar["metadata"]["labels"].items()
    assert sidecar["spec"]["initContainers"][0]["ports"][0]["name"] == chosen["podMetricsEndpoints"][0]["port"]


def test_the_spool_is_one() -> None:
    """The exporter's spool and the services' mount are one folder of the node, where writers look."""
    from model_load_exporter.journal.spool import SYSTEM_SPOOL

    daemon, service = one("daemonset-DaemonSet"), one("service-pod-Deployment")
    assert f"--spool.dir={SYSTEM_SPOOL}" in containers(daemon)[0]["args"]
    data = next(v for v in daemon["spec"]["template"]["spec"]["volumes"] if v["name"] == "data")["hostPath"]["path"]
    spool = next(v for v in service["spec"]["template"]["spec"]["volumes"] if v["name"] == "spool")["hostPath"]["path"]
    assert spool == SYSTEM_SPOOL == f"{data}/spool"
    assert SYSTEM_SPOOL in [mount["mountPath"] for mount in containers(service)[0]["volumeMounts"]]


@pytest.mark.parametrize(("name", "document"), WORKLOADS, ids=[name for name, _ in WORKLOADS])
def test_the_exporter_takes_the_arguments(name: str, document: dict[str, Any]) -> None:
    """`serve` knows every flag that a manifest gives it."""
    for container in containers(document):
        if container["image"].startswith("model-load-exporter:"):
            done = subprocess.run([COMMAND, *container["args"], "--help"], capture_output=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr


def test_config_map(tmp_path: Path) -> None:
    """`check-config` accepts the config of the ConfigMap."""
    file = tmp_path / "config.yml"
    file.write_text(one("config-ConfigMap")["data"]["config.yml"])
    done = subprocess.run([COMMAND, "check-config", file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_sidecar_is_restricted() -> None:
    """The sidecar asks for nothing that the Pod Security Standard `restricted` forbids."""
    spec = one("sidecar-Deployment")["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec.keys() & {"hostPID", "hostNetwork", "hostIPC"}
    assert all("emptyDir" in volume for volume in spec["volumes"])
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_kustomization_names_files() -> None:
    """Each resource is a manifest beside it, and what INSTALL.md says of images fits."""
    kustomization = one("kustomization-Kustomization")
    assert [name for name in kustomization["resources"] if not (FOLDER / name).is_file()] == []
    (block,) = fenced("yaml", "kustomization")
    assert [image["name"] for image in yaml.safe_load(block.text)["images"]] == [
        image["name"] for image in kustomization["images"]
    ]


def test_rules_as_prometheus_rules(tmp_path: Path) -> None:
    """The shell lines of INSTALL.md make a PrometheusRule of each rule file, with the same groups."""
    (block,) = [block for block in fenced("sh") if "PrometheusRule" in block.text]
    (tmp_path / "alerts").symlink_to(ROOT / "alerts")
    subprocess.run(["sh", "-euc", block.text], cwd=tmp_path, check=True, timeout=60)
    made = list(yaml.safe_load_all((tmp_path / "prometheus-rules.yaml").read_text()))
    files = sorted((ROOT / "alerts" / "rules").glob("*.yml"))
    assert [document["metadata"]["name"] for document in made] == [f"model-load-exporter-{file.stem}" for file in files]
    assert [document["spec"] for document in made] == [yaml.safe_load(file.read_text()) for file in files]
