"""The page for 48 and for 200 jobs: every swept setting in the table and in the plots, in one file that is not too large."""

import re

import numpy as np
import pytest

from learning_to_learn.commands import dashboard as command
from learning_to_learn.commands import train
from learning_to_learn.dashboard.data import collect
from learning_to_learn.dashboard.page import policy, with_data
from learning_to_learn.figures import BAYES, PALETTE
from learning_to_learn.runs.run_folder import read_rows, write_rows
from tests.commands.test_train import SMALL
from tests.dashboard.conftest import faultless
from tests.dashboard.fabricated import CLIPS, RATES, fabricate
from tests.dashboard.test_dashboard import traces, wait


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One run, with an error stream as long as the page shows."""
    folder = tmp_path_factory.mktemp("trained") / "0_lstm_boolean"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        train._main(["arch=lstm", "family=boolean", *SMALL, f"hydra.run.dir={folder}"])
    chance = np.random.default_rng(0)
    names = [name for name in read_rows(folder / "stream.csv")[0] if name != "time"]
    write_rows(folder / "stream.csv", [{"time": t, **{n: chance.random() for n in names}} for t in range(1280)])
    return folder


@pytest.fixture(scope="module")
def report(trained, tmp_path_factory):
    """The page of 48 jobs as one file."""
    folder = fabricate(trained, tmp_path_factory.mktemp("many") / "sweep", 48)
    into = folder.parent / "page.html"
    assert command._main(["report", str(folder), f"into={into}"]) == 0
    return into


@pytest.fixture
def shown(page, report):
    page.goto(report.as_uri())
    page.wait_for_selector("#runs tbody tr")
    return page


@pytest.fixture(scope="module")
def untouched(browser, report):
    """The same, loaded once for the tests that leave it as it was."""
    with faultless(browser) as page:
        page.goto(report.as_uri())
        page.wait_for_selector("#runs tbody tr")
        yield page


def column(page, heading):
    """The cells of a column of the table of runs."""
    headings = [re.sub(" [▲▼]", "", text) for text in page.locator("#runs thead th").all_inner_texts()]
    return page.locator(f"#runs tbody tr td:nth-child({headings.index(heading) + 1})").all_inner_texts()


def test_every_swept_setting_is_a_column_that_sorts_by_number_and_filters(shown):
    assert set(column(shown, "lr")) == {f"{rate:g}" for rate in RATES}
    assert set(column(shown, "clip")) == {f"{clip:g}" for clip in CLIPS}
    assert len(set(column(shown, "layers"))) == 4
    shown.locator("[data-sort=lr]").click()
    rates = [float(text) for text in column(shown, "lr")]
    assert rates == sorted(rates)
    shown.select_option("select[name='optimizer.lr']", "0.01")
    assert set(column(shown, "lr")) == {"0.01"}
    assert len(column(shown, "lr")) == 12


def test_ticked_runs_are_alone_in_the_plots(untouched):
    assert untouched.evaluate("document.getElementById('learning').data.at(-3).x.includes(null)")
    for number in (0, 1):
        untouched.locator("[data-pick]").nth(number).click()
    assert "the plots show the 2 that are ticked" in untouched.locator("#summary").inner_text()
    assert traces(untouched, "learning") == 2  # of two clips, which have a panel each
    assert untouched.locator("#runs tbody tr").count() == 48
    untouched.locator("#clear").click()
    assert "ticked" not in untouched.locator("#summary").inner_text()


def test_colours_and_panels_show_what_is_chosen(shown):
    names = (
        "[...new Set(document.getElementById('learning').data.filter((t) => t.x.length && !t.fill).map((t) => t.{}))].length"
    )
    assert shown.evaluate(names.format("name")) == 2  # archs
    shown.select_option("select[name=colour]", "optimizer.lr")
    shown.select_option("select[name=panels]", "arch")
    assert shown.evaluate(names.format("name")) == len(RATES)
    assert shown.evaluate(names.format("xaxis")) == 2
    # Without its colour, a line is told by its dashes and its markers.
    assert shown.evaluate(names.format("line.dash")) == len(RATES)
    assert shown.evaluate(names.format("marker.symbol")) == len(RATES)


def test_a_heat_map_holds_the_medians(untouched, report):
    heat = untouched.evaluate("document.getElementById('heat').data.map(({ x, y, z }) => ({ x, y, z }))")
    runs = collect(report.parent / "sweep")["runs"]
    panel = [run for run in runs if run["arch"] == "elman*"]  # colours show archs, for both axes are taken
    expected = [[np.median([score for run in panel for score in run["counted"]
                            if (run["settings"]["optimizer.lr"], run["settings"]["optimizer.clip"]) == (rate, clip)])
                 for rate in RATES] for clip in CLIPS]  # fmt: skip
    assert heat[0]["x"] == [f"{rate:g}" for rate in RATES]
    assert heat[0]["y"] == [f"{clip:g}" for clip in CLIPS]
    np.testing.assert_allclose(heat[0]["z"], expected, rtol=1e-6)


def test_a_line_that_is_pointed_at_stands_out_with_its_band(untouched):
    """In the parallel coordinates too."""
    for plot in ("learning", "parallel"):
        found = untouched.evaluate(f"""(() => {{
            const div = document.getElementById('{plot}'), trace = div.data.find((t) => t.customdata);
            div.emit('plotly_hover', {{ points: [{{ customdata: trace.customdata[0] }}] }});
            return [div.data.at(-1).x.length, div.data.at(-2).x.length, trace.customdata[0]];
        }})()""")
        assert found[0] > 0
        assert found[2].startswith("lstm* boolean layers=")
        assert (found[1] > 0) == (plot == "learning")


def test_what_differs_stands_at_the_top_of_a_runs_page(shown):
    shown.locator("#runs a", has_text="0_lstm_boolean").first.click()
    shown.wait_for_selector("#run dl.apart")
    assert shown.locator("dl.apart").inner_text().split("\n") == [
        "arch", "lstm*", "layers", "[{memory_cell: 4, neuron: 4}]", "lr", "0.001", "clip", "0.5"]  # fmt: skip
    assert shown.locator("#run h2").nth(1).inner_text() == "What sets it apart"
    bayes = "document.getElementById('one-curve').data.find((t) => t.name === 'Bayes-optimal').line.color"
    assert shown.evaluate(bayes) == BAYES


def test_bayes_has_a_colour_of_its_own(untouched):
    lines = "document.getElementById('curves').data"
    found = untouched.evaluate(f"{lines}.filter((t) => t.line && t.x.length).map((t) => [t.name, t.line.color])")
    assert {colour for name, colour in found if name and name.startswith("Bayes")} == {BAYES}
    assert {colour for name, colour in found if name and not name.startswith("Bayes")} <= set(PALETTE)
    assert BAYES not in PALETTE


def test_a_phone_need_not_scroll_sideways(shown):
    shown.set_viewport_size({"width": 390, "height": 844})
    shown.reload()
    shown.wait_for_selector("#runs tbody tr")
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_file_of_200_jobs_is_small_and_soon_there(page, trained, tmp_path):
    folder, into = fabricate(trained, tmp_path / "sweep", 200), tmp_path / "page.html"
    chance = np.random.default_rng(1)
    data = collect(folder)
    assert len(data["runs"]) == 200
    for run in data["runs"]:  # so that no two streams are packed as one
        run["stream"] = {name: chance.random(1280).round(3).tolist() for name in run["stream"]}
    into.write_text(with_data({**data, "base": "./"}), encoding="utf-8")
    assert into.stat().st_size < 8e6
    page.goto(into.as_uri())
    wait(page, "document.querySelectorAll('#runs tbody tr').length === 100")
    assert page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") < 2000
    assert "unsafe" not in re.search(r"script-src ([^;]*)", policy())[1]


def test_a_small_report_has_its_pictures_inside(page, trained, tmp_path):
    fabricate(trained, tmp_path / "sweep", 2)
    into = tmp_path / "page.html"
    assert command._main(["report", str(tmp_path / "sweep"), f"into={into}"]) == 0
    moved = into.rename(tmp_path.parent / f"{tmp_path.name}_moved.html")
    page.goto(moved.as_uri())
    page.locator("#runs a").first.click()
    page.locator("figure img").first.scroll_into_view_if_needed()
    wait(page, "[...document.images].length === 2 && [...document.images].some((i) => i.complete && i.naturalWidth > 100)")
    assert page.locator("img").first.get_attribute("src").startswith("data:image/png;base64,")
