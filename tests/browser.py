"""A headless Chromium that reaches this machine only, for pages that must not need another."""

import contextlib
import json
import os
import shutil

import pytest


@contextlib.contextmanager
def chromium(width=1280, height=900, dark=False):
    """Selenium's driver of Debian's Chromium; the test is skipped where one of them is missing.

    Pages see a screen of this width, a telephone's below 600; of None, the window's.
    """
    webdriver = pytest.importorskip("selenium.webdriver")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1200,900",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # The driver is named: nothing looks for another one.
    named = service.Service(programs[1], env=os.environ | {"SE_OFFLINE": "true"})
    driver = webdriver.Chrome(options=options, service=named)
    try:
        if width is not None:
            driver.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
            )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield driver
    finally:
        driver.quit()


def requests(driver):
    """The addresses that pages have asked for since the last call."""
    messages = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def complaints(driver):
    """The warnings and errors that pages have written to the console since the last call."""
    serious = ("WARNING", "SEVERE")
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in serious]


def overflow(driver):
    """By how many pixels the page is wider than the window."""
    script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return driver.execute_script(script)
