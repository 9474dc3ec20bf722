"""The explorables in a browser without a network: their numbers are the library's."""

from pathlib import Path

import numpy as np
import pytest

import cyconv

from .browser import chromium, complaints, overflow, requests

PAGES = Path(__file__).parents[1] / "docs" / "explorables"
NAMES = sorted(path.stem for path in PAGES.glob("*.html"))
SEED = 15


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(browser):
    """`page(name)`: the explorable, opened from its file; nothing else may have been asked for."""

    def opened(name):
        requests(browser), complaints(browser)
        browser.get((PAGES / f"{name}.html").as_uri())
        return browser

    yield opened
    assert not complaints(browser)
    allowed = (PAGES.as_uri(), "data:", "blob:")
    assert all(address.startswith(allowed) for address in requests(browser))


def put(browser, **values):
    """Type values into fields, by their ids with - for _."""
    for name, value in values.items():
        browser.execute_script(
            "const e = document.getElementById(arguments[0]);"
            "if (e.type === 'checkbox') e.checked = arguments[1]; else e.value = arguments[1];"
            "for (const kind of ['input', 'change'])"
            " e.dispatchEvent(new Event(kind, {bubbles: true}));",
            name.replace("_", "-"),
            value,
        )


def put_table(browser, name, matrix):
    """Type a matrix into a table of fields."""
    browser.execute_script(
        "document.querySelectorAll(`#${arguments[0]} input`).forEach((e, i) => {"
        "e.value = arguments[1][i]; e.dispatchEvent(new Event('input', {bubbles: true})); });",
        name,
        np.ravel(matrix).tolist(),
    )


def table(browser, name, kind="*"):
    """The numbers of a table, None for an empty cell, and which of its cells are of a kind."""
    rows = browser.execute_script(
        "return [...document.getElementById(arguments[0]).rows].map(row => [...row.cells].map("
        "cell => [cell.textContent, cell.className]))",
        name,
    )
    numbers = [[float(t.replace("−", "-")) if t else None for t, _ in row] for row in rows]
    return numbers, np.array([[kind in classes.split() for _, classes in row] for row in rows])


def last(browser):
    """Move to the last position."""
    put(browser, position=10**6)


def test_every_page_is_tested():
    assert NAMES == ["arithmetic", "im2col", "photo", "sliding"]


@pytest.mark.parametrize("flip", [False, True])
def test_the_sliding_kernel_gives_the_convolution(page, flip):
    rng = np.random.default_rng(SEED)
    x, w = rng.integers(-9, 10, (5, 5)), rng.integers(-9, 10, (3, 3))
    browser = page("sliding")
    put_table(browser, "image", x)
    put_table(browser, "kernel", w)
    put(browser, flip=flip, position=5)  # row 1, column 2
    used = w[::-1, ::-1] if flip else w
    assert table(browser, "products")[0] == (x[1:4, 2:5] * used).tolist()
    shown, _ = table(browser, "output")
    assert shown[2] == [None] * 3, "what comes later is not shown yet"
    last(browser)
    expected = cyconv.conv2d(x[None], w[None, None], flip=flip)[0]
    assert table(browser, "output")[0] == expected.tolist()


def test_the_sliding_kernel_begins_with_the_chapters_example(page):
    browser = page("sliding")
    assert browser.find_element("id", "says").text.endswith("= −4")
    assert table(browser, "output")[0][0][0] == -4
    browser.find_element("id", "next").click()
    assert table(browser, "output")[0][0][:2] == [-4, 2]


def settings(rng, transposed):
    """Sizes and a geometry in which the kernel fits."""
    while True:
        rows, columns = rng.integers(1, 9, 2).tolist()
        taps = rng.integers(1, 5, 2).tolist()
        stride, padding, dilation = rng.integers((1, 0, 1), (4, 3, 3)).tolist()
        more = int(rng.integers(0, max(stride, dilation))) if transposed else 0
        found = {
            "rows": rows,
            "columns": columns,
            "kernel_rows": taps[0],
            "kernel_columns": taps[1],
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "output_padding": more,
        }
        spans = [dilation * (k - 1) + 1 for k in taps]
        if transposed:
            sizes = [
                (n - 1) * stride + k - 2 * padding + more
                for n, k in zip((rows, columns), spans, strict=True)
            ]
        else:
            sizes = [n + 2 * padding - k + 1 for n, k in zip((rows, columns), spans, strict=True)]
        if min(sizes) >= 1:
            return found


def inside(matrix, padding):
    """`matrix` without its frame."""
    matrix = np.array(matrix)
    return matrix[padding : matrix.shape[0] - padding, padding : matrix.shape[1] - padding]


@pytest.mark.parametrize("direction", ["forward", "transposed"])
@pytest.mark.parametrize("draw", range(6))
def test_moving_pictures_of_random_geometries(page, direction, draw):
    transposed = direction == "transposed"
    chosen = settings(np.random.default_rng((SEED, transposed, draw)), transposed)
    browser = page("arithmetic")
    put(browser, direction=direction, **chosen)
    last(browser)
    stride, padding, dilation = (chosen[name] for name in ("stride", "padding", "dilation"))
    framed = {name: np.array(table(browser, name)[0]) for name in ("input", "kernel", "output")}
    w = framed["kernel"][None, None]
    if transposed:
        x, y = framed["input"], inside(framed["output"], padding)
        expected = cyconv.conv_transpose2d(
            x[None], w, None, stride, padding, chosen["output_padding"], dilation=dilation
        )
    else:
        x, y = inside(framed["input"], padding), framed["output"]
        expected = cyconv.conv2d(x[None], w, None, stride, padding, dilation)
    assert x.shape == (chosen["rows"], chosen["columns"])
    np.testing.assert_array_equal(y, expected[0])


def test_the_marked_window_is_what_one_output_depends_on(page):
    browser = page("arithmetic")
    put(browser, rows=7, columns=8, stride=2, padding=1, dilation=2, position=4)
    _, marked = table(browser, "input", "window")
    p, q = np.argwhere(table(browser, "output", "answer")[1])[0]
    x_shape, w = (1, 1, 7, 8), np.ones((1, 1, 3, 3))
    g = np.zeros(cyconv.Problem(x_shape, w.shape, "float64", 2, 1, 2).output_shape)
    g[0, 0, p, q] = 1
    met = cyconv.conv_grad_input(x_shape, w, g, 2, 1, 2)[0, 0]
    np.testing.assert_array_equal(inside(marked, 1), met != 0)


def test_a_kernel_that_does_not_fit_is_said(page):
    browser = page("arithmetic")
    put(browser, rows=2, columns=2, padding=0, dilation=2)
    assert "does not fit" in browser.find_element("id", "sizes").text
    put(browser, padding=2)
    assert "does not fit" not in browser.find_element("id", "sizes").text


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"), [((5, 5), (3, 3), 1, 0), ((4, 7), (2, 3), 2, 1)]
)
def test_im2col_is_unfold(page, size, kernel, stride, padding):
    browser = page("im2col")
    put(
        browser,
        rows=size[0],
        columns=size[1],
        kernel_rows=kernel[0],
        kernel_columns=kernel[1],
        stride=stride,
        padding=padding,
    )
    put(browser, position=2)
    x, w = (np.array(table(browser, name)[0], int) for name in ("image", "kernel"))
    columns = cyconv.unfold(x[None], kernel, padding=padding, stride=stride)
    shown, lit = table(browser, "matrix", "window")
    np.testing.assert_array_equal(shown, columns)
    assert lit.any(axis=0).nonzero()[0].tolist() == [2]
    y = cyconv.conv2d(x[None], w[None, None], stride=stride, padding=padding)[0]
    np.testing.assert_array_equal(table(browser, "output")[0], y)
    put(browser, cell=6)
    _, lit = table(browser, "matrix", "answer")
    np.testing.assert_array_equal(lit, columns == 6)


def pixels(browser, name):
    """What a canvas shows, (H, W, 3)."""
    width, height, data = browser.execute_script(
        "const c = document.getElementById(arguments[0]);"
        "return [c.width, c.height,"
        " [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]];",
        name,
    )
    return np.array(data, float).reshape(height, width, 4)[..., :3]


def filtered(x, w, divisor, offset):
    """Bytes of the same by cyconv, half to even as canvases round."""
    planes = x.transpose(2, 0, 1)[:, None]
    y = cyconv.conv2d(planes, np.array(w, float)[None, None], padding=1, padding_mode="replicate")
    return np.clip(np.rint(y / divisor + offset), 0, 255)[:, 0].transpose(1, 2, 0)


def test_a_photograph_under_a_typed_kernel(page, tmp_path):
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(SEED)
    photo = rng.integers(0, 256, (20, 30, 3), np.uint8)
    image.fromarray(photo).save(tmp_path / "photo.png")
    browser = page("photo")
    browser.find_element("id", "file").send_keys(str(tmp_path / "photo.png"))
    support = pytest.importorskip("selenium.webdriver.support.ui")
    support.WebDriverWait(browser, 10).until(
        lambda b: b.execute_script("return document.getElementById('source').width") == 30
    )
    np.testing.assert_array_equal(pixels(browser, "source"), photo)
    w = rng.integers(-4, 5, (3, 3))
    put_table(browser, "kernel", w)
    put(browser, divisor=4, offset=100)
    np.testing.assert_array_equal(pixels(browser, "result"), filtered(photo, w, 4, 100))


DROP = """
const done = arguments[0], canvas = document.createElement('canvas');
Object.assign(canvas, {width: 12, height: 7});
canvas.getContext('2d').fillRect(3, 2, 4, 3);
canvas.toBlob(blob => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([blob], 'black.png', {type: 'image/png'}));
  document.body.dispatchEvent(new DragEvent('drop', {dataTransfer, bubbles: true}));
  setTimeout(() => done(document.getElementById('source').width), 500);
});
"""


def test_a_photograph_that_is_dropped(page):
    browser = page("photo")
    assert browser.execute_async_script(DROP) == 12
    expected = np.full((7, 12, 3), 255)
    expected[2:5, 3:7] = 0
    np.testing.assert_array_equal(pixels(browser, "source"), expected)


def test_play_and_pause(page):
    browser = page("sliding")
    play = browser.find_element("id", "play")
    play.click()
    assert play.text == "Pause"
    wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
    wait(browser, 10).until(lambda b: b.find_element("id", "position").get_property("value") == "2")
    play.click()
    assert play.text == "Play"
    assert browser.find_element("id", "says").get_attribute("aria-live") == "polite"


def test_a_classic_kernel_over_the_scene_that_the_page_draws(page):
    browser = page("photo")
    put(browser, preset="blur (Gaussian)")
    expected = filtered(pixels(browser, "source"), [[1, 2, 1], [2, 4, 2], [1, 2, 1]], 16, 0)
    np.testing.assert_array_equal(pixels(browser, "result"), expected)


@pytest.mark.parametrize("name", NAMES)
def test_pages_fit_a_phone(name):
    with chromium(390, 844, dark=True) as browser:
        browser.get((PAGES / f"{name}.html").as_uri())
        assert overflow(browser) <= 0
        assert not complaints(browser)
