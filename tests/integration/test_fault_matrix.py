"""Nearly 300 faults of real libraries, each named three ways: by its exception, by the service's log, by `verify`.

The faults stand in classify_faults/, with what is expected of them. Each library's interpreter runs once, provokes all
of its faults, and hands back what a service would see: the exception as data, the traceback, what was printed.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_logs import STYLES

from model_load_exporter.analysis.analyze import analyze
from model_load_exporter.analysis.report import NONE
from model_load_exporter.artifacts.verify import LEVELS
from model_load_exporter.classify.chain import links_from_json
from model_load_exporter.classify.exceptions import classify

ROOT = Path(__file__).resolve().parents[2]
FAULTS = Path(__file__).with_name("classify_faults")
VERIFY = Path(__file__).with_name("verify_as.py")
ENVIRONMENTS = {"formats": ".venv-formats", "models": ".venv-models"}
"""In this order: tensorflow converts the file that LiteRT's faults start from."""

ONLY_FILES_TELL = {
    # "No such file", "File not found", "Could not open", "Unrecognized model": said of what may not be read or entered.
    "safetensors_unreadable": "permission", "transformers_weights_unreadable": "permission",
    "transformers_folder_unsearchable": "permission", "transformers_parent_unsearchable": "permission",
    "cache_of_another_user": "permission", "keras_unreadable": "permission", "tflite_unreadable": "permission",
    # The parser's words are those of any damage: HeaderTooLarge, magic invalid, no signature, not a valid Flatbuffer.
    "safetensors_lfs_pointer": "pointer", "transformers_lfs_pointer": "pointer", "gguf_lfs_pointer": "pointer",
    "h5_lfs_pointer": "pointer", "onnx_lfs_pointer": "pointer", "onnx_data_lfs_pointer": "pointer",
    "saved_model_graph_lfs_pointer": "pointer", "tflite_lfs_pointer": "pointer",
    "joblib_empty": "empty", "h5_empty": "empty", "onnx_empty": "empty",
    # "header too small" of a safetensors file of 0 to 7 bytes: mostly of 0.
    "safetensors_header_too_small": "few bytes", "safetensors_cut_in_its_length": "few bytes",
    # torch takes zero bytes for a .tar archive of 2017, which may only be unpickled whole.
    "torch_zero_bytes": "zeros",
    # keras says "File not found" of whatever is no zip.
    "keras_empty": "keras", "keras_lfs_pointer": "keras", "keras_html_page": "keras", "keras_zero_bytes": "keras",
    "keras_cut_at_a_tenth": "keras", "keras_cut_at_nine_tenths": "keras",
    # JSONDecodeError and TypeError name no file: an index is told as any configuration.
    "transformers_index_broken": "json", "transformers_index_is_no_object": "json", "bin_index_is_a_page": "json",
    "transformers_config_empty": "json", "tokenizer_json_is_a_pointer": "json",
    # "Unrecognized model in ...": also of a folder whose config.json is there and names no type.
    "transformers_config_missing": "config",
}  # fmt: skip
"""Faults whose words name another reason, whoever reads them. `verify` finds each of them."""

ONLY_THE_USER_SEES = {
    "safetensors_unreadable", "transformers_folder_unsearchable", "transformers_parent_unsearchable",
    "transformers_weights_unreadable",
}  # fmt: skip
"""Told as missing; the daemon, as root, finds nothing wrong with the files."""

Outcomes = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def everything() -> Iterator[Outcomes]:
    """What the children of each interpreter met; the files stay until the last test has looked at them."""
    with tempfile.TemporaryDirectory(prefix="model-load-faults-") as folder:
        os.chmod(folder, 0o755)  # pytest's own folders may not be entered by other users, and some faults are theirs
        found: Outcomes = {}
        for part, environment in ENVIRONMENTS.items():
            python = ROOT / environment / "bin" / "python"
            if not python.exists():
                pytest.skip(f"no {environment}: `make test` builds it")
            child = subprocess.run(
                [python, FAULTS, folder, part],
                capture_output=True, text=True, check=False, timeout=150,
                env=os.environ | {"PYTHONPATH": str(ROOT / "exporter")},
            )  # fmt: skip
            assert child.returncode == 0, child.stderr[-3000:]
            found |= json.loads(child.stdout)
        yield found


@pytest.fixture(scope="module")
def outcomes(everything: Outcomes) -> Outcomes:
    """Those of loads that failed."""
    return {name: outcome for name, outcome in everything.items() if outcome["printed"]}


def listed(wrong: dict[str, Any]) -> str:
    """One line for each: pytest's own comparison shows four of them."""
    return "\n" + "\n".join(f"{name}: {what}" for name, what in wrong.items())


def test_a_machine_provokes_nearly_all_of_them(everything: Outcomes) -> None:
    """Only faults that need root or a mount are left out, so that an empty matrix does not pass."""
    assert len(everything) >= 260
    if os.geteuid() == 0:
        assert "transformers_folder_unsearchable" in everything
    formats = {name.partition("_")[0] for name, outcome in everything.items() if outcome["verify"]}
    assert formats >= {
        "safetensors", "torch", "bin", "transformers", "cache", "joblib", "pickle", "onnx", "tflite", "gguf", "keras",
        "h5", "saved",
    }  # fmt: skip


def test_each_fault_is_given_its_reason_where_it_happens(outcomes: Outcomes) -> None:
    """The service that met the fault names it right, from the exception and with its own eyes on the files."""
    wrong = {
        name: (outcome["expected"], outcome["here"], outcome["message"])
        for name, outcome in outcomes.items()
        if outcome["here"] != outcome["expected"]
    }
    assert not wrong, listed(wrong)


def test_a_chain_is_judged_alike_in_another_process(outcomes: Outcomes) -> None:
    """The chain as JSON tells the daemon what it told the service, but for what only the service's user can see."""
    differing = {
        name: (outcome["here"], there)
        for name, outcome in outcomes.items()
        if (there := classify(links_from_json(outcome["links"]), outcome["path"]).reason) != outcome["here"]
    }
    assert {name for name, (here, _) in differing.items() if here != "permission_denied"} == set()
    assert {name for name in differing if not outcomes[name]["uid"]} == set()


def test_messages_are_for_a_log_line(outcomes: Outcomes) -> None:
    """Each fault's message is one line of at most 500 characters, and none is empty."""
    for name, outcome in outcomes.items():
        message = outcome["message"]
        assert 0 < len(message) <= 500, name
        assert message.isprintable(), name


def test_a_message_shows_what_decided(outcomes: Outcomes) -> None:
    """torch's long advice is cut around the words that gave the reason."""
    assert "posix.system" in outcomes["torch_malicious_pickle"]["message"]
    assert "Settings" in outcomes["torch_unlisted_class"]["message"]
    assert "Git LFS pointer" in outcomes["safetensors_lfs_pointer"]["message"]


def told_by_logs(outcomes: Outcomes, folder: Path, styles: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """What `analyze` tells of each outcome's log in the styles that are wanted of it."""
    log = folder / "service.log"
    told: dict[str, dict[str, str]] = {}
    for name, outcome in outcomes.items():
        for style in styles[name]:
            log.write_text(STYLES[style](outcome["printed"], outcome["said"], "nllb-200"))
            told.setdefault(name, {})[style] = analyze([str(log)]).reason
    return told


def test_each_fault_is_named_by_the_services_log(
    outcomes: Outcomes, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """From the log alone, as services write it and with the warnings of a normal start above it.

    Every fault under a plain logger and one more format in turn; with --full under each.
    """
    others = [style for style in STYLES if style != "basic"]
    styles = {
        name: list(STYLES) if pytestconfig.getoption("--full") else ["basic", others[turn % len(others)]]
        for turn, name in enumerate(outcomes)
    }
    styles.pop("python_exit")  # SystemExit is logged by nobody, and Python prints nothing of it
    told = told_by_logs({name: outcomes[name] for name in styles}, tmp_path, styles)
    wrong = {
        name: (outcomes[name]["expected"], found)
        for name, found in told.items()
        if set(found.values()) != {outcomes[name]["expected"]}
    }
    missed = {name: both for name, both in wrong.items() if name not in ONLY_FILES_TELL}
    assert not missed, listed(missed)
    assert set(ONLY_FILES_TELL) - set(wrong) == set(), "these are told by words now"


def test_no_failure_is_read_out_of_loads_that_succeed(everything: Outcomes, tmp_path: Path) -> None:
    """Whatever their libraries warn of, and whatever was silently wrong with their files."""
    well = {name: outcome for name, outcome in everything.items() if not outcome["printed"]}
    assert len(well) >= 20
    told = told_by_logs(well, tmp_path, {key: list(STYLES) for key in well})
    alarms = {name: found for name, found in told.items() if set(found.values()) != {NONE}}
    assert not alarms, listed(alarms)


def verified(outcomes: Outcomes, uid: int) -> dict[str, list[list[str]]]:
    """What verify finds bad as that user: [path, reason, detail] each."""
    wanted = {name: [outcome["path"], outcome["verify"], outcome["manifest"]] for name, outcome in outcomes.items()}
    child = subprocess.run(
        [sys.executable, VERIFY, str(uid)], input=json.dumps(wanted), capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr[-3000:]
    found: dict[str, list[list[str]]] = json.loads(child.stdout)
    return found


def test_files_that_are_to_blame_are_found_without_loading_them(everything: Outcomes) -> None:
    """`verify` names each bad file for the same reason, at the level that the fault needs, as the user who met it."""
    blamed = {name: outcome for name, outcome in everything.items() if outcome["verify"]}
    assert set(ONLY_FILES_TELL) - set(blamed) == set()
    assert {outcome["verify"] for outcome in blamed.values()} == set(LEVELS)
    found: dict[str, list[list[str]]] = {}
    for uid in {outcome["uid"] or os.getuid() for outcome in blamed.values()}:
        found |= verified({n: o for n, o in blamed.items() if (o["uid"] or os.getuid()) == uid}, uid)
    wrong = {
        name: (outcome["found_as"], found[name])
        for name, outcome in blamed.items()
        if {reason for _, reason, _ in found[name]} != {outcome["found_as"]}
    }
    assert not wrong, listed(wrong)


def test_good_files_are_not_blamed(everything: Outcomes) -> None:
    """Whole files whose load failed for other reasons, or went well, are good at every level."""
    whole = {
        name: outcome | {"verify": "checksum"}
        for name, outcome in everything.items()
        if outcome["path"] and not outcome["verify"] and os.path.exists(outcome["path"])
    }
    assert len(whole) >= 50
    found = verified(whole, os.getuid())
    blamed = {name: files for name, files in found.items() if files and name not in NOT_WHOLE}
    assert not blamed, listed(blamed)


NOT_WHOLE = {
    "torch_given_a_folder": "an empty folder",
    "onnx_given_a_folder": "an empty folder",
    "python_too_many_open_files": "a hundred zero bytes",
}
"""Faults whose files are no model; their load fails before that matters."""


def test_most_damage_that_loads_silently_needs_checksums(everything: Outcomes) -> None:
    """Flipped bits that every loader takes: the reason for the checksum level, and proof that these loads succeed."""
    silent = {name: outcome["verify"] for name, outcome in everything.items() if outcome["silent"]}
    assert len(silent) >= 14
    assert {name for name, level in silent.items() if "flipped" in name and level != "checksum"} == set()
