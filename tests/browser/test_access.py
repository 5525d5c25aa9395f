"""Every panel for everybody: on a narrow screen, in both themes, by keys alone, told by a screen
reader, without motion."""

import pytest

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::ResourceWarning")]
PANELS = {
    "start": ".card", "vae?run=cvae-mnist&image=2&seed=1": "[title='draw 16: go there']",
    "vae?image=1&beside=autoencoder-mnist": ".columns > div:nth-child(2) .plane",
    "vqvae?codes=3.7&image=1": "meter", "vqvae?run=vqvae-cifar10": "meter",
    "pixelcnn?run=gated-classes-mnist&completed=1": "[data-rows='28']",
    "pixelcnn?run=prior-cifar10": "[data-at]", "backprop?step=9": ".tape",
    "backprop?run=vae2-mnist": ".tape", "training": "[data-step='0']",
    "training?what=codebook": "[data-step='0']", "runs?model=all": "td", "exercises": "textarea"}
NAMED = {"button", "link", "combobox", "textbox", "slider", "spinbutton", "checkbox", "application",
         "image", "img", "meter", "progressbar", "Canvas", "listbox"}
CONTROLS = """() => [...document.querySelectorAll(
  "a[href], button, select, input, textarea, summary, [tabindex]")]
  .filter((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility())"""
BEYOND = """() => [...document.querySelectorAll("body *")].filter((one) =>
  !one.closest(".wide, .skip, .tape, svg")
  && one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 0.5)
  .map((one) => one.outerHTML.slice(0, 80))"""
REACH = """() => {  // what Tab has come to, if nobody sees that it has the focus
  const one = document.activeElement;
  reached.add(one);
  return one !== document.body && getComputedStyle(one).outlineStyle === "none"
    ? [one.outerHTML.slice(0, 80)] : [];
}"""
PALE = """() => {  // texts of less contrast than 4.5 to 1, of WCAG
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => numbers(colour).slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = (one) => {
    const found = one ? getComputedStyle(one).backgroundColor : "rgb(255, 255, 255)";
    return one && numbers(found)[3] === 0 ? behind(one.parentElement) : found;
  };
  return [...document.querySelectorAll("body *")].filter((one) => !one.disabled
    && one.checkVisibility() && [...one.childNodes].some((node) => node.nodeType === 3
    && node.data.trim())).filter((one) => {
    const [a, b] = [light(getComputedStyle(one).color), light(behind(one))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
  }).map((one) => one.outerHTML.slice(0, 120));
}"""


@pytest.fixture
def narrow(page):
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(reduced_motion="reduce")
    yield page
    page.emulate_media(reduced_motion="no-preference")
    page.evaluate("document.documentElement.dataset.theme = 'light'")


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_is_for_everybody(narrow, panel):
    page = narrow
    page.evaluate("(place) => { location.hash = place; }", f"#{panel}")
    page.locator(PANELS[panel]).first.wait_for()
    page.wait_for_timeout(300)
    # on a narrow screen, in both themes
    for theme in ("light", "dark"):
        page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; "
                      "dispatchEvent(new Event('themechange')); }", theme)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, theme
        assert page.evaluate(BEYOND) == [], theme
        page.wait_for_timeout(200)  # a transition
        assert page.evaluate(PALE) == [], theme
    # each control, picture and measure has a name
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    nameless = [node["role"]["value"] for node in nodes if not node["ignored"]
                and node.get("role", {}).get("value") in NAMED
                and not node.get("name", {}).get("value")]
    assert len(nodes) > 30 and nameless == []
    # by Tab to each control, each of which shows that it has the focus
    page.evaluate("() => { document.activeElement.blur(); window.reached = new Set(); }")
    wanted, unseen = page.evaluate(f"({CONTROLS})().length"), []
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        unseen += page.evaluate(REACH)
    missed = page.evaluate(f"({CONTROLS})().filter((one) => !reached.has(one))"
                           ".map((one) => one.outerHTML.slice(0, 80))")
    assert wanted > 8 and missed == unseen == []
    # nothing moves by itself, once all is there
    assert page.evaluate("document.getAnimations().length") == 0
    shots = [page.screenshot()]
    while shots[-1:] * 3 != shots[-3:] and len(shots) < 20:
        page.wait_for_timeout(150)
        shots.append(page.screenshot())
    assert len(shots) < 20
