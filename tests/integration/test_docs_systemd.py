"""deploy/systemd: a unit that systemd takes, in the versions that Debian and Ubuntu have."""

import configparser
import re
import shutil
import subprocess

from docs_pages import ROOT, words

UNIT = ROOT / "deploy" / "systemd" / "model-load-exporter.service"


def service() -> configparser.SectionProxy:
    unit = configparser.RawConfigParser()
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # keys of units have capitals
    unit.read(UNIT)
    return unit["Service"]


def test_systemd_takes_it() -> None:
    """No key or value is unknown, also not to systemd 252, which has no notify-reload."""
    assert service()["Type"] == "notify"
    assert service()["ExecReload"].endswith("kill -HUP $MAINPID")
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", UNIT], capture_output=True, text=True, timeout=60, check=False
        )
        told = [line for line in done.stderr.splitlines() if "model-load-exporter.service" in line]
        assert [line for line in told if "is not executable" not in line] == []


def test_it_starts_what_install_installs() -> None:
    """The unit's command and config file are those of INSTALL.md."""
    program, *arguments = service()["ExecStart"].split()
    page = words(ROOT / "docs" / "INSTALL.md")
    assert f"{program} serve" in page
    assert arguments[-1] in page


def test_every_capability_is_explained() -> None:
    """SECURITY.md says what each capability of the unit is for, and names none that the unit does not have."""
    given = {name.removeprefix("CAP_") for name in service()["CapabilityBoundingSet"].split()}
    table = words(ROOT / "docs" / "SECURITY.md").partition("| capability | for |")[2].partition("\n\n")[0]
    told = {name for row in re.findall(r"^\| ([A-Z_, ]+) \|", table, re.MULTILINE) for name in row.split(", ")}
    assert told == given
