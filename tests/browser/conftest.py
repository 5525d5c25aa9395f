"""The page as a person has it, in Chromium: served by explore.py, and as the static site with the
Pyodide in the folder that $SCRATCHNET_PYODIDE names. Skipped where one of them is missing."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest

from explorer import ask_all  # noqa: F401 - what can be asked
from explorer.runs import Runs, found_in

PYODIDE, CHROMIUM = os.environ.get("SCRATCHNET_PYODIDE"), shutil.which("chromium")
BOX = Path(__file__).parents[2] / "pretrained"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")  # two at once do not go
def chromium():
    api = pytest.importorskip("playwright.sync_api", reason="no Playwright")
    if not CHROMIUM:
        pytest.skip("no Chromium")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def runs():
    """The engine in CPython, with which the page is compared."""
    return Runs(found_in([BOX]))


def served():
    """explore.py's own server, and its address."""
    from explorer.serve import listening
    return listening(Runs(found_in([BOX])), 8700)


def static(folder):
    """A web host of the static site, and its address."""
    from explorer.build import build
    build(folder, found_in([BOX]), Path(PYODIDE))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(
        Quiet, directory=folder))
    return server, f"http://127.0.0.1:{server.server_port}/"


@pytest.fixture(scope="module", params=["http", "worker"])
def way(request, chromium):
    if request.param == "worker" and not PYODIDE:
        pytest.skip("no $SCRATCHNET_PYODIDE: a folder with Pyodide")
    return request.param


@pytest.fixture(scope="module")
def address(way, tmp_path_factory):
    if way == "http":
        pytest.importorskip("bottle")
    server, found = served() if way == "http" else static(tmp_path_factory.mktemp("site"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def tab(chromium, way, address):
    """A tab in which the engine is at work; a worker begins once."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda line: line.type == "error" and page.errors.append(line.text))
    page.evaluate("() => { document.documentElement.dataset.theme = 'light'; }")
    yield page
    context.close()


@pytest.fixture
def page(tab):
    """The same tab, on the first page; no script may fail, nor the policy be broken."""
    tab.set_viewport_size({"width": 1280, "height": 1000})
    tab.errors.clear()
    tab.evaluate("location.hash = '#start'")
    yield tab
    assert not tab.errors
