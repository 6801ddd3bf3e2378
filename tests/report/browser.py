"""A page in headless Chromium, driven through chromedriver's own protocol (W3C WebDriver over HTTP): no package needed."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOOLS = {"chromium": shutil.which("chromium"), "chromedriver": shutil.which("chromedriver")}
needs_chromium = pytest.mark.skipif(not all(TOOLS.values()), reason="needs chromium and chromium-driver")

KEYS = {"right": "\ue014", "left": "\ue012", "home": "\ue011", "end": "\ue010", "page up": "\ue00e", "tab": "\ue004"}
SWITCHES = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
START_S, CALL_S = 20, 30


class Browser:
    """One tab. `requests` and `errors` tell what it asked of any network and what it complained about since it was opened."""

    def __init__(self, url: str) -> None:
        self._url = url

    def open(self, page: Path) -> None:
        self._log("performance")  # of Chromium's own first page
        self._call("POST", "/url", {"url": page.as_uri()})

    def script(self, code: str, *arguments: Any) -> Any:
        return self._call("POST", "/execute/sync", {"script": code, "args": list(arguments)})

    def text(self, selector: str) -> str:
        return self.script("return document.querySelector(arguments[0]).textContent", selector)

    def press(self, selector: str, *keys: str) -> None:
        """Presses keys, by name, in an element."""
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]
        self._call("POST", f"/element/{found}/value", {"text": "".join(KEYS[key] for key in keys)})

    def click(self, selector: str) -> None:
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]
        self._call("POST", f"/element/{found}/click", {})

    def command(self, name: str, **parameters: Any) -> Any:
        """A command of the DevTools."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def size(self, width: int, height: int = 900, *, dark: bool = False, media: str = "screen") -> None:
        scale = {"deviceScaleFactor": 1, "mobile": width < 600}
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, **scale)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.command("Emulation.setEmulatedMedia", media=media, features=scheme)

    def screenshot(self, path: Path, top: int = 0, height: int = 0) -> None:
        """The page at its present width, from `top` on; all of it without a height."""
        height = height or self.script("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": top, "width": self.script("return innerWidth"), "height": height, "scale": 1}
        shot = self.command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def requests(self) -> list[str]:
        """The address of every request, cached or not."""
        events = [json.loads(row["message"])["message"] for row in self._log("performance")]
        sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def errors(self) -> list[str]:
        return [row["message"] for row in self._log("browser")]

    def _log(self, kind: str) -> list[dict[str, Any]]:
        return self._call("POST", "/se/log", {"type": kind})

    def _call(self, method: str, path: str, body: dict[str, Any]) -> Any:
        return _request(method, self._url + path, body)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser without any network, gone with its processes and files behind the block."""
    with tempfile.TemporaryDirectory(prefix="codesign-chromium-", ignore_cleanup_errors=True) as profile:
        driver = subprocess.Popen(
            [str(TOOLS["chromedriver"]), "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            root = f"http://127.0.0.1:{_port(driver)}"
            options = {
                "binary": TOOLS["chromium"],
                "args": [*SWITCHES, f"--user-data-dir={profile}", "--proxy-server=127.0.0.1:9"],
            }
            wanted = {
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            }
            session = _request("POST", f"{root}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            try:
                yield Browser(f"{root}/session/{session}")
            finally:
                _request("DELETE", f"{root}/session/{session}", None)
        finally:
            driver.terminate()
            driver.wait(10)


def _port(driver: subprocess.Popen[str]) -> int:
    """The port that chromedriver says it has taken."""
    assert driver.stdout is not None
    end = time.monotonic() + START_S
    while time.monotonic() < end and (line := driver.stdout.readline()):
        if "successfully on port" in line:
            return int(line.rstrip().rstrip(".").rpartition(" ")[2])
    raise RuntimeError("chromedriver did not start")


def _request(method: str, url: str, body: dict[str, Any] | None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=CALL_S) as reply:
            return json.load(reply)["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(json.load(error)["value"]["message"]) from error
