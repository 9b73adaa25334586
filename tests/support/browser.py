"""A real browser, if the machine has one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# A loaded machine needs its time to load Swagger UI.
expect.set_options(timeout=30_000)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Headless Chromium."""
    # Root in a container gets no sandbox. Tests open only the engine's own pages.
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()
