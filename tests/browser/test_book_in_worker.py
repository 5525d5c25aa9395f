"""The book and the exercises as a person has them, in Chromium: answered by explore.py over HTTP,
and by the site's worker, with the Pyodide in the folder that $SCRATCHNET_PYODIDE names."""

import doctest
import re

import pytest
from _pytest.doctest import _get_checker, _get_number_flag
from test_book import CHAPTERS

from exercises import exercises
from exercises.check import code_of
from exercises.solution import solved, written

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright")
pytest.importorskip("latex2mathml", reason='no pip install -e ".[explore]"')
expect = sync_api.expect
expect.set_options(timeout=120_000)
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::ResourceWarning")]
NOT_IN_A_BROWSER = "import mmap, resource"  # chapter 10 asks the operating system


@pytest.fixture
def site(address):
    """The address of the page, and what stands behind it: the token of explore.py's."""
    base, mark, token = address.partition("?")
    return base, mark + token


in_worker = pytest.mark.parametrize("way", ["worker"], indirect=True)


@pytest.fixture
def page(chromium):
    """A new page, on which no script may fail."""
    context, errors = chromium.new_context(viewport={"width": 1280, "height": 900}), []
    found = context.new_page()
    found.on("pageerror", lambda error: errors.append(error))
    found.set_default_timeout(120_000)
    yield found
    context.close()
    assert not errors


def run_all(page):
    page.get_by_role("button", name="run all").click()
    expect(page.locator(".tools output")).to_contain_text("cells ran", timeout=600_000)


@in_worker
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_every_cell_prints_in_the_worker_what_the_book_prints(chapter, page, site):
    page.goto(f"{site[0]}book/{chapter.stem}.html")
    run_all(page)
    flags = _get_number_flag() | doctest.NORMALIZE_WHITESPACE
    for cell in page.locator(".cell").all():
        code, mark = cell.locator("textarea").input_value(), cell.locator(".mark").inner_text()
        if NOT_IN_A_BROWSER in code:
            assert "python explore.py runs this cell" in cell.locator(".now").inner_text()
            continue
        assert mark.startswith("✓"), f"{code}\n{cell.locator('.outputs').inner_text()}"
        want = (cell.locator(".outputs > div:first-child .out").all_inner_texts() or [""])[0]
        got = (cell.locator(".now .out").all_inner_texts() or [""])[0]
        if not want.startswith("Traceback"):
            want, got = (re.sub(r", dtype=int(32|64)\b", "", text) for text in (want, got))
            assert _get_checker().check_output(want + "\n", got + "\n", flags), code


@in_worker
def test_solutions_pass_and_wrong_answers_fail_in_the_worker(page, site):
    page.goto(site[0])
    page.evaluate("async () => { await (await import('/page/engine.js')).start(() => {}); }")

    def check(number, source):
        return page.evaluate("""async (args) =>
            (await import('/page/engine.js')).call("check_exercise", args)""",
                             {"number": number, "source": source})
    for number, exercise in exercises().items():
        assert check(number, exercise.text)["state"] == "unwritten", number
        found = check(number, solved(number))
        assert found["state"] == "passed", (number, found)
        wrong = list(exercise.answer.wrong)
        if exercise.kind == "mistake":
            wrong.append(code_of(exercise.text))
        for lines in wrong:
            found = check(number, written(exercise.text, lines))
            assert found["state"] == "failed" and found["message"], (number, lines)


# ---------------------------------------------------------------- both ways to run it

def test_a_cell_is_changed_stopped_and_reset(page, site):
    page.goto(f"{site[0]}book/01-chain-rule.html{site[1]}")
    state, cells = page.locator(".tools output"), page.locator(".cell")
    third, mark = cells.nth(2).locator("textarea"), cells.nth(2).locator(".mark")
    third.press("Control+Enter")  # and those before it
    expect(state).to_have_text(re.compile("^3 of .* all as in the book"))
    written_before = third.input_value()
    third.fill(written_before + "\nprint(6 * 7)")
    expect(mark).to_have_text("not run since the change")
    cells.nth(2).get_by_role("button", name="run").click()
    expect(cells.nth(2).locator(".now")).to_contain_text("42")
    third.fill("first = 1\n1 / 0")
    third.press("Control+Enter")
    expect(cells.nth(2).locator(".now")).to_contain_text("line 2: ZeroDivisionError")
    assert "Traceback" not in page.locator("main").inner_text().partition("Formula, line")[0]
    third.fill("while True: pass")
    third.press("Control+Enter")
    expect(mark).to_have_text("runs ...")
    page.get_by_role("button", name="stop").click()
    expect(mark).to_have_text(re.compile("stopped|ended"))
    page.get_by_role("button", name="reset").click()
    assert third.input_value() == written_before
    third.press("Control+Enter")
    expect(state).to_have_text(re.compile("^3 of .* all as in the book"))


def test_an_exercise_is_done(page, site):
    page.goto(f"{site[0]}index.html{site[1]}#exercises?n=1")
    code, verdict = page.locator("textarea"), page.locator(".verdict")
    check = page.get_by_role("button", name="check")
    code.fill(code.input_value().replace("raise NotImplementedError", "return g * x"))
    check.click()
    expect(verdict).to_have_text("✗ not right yet")
    expect(page.get_by_text("Hint:")).to_have_count(0)
    code.press("Control+Enter")
    expect(page.get_by_text("Hint:")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="show the solution").click()
    expect(page.get_by_text("The library's lines:")).to_be_visible()
    code.fill(code.input_value().replace("return g * x", "return 2 * g * x"))
    check.click()
    expect(verdict).to_have_text("✓ right")
    page.reload()
    expect(code).to_have_value(re.compile("2 \\* g \\* x"))
    expect(page.locator(".exercises")).to_contain_text("1 of 73 done")
    code.fill("while True: pass")
    check.click()
    expect(page.get_by_text("never ends?").or_(page.get_by_text("stopped"))).to_be_visible()
    page.get_by_role("link", name="2. The slope").click()
    expect(page.locator("h2")).to_contain_text("2. The slope")


def test_the_book_without_javascript_and_in_a_narrow_window(chromium, site):
    narrow = {"width": 360, "height": 800}
    context = chromium.new_context(java_script_enabled=False, viewport=narrow)
    page = context.new_page()
    page.goto(site[0])
    page.get_by_role("link", name="read it").click()
    page.get_by_role("link", name="1. The chain rule as a loop").click()
    expect(page.locator("h1")).to_contain_text("chain rule")
    expect(page.locator(".cell").first).to_contain_text(">>>")
    page.get_by_role("link", name="2. Softmax").first.click()
    expect(page.locator("h1")).to_contain_text("2. Softmax")
    assert page.locator("math").count() > 50 and page.locator("#theme").is_hidden()
    context.close()
    context = chromium.new_context(viewport=narrow)
    page = context.new_page()
    for chapter in CHAPTERS:
        page.goto(f"{site[0]}book/{chapter.stem}.html")
        assert page.evaluate("document.documentElement.scrollWidth") == 360, chapter.stem
    context.close()
