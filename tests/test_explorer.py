"""explore.py: what the page asks, and who may ask. Over HTTP, by a server of the test's own."""

import http.client
import json
import random
import shutil
import socket
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from scripts import answer, array

from explorer import ask_all  # noqa: F401 - what can be asked
from explorer.answers import ASKED, asked
from explorer.ask_vae import frame
from explorer.runs import Runs, found_in
from models import RECIPES
from scratchnet import losses, no_grad
from scratchnet.runs import open_run

bottle = pytest.importorskip("bottle")
from explorer.serve import AT_WORK, listening  # noqa: E402

ROOT = Path(__file__).parent.parent
rng = np.random.default_rng(0)
EXAMPLES = {"mnist": (rng.integers(0, 256, (12, 28, 28, 1), np.uint8), np.arange(12) % 10, "noise"),
            "cifar": (rng.integers(0, 256, (4, 32, 32, 3), np.uint8), np.arange(4), "noise")}


@pytest.fixture(scope="module")
def runs():
    return Runs(found_in([ROOT / "pretrained"]), EXAMPLES)


@pytest.fixture(scope="module")
def server(runs):
    @asked
    def slowly(runs, parts=3):  # a stream that says when it was ended
        try:
            for k in range(parts):
                time.sleep(0.02)
                yield {"k": k}
        finally:
            ended.append(parts)
    found, address = listening(runs, 8300, token="secret")
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found.server_port, address
    found.shutdown()
    found.server_close()
    del ASKED["slowly"]


ended = []


def ask(server, name, body, kind="ask", **headers):
    """(status, JSON) of a request."""
    body = body if isinstance(body, (bytes, str)) else json.dumps(body)
    with closing(http.client.HTTPConnection("127.0.0.1", server[0], timeout=60)) as connection:
        connection.request("POST", f"/{kind}/{name}", body, headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())


# ---------------------------------------------------------------- answers are the engine's

def test_decode_and_encode_are_the_models(server):
    """Over HTTP, to the bit: the plane's point is z itself; in more dimensions the frame is only
    another way to say z."""
    model = open_run(ROOT / "pretrained/vae2-mnist", RECIPES).model
    status, found = ask(server, "decode", {"run": "vae2-mnist", "at": [0.5, -1]})
    with no_grad():
        wanted = model.mean_image(np.float32([[0.5, -1]])).numpy()
    assert status == 200 and (array(found["image"]).reshape(1, -1) == wanted).all()
    model = open_run(ROOT / "pretrained/vae-mnist", RECIPES).model
    x = EXAMPLES["mnist"][0][3:4] / np.float32(255)
    found = ask(server, "encode", {"run": "vae-mnist", "image": 3})[1]
    with no_grad():
        mu, log_var = model.encode(x)
        kl = losses.gaussian_kl(mu, log_var).item()
    assert found["kl"] == pytest.approx(kl, rel=1e-6)
    np.testing.assert_allclose(array(found["reconstruction"]), model.reconstruct(x).numpy()[0],
                               atol=2e-5)
    at = array(found["at"]).tolist()
    again = array(ask(server, "decode", {"run": "vae-mnist", "at": at})[1]["image"])
    assert (again == array(found["reconstruction"])).all()
    sigma = np.exp(0.5 * log_var.numpy())
    assert np.sum(array(found["sigma"]) ** 2) == pytest.approx(np.sum(sigma ** 2), rel=1e-4)
    plane = ask(server, "plane", {"run": "vae-mnist"})[1]
    assert array(plane["at"]).shape == (12, 20)
    np.testing.assert_allclose(array(plane["at"])[3], array(found["at"]), atol=1e-4)


def test_the_axes_of_a_frame_are_the_same_on_every_computer(runs):
    """The largest part of each is above 0: an address says the same point everywhere."""
    axes = frame(runs, "vae-mnist")[1]
    assert (axes[np.arange(20), np.abs(axes).argmax(axis=1)] > 0).all()
    np.testing.assert_allclose(axes @ axes.T, np.eye(20), atol=1e-5)


@pytest.mark.parametrize("request_", [{"count": 0}, {"count": 201}, {"count": None},
                                      {"count": 1.5}, {"count": "a"}])
def test_wrong_requests_of_examples(runs, request_):
    found = answer(runs, "examples", {"run": "vae2-mnist", **request_})
    assert "needs a whole number" in found["error"]


def test_a_code_of_thousands_is_refused_before_its_axes_are_sought(runs, monkeypatch):
    monkeypatch.setattr("explorer.ask_vae.WIDEST", 20)
    assert "at" in answer(runs, "plane", {"run": "vae-mnist"})
    monkeypatch.setattr("explorer.ask_vae.WIDEST", 19)
    found = answer(runs, "plane", {"run": "vae-mnist"})
    assert "a code of 20 numbers" in found["error"] and "up to 19" in found["error"]


def test_a_site_tells_no_paths_of_its_maker(tmp_path):
    from explorer.build import told_of
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"flags": {"images": "/home/me/photos", "test": None,
                                            "codes": "/home/me/runs/vqvae", "seed": 0,
                                            "from": "/home/me/runs/first"}}))
    assert json.loads(told_of(config))["flags"] == {"images": "photos", "test": None,
                                                    "codes": "vqvae", "seed": 0, "from": "first"}


def test_a_site_that_is_built_again_keeps_no_run_of_the_one_before(tmp_path):
    pytest.importorskip("latex2mathml", reason='no pip install -e ".[explore]"')
    from explorer.build import build
    old = tmp_path / "runs" / "secret" / "checkpoint.npz"
    old.parent.mkdir(parents=True)
    old.touch()
    (tmp_path / "site.json").write_text("{}")
    build(tmp_path, {})
    assert not old.exists() and (tmp_path / "page" / "main.js").is_file()


def test_an_example_brings_its_class_and_a_path_is_its_points(server):
    found = ask(server, "encode", {"run": "cvae-mnist", "image": 4})[1]
    assert found["label"] == 4 and found["kl"] > 0
    path = [[0.0] * 16, [1.0] * 16]
    images = array(ask(server, "interpolate", {"run": "cvae-mnist", "path": path,
                                               "label": 7})[1]["images"])
    one = array(ask(server, "decode", {"run": "cvae-mnist", "at": path[1], "label": 7})[1]["image"])
    np.testing.assert_allclose(images[1], one, atol=1e-5)  # products of one row and of two
    assert abs(images[0] - images[1]).max() > 0.1


def test_runs_are_listed_with_what_is_wrong(tmp_path):
    shutil.copytree(ROOT / "pretrained/vae2-mnist", tmp_path / "runs" / "whole")
    for name, text in (("damaged", "{"), ("begun", None)):
        shutil.copytree(tmp_path / "runs" / "whole", tmp_path / "runs" / name)
        (tmp_path / "runs" / name / "checkpoint.npz").unlink()
        if text:
            (tmp_path / "runs" / name / "config.json").write_text(text)
    runs = Runs(found_in([tmp_path / "runs"]), EXAMPLES)
    found = {run["name"]: run for run in answer(runs, "runs", {})["runs"]}
    assert "error" not in found["whole"] and found["whole"]["title"] == "vae on MNIST"
    assert "config.json" in found["damaged"]["error"] and "checkpoint" in found["begun"]["error"]
    assert "no checkpoint yet" in answer(runs, "about", {"run": "begun"})["error"]
    first = answer(runs, "decode", {"run": "whole", "at": [0, 0]})
    shutil.copy(ROOT / "pretrained/autoencoder-mnist/checkpoint.npz", tmp_path / "runs" / "whole")
    assert "error" in answer(runs, "decode", {"run": "whole", "at": [0, 0]}) and "image" in first


# ---------------------------------------------------------------- who may ask, and what

def test_only_this_computer_and_this_page_may_ask(server):
    body = {"run": "vae2-mnist", "at": [0, 0]}
    port = server[0]
    for headers in ({"Host": "evil.example"}, {"Host": f"evil.example:{port}"},
                    {"Origin": "https://evil.example"}, {"Origin": "null"},
                    {"Origin": f"http://127.0.0.1:{port + 1}"}):
        status, found = ask(server, "decode", body, **headers)
        assert status == 403 and "error" in found, headers
    assert ask(server, "decode", body, Origin=f"http://localhost:{port}")[0] == 200
    assert server[1] == f"http://127.0.0.1:{port}/?token=secret"


def test_pages_have_a_policy_and_nothing_else_is_read(server):
    connection = http.client.HTTPConnection("127.0.0.1", server[0])
    for path in ("/", "/page/main.js", "/page/style.css"):
        connection.request("GET", path)
        reply = connection.getresponse()
        text = reply.read().decode()
        assert reply.status == 200 and "default-src 'none'" in reply.getheader(
            "Content-Security-Policy"), path
        assert "<script>" not in text and " style=" not in text and " onclick=" not in text
    for path in ("/page/../serve.py", "/page/..%2fserve.py", "/page/%2e%2e/serve.py", "/etc/passwd",
                 "/page//etc/passwd", "/ask/decode", "/pretrained/vae-mnist/config.json"):
        connection.request("GET", path)
        reply = connection.getresponse()
        assert reply.status in (403, 404, 405) and b"import" not in reply.read(), path


def test_a_thousand_malformed_requests(server):
    """Each is answered by one sentence, and the server answers afterwards."""
    draw = random.Random(0)
    junk = [None, True, -1, 10 ** 30, 1.5, float("nan"), "", "vae2-mnist", "../../etc", [], [[]],
            [1, 2], [1, "a"], {}, {"a": 1}, [[[0.0] * 28] * 28], "x" * 5000, [0.1] * 20]
    names = [*sorted(ASKED), "", "nothing", "__class__", "a/b"]
    arguments = ["run", "at", "image", "label", "path", "draws", "seed", "count", "first", "x"]
    def request():
        if draw.random() < 0.1:
            return draw.choice([b"", b"\xff\xfe", b"{", b"[" * 5000, b"null", b'"a"', b"NaN"])
        found = {name: draw.choice(junk) for name in draw.sample(arguments, draw.randint(0, 4))}
        if draw.random() < 0.6:
            found["run"] = draw.choice(["vae2-mnist", "vae-mnist", "prior-mnist", "vqvae-mnist"])
        return found
    refused = 0
    for _ in range(1000):
        name, body = draw.choice(names), request()
        if name in ("slowly", "a/b", ""):
            continue
        status, found = ask(server, name, body)
        assert status in (200, 400, 403, 404) and isinstance(found, dict), (name, body)
        if status != 200:
            refused += 1
            assert set(found) == {"error"} and "Traceback" not in found["error"]
            assert "\n" not in found["error"] and len(found["error"]) < 1000, found
    assert refused > 600
    assert ask(server, "decode", {"run": "vae2-mnist", "at": [0, 0]})[0] == 200


def test_a_request_that_is_too_large(server):
    status, found = ask(server, "decode", b"[" + b"1," * (1 << 20) + b"1]")
    assert status == 413 and "at most" in found["error"]


@pytest.mark.parametrize("headers", [
    "Content-Length: many", "Content-Length: -1", "Transfer-Encoding: chunked"])
def test_a_request_says_its_size(server, headers):
    reply = exchange(server, f"POST /ask/runs HTTP/1.1\r\nHost: 127.0.0.1:{server[0]}\r\n{headers}"
                             f"\r\n\r\n".encode())
    assert reply.split()[1] == b"411" and b"Content-Length" in json.loads(
        reply.partition(b"\r\n\r\n")[2])["error"].encode()


def exchange(server, *requests):
    """What is received for what is sent at once, until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server[0]), timeout=10) as tab:
        tab.sendall(b"".join(requests))
        return tab.makefile("rb").read()


def sent(path, body, *headers, port):
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def test_questions_of_one_connection(server):
    """It stays open from answer to answer; a refusal or a stream ends it, and so does a wish."""
    ask_decode = sent("/ask/decode", b'{"run": "vae2-mnist", "at": [0, 0]}', port=server[0])
    bye = sent("/ask/slowly", b"{}", "Connection: close", port=server[0])
    for last, word in ((bye, b'"k": 2'), (sent("/ask/nothing", b"", port=server[0]), b"error"),
                       (sent("/stream/slowly", b"{}", port=server[0]), b'"k": 1'),
                       (f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server[0]}\r\n\r\n".encode(),
                        b"<!doctype")):
        found = exchange(server, ask_decode, ask_decode, last, ask_decode)
        assert found.count(b"HTTP/1.1 ") == 3 and found.count(b'"image"') == 2
        assert word in found and found.count(b"Connection: close") == 1


@pytest.mark.parametrize("path, header, status", [
    ("/ask/decode", "Origin: https://evil.example", 403), ("/ask/run_cell", "X-Token: x", 403),
    ("/ask/decode", "Transfer-Encoding: chunked", 411), ("/page/main.js", "X: ", 405),
    ("/nothing", "X: ", 404)])
def test_what_is_refused_brings_no_other_request(server, path, header, status):
    """What another page sends as a body would come from this one, were it taken for a request."""
    within = sent("/ask/slowly", b"{}", port=server[0])
    found = exchange(server, sent(path, within, header, port=server[0]))
    assert found.count(b"HTTP/1.1 ") == 1 and found.split()[1] == str(status).encode()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_method_that_is_none_of_the_pages(server, method):
    request = sent("/ask/decode", b"{}", port=server[0]).replace(b"POST", method.encode(), 1)
    found = exchange(server, request)
    assert found.split()[1] == b"405" and b'"error"' in found and b"Connection: close" in found


def test_headers_that_are_no_text(server):
    status, found = ask(server, "run_cell", {}, **{"X-Token": b"\xff"})
    assert status == 403 and "error" in found


@pytest.mark.parametrize("port", ["0", "-1", "65536", "x"])
def test_a_port_that_is_none(port, capsys):
    import explore
    with pytest.raises(SystemExit) as stopped:
        explore.main(["--port", port])
    assert stopped.value.code == 2 and "--port" in capsys.readouterr().err
    assert explore.build_parser().parse_args(["--backend", "auto"]).backend == "auto"


def test_fifty_at_once(server):
    wanted = ask(server, "decode", {"run": "vae2-mnist", "at": [0.1, 0.2]})
    found = [None] * 50
    def one(k):
        found[k] = ask(server, "decode", {"run": "vae2-mnist", "at": [0.1, 0.2]})
    threads = [threading.Thread(target=one, args=(k,)) for k in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 50


def test_streams_and_a_closed_tab(server):
    """Events as they are made; a reader that goes away ends the work and gives its room back."""
    ended.clear()
    connection = http.client.HTTPConnection("127.0.0.1", server[0])
    connection.request("POST", "/stream/slowly", "{}")
    reply = connection.getresponse()
    assert reply.getheader("Content-Type").startswith("text/event-stream")
    events = reply.read().decode().split("\n\n")[:-1]
    assert [json.loads(event.removeprefix("data: ")) for event in events] == [
        {"k": 0}, {"k": 1}, {"k": 2}] and ended == [3]
    for _ in range(AT_WORK + 5):  # more than there is room for, if it were not given back
        with socket.create_connection(("127.0.0.1", server[0])) as tab:
            tab.sendall(f"POST /stream/slowly HTTP/1.1\r\nHost: 127.0.0.1:{server[0]}\r\n"
                        f"Content-Length: 15\r\n\r\n".encode() + b'{"parts": 1000}')
            tab.recv(100)
        deadline = time.monotonic() + 20
        while 1000 not in ended and time.monotonic() < deadline:
            time.sleep(0.01)
        assert 1000 in ended
        ended.remove(1000)
    assert ask(server, "slowly", {})[1] == {"k": 2}
