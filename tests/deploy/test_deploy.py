"""What lies in deploy/ names files, metrics, ports and paths that are there."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runtime.server.bodies import MAX_BODY
from runtime.server.metrics import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KINDS = {
    "Deployment": "V1Deployment",
    "Service": "V1Service",
    "PodDisruptionBudget": "V1PodDisruptionBudget",
}


def series() -> set[str]:
    """The names of all series that /metrics may have."""
    names = set()
    for family in FAMILIES:
        ends = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        names |= {f"{family.name}{end}" for end in ends}
    return names


def named(text: str) -> set[str]:
    return set(re.findall(r"\bekg_[a-z_]+\b", text))


def program(name: str) -> str:
    """A program that may be missing here; then the test is skipped."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"no {name} on the PATH")
    return found


def manifests() -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml", reason="needs `pip install pyyaml`")
    return list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))


def test_every_metric_of_the_dashboard_is_exported() -> None:
    board = json.loads((DEPLOY / "dashboard.json").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    found = set().union(*map(named, expressions))
    assert found <= series()
    # And no metric is on no panel.
    assert {family.name for family in FAMILIES} <= {
        re.sub("_(bucket|sum|count)$", "", name) for name in found
    }
    places = [tuple(panel["gridPos"][axis] for axis in "xy") for panel in board["panels"]]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in board["panels"]})


@pytest.mark.parametrize("file", ["alerts.yaml", "alerts_test.yaml"])
def test_every_metric_of_the_alerts_is_exported(file: str) -> None:
    text = (DEPLOY / file).read_text(encoding="utf-8")
    assert named(text)
    assert named(text) <= series()


def test_labels_in_rules_and_panels_are_those_of_their_metrics() -> None:
    labels = {family.name: {*family.labels} for family in FAMILIES}
    for file in ("alerts.yaml", "alerts_test.yaml", "dashboard.json"):
        text = (DEPLOY / file).read_text(encoding="utf-8").replace('\\"', '"')
        for name, inside in re.findall(r"\b(ekg_[a-z_]+)\{([^}]*)\}", text):
            family = re.sub("_(bucket|sum|count)$", "", name)
            used = {*re.findall(r"(\w+)[!=~]+\"", inside)} - {"le"}
            assert used <= labels[family], (file, name)


def test_promtool_accepts_and_tests_the_rules() -> None:
    promtool = program("promtool")
    for job in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]):
        done = subprocess.run([promtool, *job], cwd=DEPLOY, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


class _Unit(configparser.RawConfigParser):
    optionxform = staticmethod(str)  # type: ignore[assignment]


def test_the_unit_gives_the_drain_its_time() -> None:
    unit = _Unit(strict=False)
    unit.read(DEPLOY / "ekg.service", encoding="utf-8")
    service = unit["Service"]
    assert service["ExecStart"].endswith("ekg serve")
    assert int(service["TimeoutStopSec"]) > 2 + 30  # EKG_DRAIN and gunicorn's graceful_timeout
    assert service["KillMode"] == "mixed"
    for setting in ("NoNewPrivileges", "DynamicUser", "PrivateTmp", "RestrictNamespaces"):
        assert service[setting] == "yes"


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    unit = tmp_path / "ekg.service"
    text = (DEPLOY / "ekg.service").read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/ekg/.venv/bin/ekg", "/bin/true"), encoding="utf-8")
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True)
    if "Failed to initialize manager" in done.stderr:
        pytest.skip("systemd-analyze does not run here")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_image_is_made_of_files_that_are_there() -> None:
    lines = (DEPLOY / "Containerfile").read_text(encoding="utf-8").splitlines()
    copied = [
        source
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    assert all((ROOT / source).exists() for source in copied)
    allowed = (DEPLOY / "Containerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert set(copied) == {line[1:] for line in allowed if line.startswith("!")}
    (user,) = (line.split()[1] for line in lines if line.startswith("USER "))
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    health = next(line for line in lines if "/health/" in line)
    compile(json.loads(health.strip().removeprefix("CMD "))[2], "HEALTHCHECK", "exec")


def test_the_pod_probes_drains_and_is_confined() -> None:
    deployment, service, budget = manifests()
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] == "/health/ready"
    drain = {entry["name"]: entry.get("value") for entry in container["env"]}["EKG_DRAIN"]
    ready = container["readinessProbe"]
    seen_after = ready["periodSeconds"] * ready["failureThreshold"] + ready["timeoutSeconds"]
    assert float(drain) > seen_after
    assert pod["spec"]["terminationGracePeriodSeconds"] > float(drain) + 30
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert {"cpu", "memory"} == {*container["resources"]["limits"]}
    labels = pod["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["selector"] == budget["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]


def test_kubernetes_own_models_know_every_field() -> None:
    client = pytest.importorskip(
        "kubernetes", reason="needs `pip install kubernetes`, its models of 30 MB"
    ).client
    api = client.ApiClient()

    for manifest in manifests():
        text, kind = json.dumps(manifest), KINDS[manifest["kind"]]
        model = api.deserialize(text, kind, "application/json")
        # An unknown field is lost on the way, a missing one is an error.
        assert api.sanitize_for_serialization(model) == manifest


def test_the_proxys_limit_is_that_of_the_server() -> None:
    assert f"client_max_body_size {MAX_BODY >> 20}m;" in (DEPLOY / "nginx.conf").read_text()
