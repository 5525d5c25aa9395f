"""Each panel by pointer and by keys, over HTTP and in a worker; what is drawn is what the engine
gives in CPython: the same bits over HTTP, to 1e-5 from WASM, which is a grey level on a canvas."""

import base64
import json
import re
from urllib.parse import parse_qs

import numpy as np
import pytest
from scripts import array

from explorer.answers import as_json, parts

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::ResourceWarning")]
ASK = """async ([kind, name, args]) => {
  const engine = await import(new URL("page/engine.js", document.baseURI)), found = [];
  if (kind === "call") found.push(await engine.call(name, args));
  else await new Promise((done, failed) => engine.stream(
    name, args, (part) => found.push(part), done, failed));
  return JSON.stringify(found, (key, value) => (
    ArrayBuffer.isView(value) ? Array.from(value) : value));
}"""
BEFORE = "() => { document.querySelector('.completions').dataset.rows = 'before'; }"
PIXELS = """(canvas) => {
  const { width, height } = canvas, pen = canvas.getContext("2d");
  const { data } = pen.getImageData(0, 0, width, height);
  let text = "";
  for (let k = 0; k < data.length; k += 4) {
    text += String.fromCharCode(data[k], data[k + 1], data[k + 2]);
  }
  return [height, width, btoa(text)];
}"""


@pytest.fixture
def engine(runs):
    """engine(name, **request): the last part of what CPython answers, with arrays."""
    def asked(name, **request):
        return arrays(list(parts(runs, name, request))[-1])
    return asked


def arrays(value):
    """An answer with {"shape", "dtype", "data"} as arrays."""
    if isinstance(value, list):
        return [arrays(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "dtype" in value:
        return array(value)
    return {key: arrays(item) for key, item in value.items()}


def pixels(canvas):
    """(H, W, 3) bytes of a canvas."""
    height, width, data = canvas.evaluate(PIXELS)
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 3)


def is_drawn(canvas, image, way):
    """The canvas has this image, (H, W, C) from 0 to 1 or bytes."""
    found = pixels(canvas).astype(int)
    scale = 1 if image.dtype == np.uint8 else 255
    wanted = np.rint(scale * image.astype(np.float64)).astype(int)
    assert found.shape[:2] == wanted.shape[:2]
    assert abs(found - wanted).max() <= (way == "worker")


def state(page):
    """What stands in the address, {name: text}."""
    page.wait_for_timeout(300)  # it is written when the pointer rests
    return {name: value[0] for name, value in
            parse_qs(page.url.partition("#")[2].partition("?")[2]).items()}


def go(page, place):
    """To another panel, or to the same anew: as a reload, in the same worker."""
    page.evaluate("location.hash = '#start'")
    page.get_by_role("heading", name="to touch").wait_for()
    page.evaluate("(place) => { location.hash = place; }", place)


def again(page):
    page.wait_for_timeout(300)  # as in state()
    go(page, "#" + page.url.partition("#")[2])


def drag(page, canvas, *points, release=True):
    """The pointer through points of a canvas, parts of its width and height."""
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for k, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if k == 0:
            page.mouse.down()
    if release:
        page.mouse.up()


def press(page, control, *keys):
    control.focus()
    for key in keys:
        page.keyboard.press(key)


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def choice(page, name):
    return page.get_by_role("combobox", name=name, exact=True)


def slide(page, label, *keys):
    press(page, page.get_by_role("slider", name=label, exact=True), *keys)


def wait_for(page, condition, argument=None):
    page.wait_for_function(condition, arg=argument)


# ---------------------------------------------------------------- what is answered

def asked_of_the_engine():
    """Every kind of question, with what is asked."""
    codes = [[(3 * i + j) % 40 for j in range(7)] for i in range(7)]
    yield "call", "decode", {"run": "vae2-mnist", "at": [0.37, -1.25]}
    yield "call", "plane", {"run": "vae2-mnist"}
    yield "call", "encode", {"run": "vae-mnist", "image": 4}
    yield "call", "interpolate", {"run": "cvae-mnist", "path": [[0.1] * 16, [1.0] * 16], "label": 3}
    yield "call", "sample_latent", {"run": "conv-vae-mnist", "count": 2, "seed": 3}
    yield "call", "encode", {"run": "autoencoder-mnist", "image": 2}
    yield "call", "codes", {"run": "vqvae-mnist", "image": 3}
    yield "call", "decode_codes", {"run": "vqvae-mnist", "codes": codes, "image": 1}
    yield "call", "distances", {"run": "vqvae-cifar10", "image": 0, "at": [2, 5]}
    yield "call", "draw_codes", {"run": "vqvae-mnist", "prior": "prior-mnist", "seed": 5}
    yield "stream", "complete", {"run": "gated-classes-mnist", "image": 1, "keep": 20, "count": 2,
                                 "seed": 4, "temperature": 0.8, "label": 2}
    yield "call", "pixel_bits", {"run": "gated-pixelcnn-mnist", "image": 2}
    yield "call", "next_pixel", {"run": "prior-mnist", "image": 2, "at": [3, 3]}
    yield "call", "next_pixel", {"run": "gated-pixelcnn-mnist", "image": 2, "at": [14, 13]}
    yield "call", "tape", {"expression": "tanh(x @ w)", "leaves": {"x": "[[1, 2]]",
                                                                  "w": "[[0.1], [0.3]]"}}
    yield "call", "loss_tape", {"run": "vae2-mnist", "image": 1}
    yield "call", "compare", {}


def same(found, wanted, way, where=""):
    if isinstance(wanted, dict):
        if "dtype" in wanted:
            wanted = {"shape": wanted["shape"], "data": arrays(wanted).reshape(-1).tolist()}
        assert found.keys() == wanted.keys(), where
        for key in wanted:
            same(found[key], wanted[key], way, f"{where}.{key}")
    elif isinstance(wanted, list) and wanted and all(type(x) in (int, float) for x in wanted):
        near(np.array(found), np.array(wanted), way, where)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for k, (one, other) in enumerate(zip(found, wanted, strict=True)):
            same(one, other, way, f"{where}[{k}]")
    elif isinstance(wanted, float):
        near(np.array(found), np.array(wanted), way, where)
    elif way == "http" or not isinstance(wanted, str):
        assert found == wanted, where


def near(found, wanted, way, where):
    if way == "http":
        assert (found == wanted).all(), where
    else:
        shade = "shade" in where  # a logarithm, for a colour
        most = 1 / 255 if shade else 1e-5 * max(1, abs(wanted).max())
        assert abs(found - wanted).max() <= most, where


def test_answers_are_those_of_the_engine(page, way, runs):
    """Through the page's own engine.js; a wrong one is a sentence, in both ways."""
    for kind, name, request in asked_of_the_engine():
        found = json.loads(page.evaluate(ASK, [kind, name, request]))
        wanted = list(parts(runs, name, request))
        wanted = json.loads(json.dumps(as_json(wanted if kind == "stream" else wanted[-1:])))
        if name == "compare" and way == "worker":  # the site brings no pictures
            for run in wanted[0]["runs"]:
                run["pictures"], run["drawn"] = [], 0
        assert "error" not in wanted[-1], wanted[-1]
        same(found, wanted, way, name)
    for name, request in (("decode", {"run": "none", "at": [0, 0]}), ("nothing", {}),
                          ("decode", {"run": "vae2-mnist", "at": [1, 2, 3]})):
        wanted = list(parts(runs, name, request))[-1]["error"]
        with pytest.raises(Exception, match=re.escape(wanted[:60])):
            page.evaluate(ASK, ["call", name, request])
    page.errors.clear()  # a status of 400 is told by the console


# ---------------------------------------------------------------- VAE

def test_vae(page, way, engine):
    go(page, "#vae")
    plane = page.get_by_role("application", name="latent plane")
    image = page.get_by_role("img", name="decoded image", exact=True)

    def decoded(run="vae2-mnist", **how):
        """What is drawn is what lies at the point that it says."""
        wait_for(page, """() => { const [plane, image] = document.querySelectorAll(".plane, .big");
            return image && plane.dataset.at && plane.dataset.at === image.dataset.at; }""")
        at = [float(x) for x in image.get_attribute("data-at").split(",")]
        is_drawn(image, engine("decode", run=run, at=at, **how)["image"], way)
        return at

    plane.wait_for()
    codes = engine("plane", run="vae2-mnist")["at"]
    # by pointer: the window holds all codes, x to the right, y up
    drag(page, plane, (0.5, 0.5), (0.001, 0.999))
    low = decoded()
    drag(page, plane, (0.5, 0.5), (0.999, 0.001))
    high = decoded()
    assert (np.array(low) < codes.min(0)).all() and (np.array(high) > codes.max(0)).all()
    drag(page, plane, (0.2, 0.3), (0.6, 0.4))
    there = decoded()
    shown = state(page)["at"]
    np.testing.assert_allclose([float(x) for x in shown.split(",")], there, atol=6e-4)
    # by keys
    press(page, plane, "ArrowLeft", "ArrowUp", "Shift+ArrowUp")
    by_keys = decoded()
    far = (np.array(high) - low)[0] / 0.998 / 100
    np.testing.assert_allclose(np.subtract(by_keys, there), [-far, 6 * far], atol=1e-3)
    # an image: its code, its KL, draws from its posterior
    press(page, button(page, "test image 3"), "Enter")
    told = page.get_by_text("nats, -ELBO")
    told.wait_for()
    wanted = engine("encode", run="vae2-mnist", image=3)
    assert f"KL {wanted['kl']:.2f} nats, -ELBO {wanted['neg_elbo']:.1f}" in told.inner_text()
    np.testing.assert_allclose(decoded(), wanted["at"], atol=1e-5 * (way == "worker"))
    for k in range(8):
        is_drawn(page.get_by_role("img", name=f"draw {k + 1}", exact=True), wanted["draws"][k],
                 way)
    # a path by pointer, and one by keys
    for by_pointer in (True, False):
        press(page, button(page, "draw a path"), "Enter")
        if by_pointer:
            drag(page, plane, (0.3, 0.3), (0.5, 0.6), (0.7, 0.5))
        else:
            press(page, plane, *["ArrowLeft"] * 15, *["ArrowUp"] * 8, "Enter")
        page.get_by_role("heading", name="Along the path").wait_for()
        path = np.float64(state(page)["path"].split(",")).reshape(12, 2)
        assert np.ptp(path, axis=0).min() > 0.3
        page.wait_for_timeout(200)
        again(page)  # the points of the address, as those of the hand have more digits
        page.get_by_role("heading", name="Along the path").wait_for()
        images = engine("interpolate", run="vae2-mnist", path=path.tolist())["images"]
        for k in (0, 5, 11):
            is_drawn(button(page, f"{k + 1} of 12 along the path").locator("canvas"), images[k],
                     way)
    told.wait_for()  # the image is chosen still
    # draws from the prior
    button(page, "draw from N(0, I)").click()
    wait_for(page, "() => document.querySelectorAll('[title$=\"go there\"]').length === 16")
    wanted = engine("sample_latent", run="vae2-mnist", seed=int(state(page)["seed"]))
    is_drawn(button(page, "draw 2: go there").locator("canvas"), wanted["images"][1], way)
    button(page, "draw 2: go there").click()
    np.testing.assert_allclose(decoded(), wanted["at"][1], atol=1e-5 * (way == "worker"))

    # another run, told the class; its axes; an autoencoder beside it
    go(page, "#vae?run=cvae-mnist&image=2&beside=autoencoder-mnist")
    page.get_by_text("nats, -ELBO").wait_for()
    page.get_by_text("a point, no distribution").wait_for(state="detached")
    label = int(engine("examples", run="cvae-mnist")["labels"][2])
    assert choice(page, "class").input_value() == str(label)
    choice(page, "class").select_option(str((label + 3) % 10))
    choice(page, "up: axis").first.select_option(index=4)
    page.get_by_text("all axes").first.click()
    slide(page, "7", "ArrowRight", "ArrowRight")
    image = page.get_by_role("img", name="decoded image", exact=True).first
    page.get_by_role("application", name="latent plane").nth(1).wait_for()
    at = decoded("cvae-mnist", label=(label + 3) % 10)
    found = state(page)
    assert found["axes"] == "0,4" and found["label"] == str((label + 3) % 10) and len(at) == 16


def test_a_reload_and_the_theme(page, way, engine):
    """What stands in the address is shown again by a new engine; also without the pointer."""
    page.evaluate("location.hash = '#vae?at=0.5,-1.25'")
    image = page.get_by_role("img", name="decoded image", exact=True)
    wait_for(page, "() => (document.querySelector('canvas.big') || {dataset: {}}).dataset.at")
    page.reload()
    wait_for(page, "() => (document.querySelector('canvas.big') || {dataset: {}}).dataset.at")
    is_drawn(image, engine("decode", run="vae2-mnist", at=[0.5, -1.25])["image"], way)
    plane = page.get_by_role("application", name="latent plane")
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    button(page, "dark or light").click()
    assert pixels(plane)[5, 5].max() < 80
    button(page, "dark or light").click()
    assert pixels(plane)[5, 5].min() > 200


# ---------------------------------------------------------------- VQ-VAE

def drawing(text):
    """The image (28, 28, 1) in the address: hexadecimal digits, zN. for N zeros."""
    digits = re.sub(r"z(\d+)\.", lambda zeros: "0" * int(zeros[1]), text)
    return np.float32([int(digit, 16) for digit in digits]).reshape(28, 28, 1) / np.float32(15)


def test_vqvae(page, way, engine):
    go(page, "#vqvae")
    pad = page.get_by_role("application", name="a pad to draw on")
    cells = page.get_by_role("application", name="the codes")

    def codes():
        return np.int64(cells.get_attribute("data-codes").split(",")).reshape(7, 7)

    def shows(wanted):
        """The page's codes are these, when it has answered; the image is what they decode to."""
        wait_for(page, "(wanted) => document.querySelector('[data-codes]')?.dataset.codes"
                 " === wanted", ",".join(map(str, wanted.reshape(-1))))
        error = engine("decode_codes", run="vqvae-mnist", codes=wanted.tolist(), image=image)
        page.get_by_text(f"Reconstruction error {error['recon_error']:.4f}").wait_for()
        expected = np.rint(255 * error["decoded"][..., 0].astype(np.float64))
        found = pixels(page.get_by_role("application", name="the decoded image"))
        found = found[8::16, 8::16, 0].astype(int)  # the middles of its pixels
        assert found.shape == (28, 28) and (abs(found - expected) <= (way == "worker")).all()

    # choose an image, a cell and a code, by keys
    image = 4
    press(page, button(page, "test image 4"), "Enter")
    wanted = engine("codes", run="vqvae-mnist", image=4)["codes"].astype(int)
    shows(wanted)
    press(page, cells, "ArrowUp", "ArrowLeft")
    found = engine("distances", run="vqvae-mnist", image=4, at=[2, 2])
    page.get_by_text(f"{found['distances'][1]:.3f}", exact=True).first.wait_for()
    assert page.get_by_role("heading", name=f"Row 2, column 2: code {wanted[2, 2]}").is_visible()
    page.keyboard.press("Enter")  # to the palette, at this code; the next but one
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    order = engine("palette", run="vqvae-mnist")["order"].tolist()
    changed = wanted.copy()
    changed[2, 2] = order[(order.index(wanted[2, 2]) + 2) % len(order)]
    shows(changed)
    # by pointer
    box = cells.bounding_box()
    cells.click(position={"x": box["width"] * 4.5 / 7, "y": box["height"] * 5.5 / 7})
    page.get_by_role("button", name="code 36,").click()
    changed[5, 4] = 36
    shows(changed)
    page.get_by_text("Codes changed: 2").wait_for()
    again(page)
    shows(changed)
    button(page, "undo").click()
    changed[5, 4] = wanted[5, 4]
    shows(changed)
    button(page, "reset").click()
    shows(wanted)
    # an image of one's own, by pointer and by keys: its codes follow
    button(page, "empty pad").click()
    drag(page, pad, (0.3, 0.2), (0.7, 0.25), (0.5, 0.8))
    press(page, pad, "ArrowLeft", "ArrowLeft", " ", "Shift+ArrowLeft", "Shift+ArrowLeft")
    image = drawing(state(page)["drawing"])
    assert image.sum() > 20
    image = image.tolist()
    wanted = engine("codes", run="vqvae-mnist", image=image)["codes"].astype(int)
    shows(wanted)
    again(page)
    shows(wanted)
    # a new one by the prior
    button(page, "draw a new one by the prior").click()
    page.get_by_text("The prior drew these codes").wait_for()
    wanted = engine("draw_codes", run="vqvae-mnist", prior="prior-mnist",
                    seed=int(state(page)["seed"]))["codes"]
    assert (codes() == wanted).all()


def test_a_completion_that_breaks_off_says_so(page, way):
    if way == "worker":
        pytest.skip("its stream cannot end before its time")
    page.route("**/stream/complete", lambda route: route.fulfill(body=""))
    try:
        go(page, "pixelcnn?run=gated-classes-mnist")
        button(page, "complete").click()
        page.get_by_text("the drawing broke off; press complete again").wait_for(timeout=20_000)
        button(page, "test image 3").click()  # an old error goes
        page.get_by_text("the drawing broke off").wait_for(state="detached", timeout=20_000)
    finally:
        page.unroute("**/stream/complete")


# ---------------------------------------------------------------- PixelCNN

def test_pixelcnn(page, way, engine):
    go(page, "#pixelcnn?image=1&run=gated-classes-mnist")
    run = {"run": "gated-classes-mnist"}
    films = page.get_by_role("img", name="completion")

    def completed(**how):
        wait_for(page, "() => document.querySelector('.completions')?.dataset.rows === '28'")
        page.get_by_text("Choose one to see").wait_for()
        wanted = engine("complete", **run, count=6, **how)
        for k in range(6):
            is_drawn(films.nth(k), wanted["images"][k], way)
        return wanted["values"]

    # an image, what it costs, by keys to a pixel
    whole = page.get_by_text("The whole image costs")
    whole.wait_for()
    label = int(engine("examples", **run)["labels"][1])
    bits = engine("pixel_bits", **run, image=1, label=label)
    assert f"{bits['total']:.1f} bits" in whole.inner_text()
    heat = page.get_by_role("application", name="bits of each pixel")
    press(page, heat, "ArrowDown", "ArrowRight")
    seen = engine("next_pixel", **run, image=1, at=[15, 15], label=label)
    page.get_by_text(f"white has the probability {seen['p'][0, 1]:.3f}").wait_for()
    page.get_by_text(f"it depends on {seen['seen']} of them").wait_for()
    field = page.get_by_role("application", name="what the pixel depends on")
    wait_for(page, "() => document.querySelector('[data-at=\"15,15\"]')")
    hatched = pixels(field).reshape(28, 16, 28, 16, 3)
    alike = np.array([[len(np.unique(hatched[i, 4:-4, j, 4:-4].reshape(-1, 3), axis=0)) == 1
                       for j in range(28)] for i in range(28)])
    influence = seen["gradient"] > 0
    assert alike[influence].mean() > 0.95 and influence.sum() > 300  # a colour; else hatched
    # by pointer to another
    box = heat.bounding_box()
    heat.hover(position={"x": box["width"] * 10.5 / 28, "y": box["height"] * 7.5 / 28})
    page.get_by_text("Row 7, column 10").wait_for()
    # completions: of an example, of another class, at a temperature, then what one of them costs
    slide(page, "rows kept", "ArrowRight", "ArrowRight")
    button(page, "complete").click()
    completed(image=1, keep=16, seed=1, label=label)
    page.evaluate(BEFORE)
    choice(page, "class").select_option("5")
    slide(page, "temperature", *["ArrowLeft"] * 4)
    values = completed(image=1, keep=16, seed=1, label=5, temperature=0.8)
    press(page, button(page, "completion 2"), "Enter")
    bits = engine("pixel_bits", **run, image={"values": values[1].tolist()}, label=5)
    page.get_by_text(f"{bits['total']:.1f} bits").wait_for()
    again(page)
    completed(image=1, keep=16, seed=1, label=5, temperature=0.8)
    page.get_by_text(f"{bits['total']:.1f} bits").wait_for()
    # the upper part drawn by the pointer
    button(page, "empty pad").click()
    pad = page.get_by_role("application", name="a pad to draw on")
    page.evaluate(BEFORE)
    drag(page, pad, (0.35, 0.2), (0.65, 0.2), (0.6, 0.5))
    mine = drawing(state(page)["drawing"]).tolist()
    completed(image=mine, keep=16, seed=1, label=5, temperature=0.8)

    # a prior: codes in the place of pixels
    go(page, "#pixelcnn?run=prior-mnist&image=2&at=3,3")
    found = engine("next_pixel", run="prior-mnist", image=2, at=[3, 3])
    page.get_by_text(f"the code is {found['value'][0]}, of probability {found['own']:.3f}"
                     ).wait_for()
    button(page, "complete").click()
    wait_for(page, "() => document.querySelector('.completions')?.dataset.rows === '7'")
    page.get_by_text("Choose one to see").wait_for()
    wanted = engine("complete", run="prior-mnist", image=2, keep=3, count=6, seed=1)
    is_drawn(films.nth(5), wanted["images"][5], way)


# ---------------------------------------------------------------- backprop, training, runs

def test_backprop(page, way, engine):
    go(page, "#backprop")
    field = page.get_by_label("expression", exact=True)
    field.fill("(a + x) * a")
    field.press("Enter")
    page.get_by_label("a =").wait_for()
    page.get_by_label("a =").fill("3")
    page.get_by_label("a =").press("Tab")
    tape = page.get_by_role("list", name="the tape")
    tape.get_by_role("listitem").filter(has_text=re.compile(r"a leaf\s*value\s*3")).wait_for()
    press(page, tape, "ArrowRight", "ArrowRight")  # forward
    wanted = engine("tape", expression="(a + x) * a", leaves={"a": "3", "x": "2"})
    assert wanted["rows"][-1]["value_words"] == "15" in tape.inner_text()
    button(page, "one step more").click()
    page.get_by_text("The way back begins at the end").wait_for()
    page.keyboard.press("Tab")
    press(page, tape, "End")
    row = tape.get_by_role("listitem").filter(has_text=re.compile(r"^a leaf"))
    assert re.search(r"5 \+ 3 = 8|3 \+ 5 = 8", row.inner_text())  # 2 a + x
    before = tape.inner_text()
    again(page)
    page.get_by_role("list", name="the tape").wait_for()
    assert tape.inner_text() == before
    field.fill("a +")
    button(page, "record").click()
    error = page.locator("#state.error")
    error.wait_for()
    assert len(error.inner_text()) > 10 and "\n" not in error.inner_text()
    page.errors.clear()  # a status of 400
    # a model's loss, and the slope of one of its parameters
    choice(page, "tape of").select_option("vae2-mnist")
    button(page, "test image 2").click()
    page.get_by_text("operations on").wait_for()
    wanted = engine("loss_tape", run="vae2-mnist", image=2)
    wait_for(page, "(rows) => document.querySelectorAll('.tape li').length === rows",
             len(wanted["rows"]))
    button(page, "back: all gradients").click()
    if way == "http":
        assert wanted["rows"][-1]["value_words"] in tape.inner_text()
    button(page, "compare").first.click()
    page.get_by_text("✓").first.wait_for()


def test_training(page, way, engine):
    go(page, "#training?lr=0.01&seed=3")
    told = page.get_by_text(re.compile(r"^Step \d+\."))
    told.wait_for()
    for _ in range(2):
        step = int(told.inner_text().split(".")[0].split()[1])
        press(page, button(page, "one step"), "Enter")
        page.get_by_text(f"Step {step + 1}.").wait_for()
    mine = engine("begin_training", what="vae", seed=3)["training"]
    wanted = engine("train", training=mine, steps=2, lr=0.01)
    loss = float(re.search(r"Loss ([\d.]+)", told.inner_text())[1])
    assert loss == pytest.approx(wanted["losses"][-1], rel=5e-4)
    for k in range(6):
        assert abs(pixels(page.get_by_role("img", name=f"reconstruction {k}")).astype(int)
                   - wanted["reconstructions"][k]).max() <= (way == "worker")
    # a codebook: with other settings it begins anew; it goes on by itself until it is paused
    choice(page, "train").select_option("codebook")
    slide(page, "codes K", "ArrowRight")
    page.get_by_text(re.compile(r"Step 0\..* of 10 codes used")).wait_for()
    button(page, "start").click()
    wait_for(page, "() => Number(document.querySelector('[data-step]').dataset.step) >= 25")
    button(page, "pause").click()
    page.wait_for_timeout(300)
    step = int(told.inner_text().split(".")[0].split()[1])
    mine = engine("begin_training", what="codebook", seed=3, K=10)["training"]
    for _ in range(step // 50):
        engine("train", training=mine, steps=50, gamma=0.95)
    wanted = engine("train", training=mine, steps=step % 50 or 1, gamma=0.95)
    if step % 50:
        distance = float(re.search(r"distance ([\d.e-]+)\.", told.inner_text())[1])
        assert distance == pytest.approx(wanted["distance"], rel=0.01)
    assert state(page)["K"] == "10"


def test_runs(page, way, engine):
    go(page, "#runs?model=conv-vae")
    table = page.get_by_role("table")
    table.wait_for()
    rows = {run["name"]: run for run in engine("compare")["runs"] if run["model"] == "conv-vae"}
    assert table.get_by_role("checkbox").count() == len(rows) == 2
    for name, run in rows.items():
        text = table.get_by_role("row").filter(has_text=name).inner_text()
        for value in run["figures"].values():
            assert f"{value:.4g}".rstrip("0").rstrip(".") in text
    curve = page.get_by_role("img", name="over the steps of")
    before = pixels(curve)
    box = page.get_by_role("checkbox", name="cvae-mnist")
    press(page, box, " ")
    wait_for(page, "() => document.querySelectorAll('.legend li').length === 1")
    assert (pixels(curve).shape != before.shape) or (pixels(curve) != before).any()
    assert state(page)["runs"] == "conv-vae-mnist"
    again(page)
    box.wait_for()
    assert not box.is_checked()
    choice(page, "runs of").select_option("all")
    wait_for(page, "n => document.querySelectorAll('tbody tr').length === n",
             len(engine("compare")["runs"]))
