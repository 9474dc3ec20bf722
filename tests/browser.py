"""Headless Chromium that reaches this machine only."""

import os
import shutil
from contextlib import contextmanager

import pytest

# No host has an address but this one; nothing is looked up in the background.
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--window-size=1200,900",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@contextmanager
def chromium(folder):
    """A selenium driver with an empty profile in `folder`; a skip where there is no Chromium."""
    webdriver = pytest.importorskip("selenium.webdriver")
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("no chromium and chromedriver on the path")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for option in (*_OPTIONS, f"--user-data-dir={folder}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # The driver is named: nothing looks for another one.
    service = webdriver.ChromeService(programs[1], env=os.environ | {"SE_OFFLINE": "true"})
    driver = webdriver.Chrome(options, service)
    try:
        yield driver
    finally:
        driver.quit()
