"""The rules, dashboards and runbooks that come with the package: inside the wheel, or beside the code in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def bundle(part: str) -> Path:
    """The folder or file of that name: `alerts/runbooks`, `alerts/rules`, `dashboards/fleet.json`."""
    installed = _PACKAGE / "_bundle" / part
    return installed if installed.exists() else _PACKAGE.parent.parent / part
