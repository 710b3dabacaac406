"""A browser, and a page of it that must stay without fault."""

import os
import re
import shutil
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync"]


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@contextmanager
def faultless(browser):
    """A page of which nothing may go wrong, nor ask the network for anything."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    wrong = []
    opened.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "request", lambda r: wrong.append(r.url) if not re.match(r"file:|data:|blob:|http://127\.0\.0\.1:", r.url) else None
    )
    yield opened
    opened.close()
    assert wrong == []


@pytest.fixture
def page(browser):
    with faultless(browser) as opened:
        yield opened
