"""How soon the page of explore.py answers, in Debian's Chromium; and its pictures.

    pip install playwright                     its Python package alone
    python -m benchmarks.explorer              served by explore.py
    python -m benchmarks.explorer --pyodide DIR     and as the static site, with the Pyodide in DIR
    python -m benchmarks.explorer --pictures docs/images    draws explore-*.png and explore.gif

From an event of the pointer, by the browser's own time of it, to the canvas that is painted; each
event waits for the image before it. What is opened first is not counted. A cold start is a browser
with an empty cache, from the address to the first image.
"""

import argparse
import atexit
import functools
import io
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from explorer.runs import found_in

BOX = Path(__file__).parents[1] / "pretrained"
CHROMIUM = "/usr/bin/chromium"
VAE = "#vae?run=vae2-mnist"
LISTEN = """([kind, watched, attribute]) => {
  let from = null;
  window.times = [];
  addEventListener(kind, (event) => { from = event.timeStamp; }, true);
  new MutationObserver((changes) => {
    if (from === null || !changes.some(({ target }) => target.matches(watched))) return;
    times.push(performance.now() - from);
    from = null;
  }).observe(document.body, { subtree: true, attributes: true, attributeFilter: [attribute] });
}"""


def sites(pyodide, folder):
    """{way to run: address}. Each server is a process of its own, ended with this one."""
    root = BOX.parent
    served = begun([str(root / "explore.py"), "--no-browser", "--port", "8800", str(BOX)], root)
    addresses = {"served": re.search(r"http://\S+", served.stdout.readline())[0]}
    if pyodide:
        from explorer.build import build
        build(folder, found_in([BOX]), pyodide)
        static = begun(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"], folder)
        addresses["worker"] = re.search(r"http://[^/]+/", static.stdout.readline())[0]
    return addresses


def begun(command, folder):
    process = subprocess.Popen([sys.executable, *command], cwd=folder, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    atexit.register(process.kill)
    return process


def opened(browser, address, place, **how):
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, **how)
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(address + place)
    return page


def timed(page, kind, watched, attribute, acts):
    """Milliseconds from each act's event to the change of the attribute."""
    page.evaluate(LISTEN, [kind, watched, attribute])
    for k, act in enumerate(acts):
        act()
        page.wait_for_function("(n) => times.length >= n", arg=k + 1)
    found = page.evaluate("times")
    page.context.close()
    return found


def vae(browser, address, times):
    page = opened(browser, address, VAE)
    page.locator(".big[data-at]").wait_for()
    page.wait_for_timeout(500)
    box, rng = page.locator(".plane").bounding_box(), np.random.default_rng(0)
    points = rng.uniform(0.2, 0.8, (times, 2)) * box["width"] + (box["x"], box["y"])
    return timed(page, "pointerrawupdate", ".big", "data-at",
                 [functools.partial(page.mouse.move, *point) for point in points.tolist()])


def vqvae(browser, address, times):
    page = opened(browser, address, "#vqvae?run=vqvae-mnist&image=1")
    page.locator("[data-codes]").wait_for()
    page.locator("meter").first.wait_for()
    page.wait_for_timeout(500)
    codes = page.locator(".palette button")
    return timed(page, "pointerdown", "[data-codes]", "data-codes",
                 [codes.nth(k % 12).click for k in range(1, times + 1)])


def completion(browser, address, times):
    page = opened(browser, address, "#pixelcnn?run=gated-pixelcnn-mnist&image=1&keep=14")
    page.locator("[data-at]").wait_for()
    button = page.get_by_role("button", name="complete", exact=True)

    def act():
        page.wait_for_function("() => ['', undefined, '28'].includes(document.querySelector("
                               "'.completions').dataset.rows)")
        button.click()
    page.evaluate("document.querySelector('.completions').dataset.rows = ''")
    found = timed(page, "pointerdown", ".completions:not([data-first=''])", "data-rows",
                  [act] * (times + 1))
    return found[1:]


def cold_start(browser, address, times):
    """Milliseconds from the address to the first image of the plane."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        page = opened(browser, address, VAE)
        page.locator(".big[data-at]").wait_for()
        found.append(1e3 * (time.perf_counter() - start))
        page.context.close()
    return found


MEASURED = [  # what, how, times, goal at the 95th percentile in ms
    ("VAE, pointer to image", vae, 100, 16),
    ("VQ-VAE, a code to image", vqvae, 60, 30),
    ("first row of six completions", completion, 10, 100),
    ("cold start to the first image", cold_start, 5, 4000)]


def measure(browser, addresses):
    print(f"{'ms':32}{'':9}{'median':>8}{'95 %':>8}{'goal':>8}")
    for words, measured, times, goal in MEASURED:
        for way, address in addresses.items():
            found = measured(browser, address, times)
            middle, high = np.percentile(found, (50, 95))
            print(f"{words:32}{way:9}{middle:8.1f}{high:8.1f}{goal:8}", flush=True)


# ---------------------------------------------------------------- pictures

STEPS = "() => document.querySelector('[data-step]').dataset.step >= 600"  # of the training
PICTURES = {  # name: address, what must be there, height
    "vae": ("#vae?image=3&at=0.83,2.117&path=-1.6,-0.9,-1.3,-0.7,-1,-0.5,-0.7,-0.3,-0.4,-0.1,-0.1,"
            "0.1,0.1,0.4,0.3,0.7,0.4,1,0.55,1.3,0.7,1.7,0.83,2.1", "[title^='12 of']", 1240),
    "vqvae": ("#vqvae?image=4&codes=16.36,17.36,18.36&cell=2,3", "meter", 1000),
    "pixelcnn": ("#pixelcnn?run=gated-classes-mnist&image=3&label=3&keep=12&completed=1&at=12,16",
                 "[data-rows='28']", 1600),
    "backprop": ("#backprop?expression=%28a+%2B+x%29+*+a&leaves=%7B%22a%22%3A%222%22%2C%22x%22%3A"
                 "%221%22%7D&step=4", ".tape", 940),
    "training": ("#training?lr=0.003&pace=20", "[data-step='0']", 880),
    "runs": ("#runs?model=conv-vae", "tbody", 850)}


def pictures(browser, address, folder):
    for name, (place, there, height) in PICTURES.items():
        page = opened(browser, address, place)
        page.set_viewport_size({"width": 1180, "height": height})
        page.locator(there).first.wait_for()
        if name == "training":
            page.get_by_role("button", name="start", exact=True).click()
            page.wait_for_function(STEPS)
            page.get_by_role("button", name="pause", exact=True).click()
        page.wait_for_timeout(1500)
        few(small(page.screenshot(), (820, 1400)), 224).save(folder / f"explore-{name}.png",
                                                             optimize=True)
        page.context.close()
    frames = [*dragged(browser, address), *completed(browser, address)]
    images = [small(frame, (600, 400)) for frame, _ in frames]
    both = images[0].copy()
    both.paste(images[-1], (0, images[0].height // 2))
    palette = few(both, 128)
    first, *others = [image.quantize(palette=palette, dither=0) for image in images]
    first.save(folder / "explore.gif", save_all=True, append_images=others, loop=0, optimize=True,
               duration=[ms for _, ms in frames])


def small(png, most):
    from PIL import Image  # comes with Matplotlib
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.thumbnail(most, Image.LANCZOS)
    return image


def few(image, colours):
    """With this many colours, the rare ones among them."""
    return image.quantize(colours, method=1, dither=0)


FRAME = {"width": 992, "height": 494}  # of the GIF: nothing in it is cut through


def dragged(browser, address):
    """(PNG, ms) of the pointer through the plane."""
    page = opened(browser, address, VAE)
    page.set_viewport_size({"width": 1040, "height": 1000})
    page.locator(".big[data-at]").wait_for()
    plane = page.locator(".latent").bounding_box()
    side = page.locator(".plane").bounding_box()
    for t in np.linspace(0, 2 * np.pi, 16, endpoint=False):
        x, y = 0.5 + 0.2 * np.cos(t), 0.5 + 0.22 * np.sin(2 * t)
        page.mouse.move(side["x"] + x * side["width"], side["y"] + y * side["height"])
        page.wait_for_timeout(120)
        yield page.screenshot(clip={"x": plane["x"] - 6, "y": plane["y"] - 6, **FRAME}), 200
    page.context.close()


def completed(browser, address):
    """(PNG, ms) of six completions, row by row."""
    page = opened(browser, address, "#pixelcnn?run=gated-classes-mnist&image=3&label=3&keep=12")
    page.set_viewport_size({"width": 1040, "height": 1000})
    page.locator("[data-at]").wait_for()
    card = page.locator(".columns").first.bounding_box()
    clip = {"x": card["x"], "y": card["y"], **FRAME}
    # the page paints faster than screenshots are taken: each row waits for its own
    page.evaluate("""() => {
      const film = document.querySelector(".completions"), kept = window.kept = [];
      const keep = () => kept.push([...film.querySelectorAll("canvas")]
        .map((one) => one.getContext("2d").getImageData(0, 0, 28, 28)));
      new MutationObserver(() => queueMicrotask(keep)).observe(film, { attributes: true,
        attributeFilter: ["data-rows"] });
    }""")
    page.get_by_role("button", name="complete", exact=True).click()
    page.locator("[data-rows='28']").wait_for()
    page.wait_for_timeout(500)
    page.get_by_text("Choose one to see").evaluate("(line) => { line.style.visibility = 'hidden' }")
    for k in range(page.evaluate("kept.length")):
        page.evaluate("""(k) => document.querySelectorAll(".completions canvas").forEach((one, n) =>
          one.getContext("2d").putImageData(kept[k][n], 0, 0))""", k)
        yield page.screenshot(clip=clip), 160
    yield page.screenshot(clip=clip), 1500
    page.context.close()


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explorer", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pyodide", type=Path, metavar="DIR")
    parser.add_argument("--pictures", type=Path, metavar="DIR")
    flags = parser.parse_args()
    from playwright.sync_api import sync_playwright
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        addresses = sites(flags.pyodide, Path(folder))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        if flags.pictures:
            pictures(browser, addresses["served"], flags.pictures)
        else:
            measure(browser, addresses)
        browser.close()


if __name__ == "__main__":
    main()
