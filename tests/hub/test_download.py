"""A model is fetched from a hub that breaks off half-way: its client goes on where it was, and shows how far it is.

The hub is a stand-in on this machine that speaks as much of the real one's language as a download takes.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from course_lib.hub import to_huggingface
from course_lib.models.gpt import GPT, GPTConfig

NAME, COMMIT = "someone/tiny-gpt2", "0123456789abcdef0123456789abcdef01234567"
FETCH = """
import sys, torch
from course_lib.hub import gpt_from_huggingface
torch.save(gpt_from_huggingface(sys.argv[1]).state_dict(), sys.argv[2])
"""


class Hub(ThreadingHTTPServer):
    """Serves one model. The first answer with its weights breaks off half-way; `asked` lists (method, file, Range)."""

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), Answer)
        self.folder, self.asked = folder, []

    @property
    def ranges(self) -> list[str | None]:
        """From where the weights were asked for, each time."""
        return [start for method, file, start in self.asked if (method, file) == ("GET", "model.safetensors")]


class Answer(BaseHTTPRequestHandler):
    """One request to the stand-in."""

    server: Hub

    def do_HEAD(self) -> None:
        self._file(self._content(), whole=True)

    def do_GET(self) -> None:
        files = sorted(self.server.folder.iterdir())
        if self.path.startswith(f"/api/models/{NAME}/tree"):
            rows = [{"type": "file", "path": file.name, "size": file.stat().st_size, "oid": COMMIT} for file in files]
            return self._send(200, json.dumps(rows).encode())
        if self.path.startswith(f"/api/models/{NAME}"):
            siblings = [{"rfilename": file.name} for file in files]
            return self._send(200, json.dumps({"id": NAME, "sha": COMMIT, "siblings": siblings}).encode())
        self._file(self._content(), whole=False)

    def _content(self) -> bytes | None:
        name = re.sub(rf"^/{NAME}/resolve/(main|{COMMIT})/", "", self.path)
        self.server.asked.append((self.command, name, self.headers.get("Range")))
        file = self.server.folder / name
        return file.read_bytes() if file.is_file() else None

    def _file(self, content: bytes | None, *, whole: bool) -> None:
        if content is None:
            return self._send(404, b"")
        about = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and not whole:
            start = int(asked[1])
            about["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return self._send(206, content[start:], about)
        breaks_off = not whole and self.path.endswith("model.safetensors") and self.server.ranges == [None]
        self._send(200, content, about, sent=len(content) // 2 if breaks_off else None)

    def _send(self, status: int, content: bytes, about: dict[str, str] | None = None, sent: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**(about or {}), "Content-Length": str(len(content)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[:sent])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def original() -> GPT:
    """The model on the hub: 26 MB, for the client keeps what it has in pieces of 10 MB."""
    torch.manual_seed(0)
    return GPT(GPTConfig(100_000, context_length=16, d_model=64, n_heads=2, n_layers=1))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    to_huggingface(original()).save_pretrained(tmp_path / "model")
    with Hub(tmp_path / "model") as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()


def fetch(hub: Hub, folder: Path) -> subprocess.CompletedProcess:
    """A process of its own fetches the model: where the hub is, its client reads once, when it is imported."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("HF_") and "proxy" not in name.lower()
    }
    environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(folder / "cache")}
    command = [sys.executable, "-c", FETCH, NAME, str(folder / "fetched.pt")]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.slow
def test_a_download_that_breaks_off_goes_on_where_it_was(hub, tmp_path):
    done = fetch(hub, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    begun, again = hub.ranges
    assert begun is None and int(again.removeprefix("bytes=").removesuffix("-")) >= 10**7
    assert "100%" in done.stderr, "it shows how far it is"
    fetched = torch.load(tmp_path / "fetched.pt")
    assert all(torch.equal(fetched[name], value) for name, value in original().state_dict().items())


@pytest.mark.slow
def test_what_was_fetched_is_not_fetched_again(hub, tmp_path):
    fetch(hub, tmp_path)
    hub.asked.clear()
    assert fetch(hub, tmp_path).returncode == 0
    assert hub.asked == []


@pytest.mark.slow
def test_a_name_that_the_hub_does_not_have_is_said(hub, tmp_path):
    (hub.folder / "config.json").unlink()
    done = fetch(hub, tmp_path)
    assert done.returncode != 0
    assert "holds no config.json" in done.stderr.splitlines()[-1]
