"""The hub: a server on this machine answers for it."""

import contextlib
import http.server
import socket
import struct
from pathlib import Path

from registry import FAULTS, Fault, Load, Prepare, as_nobody, fault, fill, tmpfs


class Hub(http.server.BaseHTTPRequestHandler):
    """By the organisation's name: org401/model gets a 401, reset/model a reset connection, break/model one midway."""

    def do_GET(self) -> None:
        organisation = next(
            (part for part in self.path.split("/") if part.startswith(("org", "reset", "cut", "break"))), ""
        )
        if organisation == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        if organisation in ("cut", "break"):
            self.send_response(200)
            for name, value in (
                ("Content-Length", "100000"), ("ETag", '"' + "ab" * 20 + '"'), ("X-Repo-Commit", "c" * 40),
            ):  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(bytes(1000))
                if organisation == "break":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
            self.close_connection = True
            return
        status, _, code = organisation.removeprefix("org").partition("-")
        self.send_response(int(status or 404))
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815  # the name that http.server looks for

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().handle()

    def log_message(self, *_: object) -> None: ...


def hub(organisation: str, file: str = "config.json") -> Prepare:
    def prepare(folder: Path) -> tuple[Load, str | None]:
        from huggingface_hub import hf_hub_download

        return lambda: hf_hub_download(f"{organisation}/model", file, cache_dir=folder, etag_timeout=2), None

    return prepare


def hub_through_transformers(organisation: str) -> Prepare:
    def prepare(folder: Path) -> tuple[Load, str | None]:
        from transformers import AutoModel

        name = f"{organisation}/model"
        return lambda: AutoModel.from_pretrained(name, cache_dir=folder), name

    return prepare


HUB_ANSWERS = {
    "unauthorized": ("org401", "auth_denied"),
    "repo_unknown": ("org401-RepoNotFound", "not_found_remote"),
    "gated": ("org403-GatedRepo", "auth_denied"),
    "forbidden": ("org403", "auth_denied"),
    "repo_missing": ("org404-RepoNotFound", "not_found_remote"),
    "entry_missing": ("org404-EntryNotFound", "not_found_remote"),
    "revision_missing": ("org404-RevisionNotFound", "not_found_remote"),
    "rate_limited": ("org429", "network_error"),
    "internal_error": ("org500", "network_error"),
    "reset": ("reset", "network_error"),
    "cut_off": ("cut", "network_error"),
    "reset_midway": ("break", "network_error"),
}
for _name, (_organisation, _expected) in HUB_ANSWERS.items():
    FAULTS[f"hub_{_name}"] = Fault(_expected, hub(_organisation))
for _name in ("unauthorized", "gated", "repo_missing", "rate_limited", "reset"):
    _organisation, _expected = HUB_ANSWERS[_name]
    FAULTS[f"transformers_hub_{_name}"] = Fault(_expected, hub_through_transformers(_organisation))


REFUSED = ("hub_refused", "transformers_hub_refused")
"""Those that want the server gone."""
FAULTS["hub_refused"] = Fault("network_error", hub("any"))
FAULTS["transformers_hub_refused"] = Fault("network_error", hub_through_transformers("any"))


@fault("file_missing")
def hub_offline(folder: Path) -> tuple[Load, str]:
    from huggingface_hub import hf_hub_download

    return lambda: hf_hub_download("org/model", "config.json", cache_dir=folder, local_files_only=True), "org/model"


@fault("file_missing")
def transformers_hub_offline(folder: Path) -> tuple[Load, str]:
    from transformers import AutoModel

    return lambda: AutoModel.from_pretrained("org/model", cache_dir=folder, local_files_only=True), "org/model"


@fault("permission_denied")
def hub_cache_not_writable(folder: Path) -> tuple[Load, str | None]:
    from huggingface_hub import hf_hub_download

    cache = folder / "cache"
    cache.mkdir(mode=0o755)
    return as_nobody(lambda: hf_hub_download("cut/model", "config.json", cache_dir=cache)), None


@fault("disk_full")
def hub_cache_on_a_full_disk(folder: Path) -> tuple[Load, str | None]:
    from huggingface_hub import hf_hub_download

    mounted = tmpfs(folder)
    fill(mounted)
    return lambda: hf_hub_download("cut/model", "config.json", cache_dir=mounted), None
