"""Pages: MLflow's UI in headless Chromium, by what a person sees and clicks there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, Response, Route, expect, sync_playwright

_ARGUMENTS = [
    *["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
    *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
]
_SECONDS = 60.0  # that anything may take on a loaded machine
_OF_MLFLOW = "ResizeObserver loop completed"  # of its grid, harmless, and on each of its pages
_NAME = "[col-id='attributes.`Run Name`']"
_DRAWN = """plot => [...plot.querySelectorAll('.scatterlayer .trace')].map(trace => {
    const {xaxis, yaxis} = plot._fullLayout
    const path = trace.querySelector('path.js-line')?.getAttribute('d') ?? ''
    const points = [...path.matchAll(/(-?[\\d.e-]+),(-?[\\d.e-]+)/g)]
    return {
        name: trace.__data__[0].trace.name,
        points: points.map(([, x, y]) => [xaxis.p2d(Number(x)), yaxis.p2d(Number(y))]),
        pixel: Math.abs(yaxis.p2d(1) - yaxis.p2d(0)),
    }
})"""

_COMPARED = """link => {
    const names = link.closest('.ReactVirtualized__Grid')
    const values = [...names.parentElement.parentElement.querySelectorAll('.ReactVirtualized__Grid')].pop()
    const texts = {}
    for (const grid of [names, values])
        for (const cell of grid.firstElementChild.children)
            (texts[parseInt(cell.style.top)] ??= []).push([parseInt(cell.style.left), grid === values, cell.innerText])
    return Object.fromEntries(Object.values(texts).filter(row => !row[0][1]).map(row => {
        const [[, , name], ...cells] = row
        return [name.trim(), cells.sort((a, b) => a[0] - b[0]).map(([, , text]) => text.trim())]
    }))
}"""


class Curve:
    """A line as it is drawn.

    Attributes:
        points: its corners, from pixels back to step and value; plotly leaves out those along a straight line.
        pixel: what one pixel is of the value.
    """

    def __init__(self, points: Sequence[tuple[float, float]], pixel: float) -> None:
        self.points, self.pixel = points, pixel


class MlflowPages:
    """A browser of its own, logged in and at MLflow's part for training; closed at the end of a ``with``.

    Args:
        uri: of the server.
        user: an account.
        password: of it.
        pictures: the folder for screenshots.

    Attributes:
        problems: errors of the page and answers that are errors, as they came.
        outside: addresses beyond the server that the page asked for; none of them was let through.
    """

    def __init__(self, uri: str, user: str, password: str, pictures: Path) -> None:
        self.uri, self.pictures = uri, pictures
        self.problems: list[str] = []
        self.outside: list[str] = []
        self._playwright = sync_playwright().start()
        chromium = shutil.which("chromium")
        self._browser = self._playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        context = self._browser.new_context(
            http_credentials={"username": user, "password": password}, viewport={"width": 1440, "height": 900}
        )
        context.set_default_timeout(_SECONDS * 1000)
        expect.set_options(timeout=_SECONDS * 1000)
        context.route(lambda address: not address.startswith(f"{uri}/"), self._refuse)
        self.page: Page = context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("response", self._answered)
        self.page.on("requestfailed", self._failed)

    def __enter__(self) -> MlflowPages:
        self.page.goto(self.uri)
        self.page.get_by_text("Model training", exact=True).click()
        self.page.locator("[data-component-id='mlflow.assistant.chat_panel.close']").click()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.picture("last")  # what it looked like where a test has failed
        self._browser.close()
        self._playwright.stop()

    def _refuse(self, route: Route) -> None:
        self.outside.append(route.request.url)
        route.abort()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and _OF_MLFLOW not in message.text:
            self.problems.append(message.text)

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status != 401:  # the browser's way to learn that it has to log in
            self.problems.append(f"{response.status} {response.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # what the page itself has given up
            self.problems.append(f"{request.failure} {request.url}")

    def picture(self, name: str) -> None:
        """Write a screenshot."""
        self.page.screenshot(path=self.pictures / f"{name}.png")

    def experiment(self, name: str) -> None:
        """Open an experiment's list of runs from the list of experiments."""
        self.page.goto(f"{self.uri}/#/experiments")
        self.page.get_by_test_id("experiment-list-item-link").and_(self.page.get_by_title(name, exact=True)).click()
        self.page.locator(f".ag-row {_NAME} a").first.wait_for()

    def rows(self) -> list[str]:
        """Return the names of the runs on the screen, from the top."""
        rows = self.page.locator(f".ag-row:has({_NAME})").all()
        placed = [(int(row.get_attribute("row-index") or 0), row.locator(f"{_NAME} a").inner_text()) for row in rows]
        return [name for _, name in sorted(placed)]

    def row(self, name: str) -> Locator:
        """Return the cells of a run's row."""
        return self.page.locator(".ag-row", has=self.page.get_by_role("link", name=name, exact=True))

    def cell(self, name: str, column: str) -> Locator:
        """Return what a run has in a column such as ``params.`seed```, which is drawn apart from the run's name."""
        row = self.row(name).get_attribute("row-index")
        return self.page.locator(f".ag-row[row-index='{row}'] [col-id='{column}']")

    def matching(self) -> Locator:
        """Return the line that says how many runs the page has."""
        return self.page.get_by_text(re.compile(r"^\d+ matching runs?$"))

    def unfold(self, sweep: str) -> None:
        """Show a sweep's runs below it."""
        self.row(sweep).locator("button").first.click()
        self.page.locator(f".ag-row[row-index='1'] {_NAME} a").wait_for()

    def load_more(self) -> None:
        """Scroll to the end of the list and ask for the next hundred."""
        said = self.matching().inner_text()
        self.page.locator(".ag-body-viewport").hover()
        self.page.mouse.wheel(0, 1_000_000)
        self.page.get_by_role("button", name="Load more").click()
        expect(self.matching()).not_to_have_text(said)

    def sort_by(self, what: str, *, ascending: bool) -> None:
        """Sort the list, by which a metric gets a column."""
        direction = "asc" if ascending else "desc"
        for choice in (f"sort-select-{direction}", f"sort-select-{what}"):
            self.page.get_by_role("button", name="Sort:").click()
            with self.page.expect_response(lambda answer: "runs/search" in answer.url):
                self.page.get_by_test_id(choice).click()
            self.page.keyboard.press("Escape")

    def show_columns(self, *names: str) -> None:
        """Choose columns of the list."""
        self.page.get_by_role("button", name="Columns").click()
        for name in names:
            self.page.get_by_placeholder("Search columns").fill(name)
            titles = self.page.locator(".du-bois-light-tree-title")
            titles.filter(has_text=re.compile(f"^{re.escape(name)}$")).first.click()
        self.page.keyboard.press("Escape")

    def select(self, *names: str) -> None:
        """Mark runs of the list."""
        for name in names:
            self.row(name).locator(".ag-checkbox-input").first.check()

    def show(self, view: str) -> None:
        """Choose a view of the list: ``TABLE`` or ``CHART``."""
        self.page.locator(f"label:has(input[name=runs-view-mode][value={view}])").click()

    def chart(self, metric: str) -> Locator:
        """Return the chart whose legend names a metric, once it has lines."""
        cards = self.page.get_by_test_id("experiment-view-compare-runs-card")
        chart = cards.filter(has_text=f"({metric})").locator(".js-plotly-plot")
        chart.locator("path.js-line").first.wait_for(state="attached")
        return chart

    def curves(self, chart: Locator) -> dict[str, Curve]:
        """Return the lines of a chart by the names of their runs, as they are on the screen."""
        drawn: list[dict[str, Any]] = chart.evaluate(_DRAWN)
        return {each["name"]: Curve(each["points"], each["pixel"]) for each in drawn if len(each["points"]) > 1}

    def tab(self, name: str) -> None:
        """Open a tab of a run."""
        self.page.get_by_role("tab", name=name, exact=True).click()

    def table(self, title: str) -> dict[str, str]:
        """Return what a run's ``Metrics`` or ``Parameters`` say, name by name."""
        heading = self.page.get_by_role("heading", name=re.compile(rf"^{title} \(\d+\)$"))
        rows = heading.locator("xpath=..").get_by_role("row")
        rows.nth(1).wait_for()
        return dict(row.split("\n", 1) for row in rows.all_inner_texts()[1:])

    def compare(self) -> None:
        """Put the marked runs side by side."""
        self.page.get_by_role("button", name="Compare", exact=True).click()
        self.page.get_by_role("switch", name="Parameters - Show diff only").wait_for()

    def differing(self, section: str) -> dict[str, list[str]]:
        """Return the rows of a section of the compared runs in which they differ."""
        switch = self.page.get_by_role("switch", name=f"{section} - Show diff only")
        switch.click()
        expect(switch).to_be_checked()
        section_rows = switch.locator("xpath=ancestor::div[contains(@class, 'collapse-content-box')]").locator("tr")
        return {name: values for name, *values in (row.split("\t") for row in section_rows.all_inner_texts())}

    def compared_metrics(self) -> dict[str, list[str]]:
        """Return the first metrics of the compared runs, as many as are on the screen without scrolling."""
        self.page.get_by_role("link", name="best/epoch").scroll_into_view_if_needed()
        rows: dict[str, list[str]] = self.page.locator("a[title='Plot chart']").first.evaluate(_COMPARED)
        return rows

    def plot(self, metric: str, first: str) -> Locator:
        """Go from a metric of the compared runs to its page, add another one, and return the chart."""
        self.page.get_by_role("link", name=first).click()
        choice = self.page.get_by_role("combobox").first
        choice.click()
        choice.fill(metric)
        self.page.locator(".du-bois-light-select-item-option").get_by_text(metric, exact=True).click()
        self.page.keyboard.press("Escape")
        return self.chart(metric)

    def image(self, folder: str, file: str) -> tuple[int, int]:
        """Open a picture among a run's artifacts and return the size that the browser has found in it."""
        entry = self.page.get_by_text(file, exact=True)
        if not entry.is_visible():
            self.page.get_by_text(folder, exact=True).first.click()
        entry.click()
        image = self.page.locator(f"img[alt='{folder}/{file}']")
        image.wait_for()
        expect(image).to_have_js_property("complete", value=True)
        width, height = image.evaluate("image => [image.naturalWidth, image.naturalHeight]")
        return width, height
