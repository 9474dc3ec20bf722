"""The commands on photos: what they write, what they print, and how they refuse."""

import io
import os
import sys

import numpy as np
import pytest
from scipy import ndimage

from cyconv import filters
from cyconv.problem import PADDING_MODES

Image = pytest.importorskip("PIL.Image")

from .photos import SEED, load, pixels, save


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def luma(rgb):
    return rgb @ np.array([0.299, 0.587, 0.114])


def sobel_magnitude(grey):
    """SciPy's, with the border that `edges` takes by default."""
    grey = grey.astype(np.float64)
    return np.hypot(*(ndimage.sobel(grey, axis, mode="mirror") for axis in (0, 1)))


def eight_bits(magnitude):
    return np.rint(255 * magnitude / magnitude.max())


# ---- edges --------------------------------------------------------------------------------------


def test_edges_of_the_sample_photograph_agree_with_scipy(command):
    sample = pytest.importorskip("matplotlib.cbook").get_sample_data("grace_hopper.jpg", False)
    code, out, err = command("edges")
    assert (code, err) == (0, "")
    assert out.startswith("wrote edges.png: 512x600, sobel, algorithm ")
    assert out.endswith(" ms\n")
    result = load("edges.png")
    with Image.open(sample) as photo:
        grey = np.array(photo.convert("L"))
    assert result.shape == grey.shape
    assert result.dtype == np.uint8
    expected = eight_bits(np.hypot(ndimage.sobel(grey / 1.0, 0), ndimage.sobel(grey / 1.0, 1)))
    assert np.corrcoef(result.ravel(), expected.ravel())[0, 1] > 0.97
    expected = eight_bits(sobel_magnitude(luma(load(sample))))
    # Rounding may fall either way where a value lies in the middle between two.
    assert abs(result - expected).max() <= 1


@pytest.mark.parametrize("kernel", ["sobel", "prewitt", "scharr", "laplacian"])
def test_edges_are_the_magnitude_scaled_to_255(command, kernel):
    photo = pixels((20, 30))
    save("in.png", photo)
    code, out, _ = command("edges", "in.png", "--kernel", kernel, "--threads", 1)
    assert code == 0
    assert f"30x20, {kernel}, algorithm" in out
    if kernel == "laplacian":
        magnitude = abs(filters.apply(photo, filters.LAPLACIAN_4))
    else:
        magnitude = filters.gradient_magnitude(photo, kernel)
    assert abs(load("edges.png") - eight_bits(magnitude)).max() <= 1
    assert load("edges.png").max() == 255


def test_a_flat_photo_has_no_edges(command):
    save("flat.png", np.full((5, 6), 77, np.uint8))
    assert command("edges flat.png -o out.png")[0] == 0
    assert (load("out.png") == 0).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 7), (7, 1, 3), (2, 2, 4)])
@pytest.mark.parametrize("panel", [(), ("--panel",)])
@pytest.mark.parametrize("kernel", ["sobel", "laplacian"])
def test_photos_of_few_pixels(command, shape, panel, kernel):
    save("in.png", pixels(shape))
    assert command("edges", "in.png", "--kernel", kernel, *panel)[::2] == (0, "")
    if not panel:
        assert load("edges.png").shape == shape[:2]


def test_exif_orientation_turns_the_photo_upright(command):
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is the right-hand side
    photo = pixels((10, 16))
    save("in.png", photo, exif=exif)
    assert command("edges in.png")[0] == 0
    expected = eight_bits(sobel_magnitude(np.rot90(photo, -1)))
    assert load("edges.png").shape == (16, 10)
    assert abs(load("edges.png") - expected).max() <= 1


def test_what_is_transparent_is_seen_on_white(command):
    photo = np.zeros((9, 9, 4), np.uint8)
    photo[3:6, 3:6, 3] = 255
    seen = np.where(photo[..., 3] > 0, 0, 255)
    save("in.png", photo)
    assert command("edges in.png")[0] == 0
    assert abs(load("edges.png") - eight_bits(sobel_magnitude(seen))).max() <= 1


def _palette(photo):
    return Image.fromarray(photo).convert("RGB").quantize(8)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("one-bit.png", lambda p: Image.fromarray(p).convert("1")),
        ("palette.png", _palette),
        ("palette.gif", _palette),
        ("16-bits.png", lambda p: Image.fromarray(p.astype(np.uint16) * 257)),
        ("32-bits.tiff", lambda p: Image.fromarray(p.astype(np.int32) * 1000)),
        ("float.tiff", lambda p: Image.fromarray(p.astype(np.float32) / 255)),
        ("grey-and-alpha.png", lambda p: Image.fromarray(p).convert("LA")),
        ("cmyk.jpg", lambda p: Image.fromarray(p).convert("CMYK")),
        ("lab.tiff", lambda p: Image.merge("LAB", [Image.fromarray(p)] * 3)),
    ],
)
def test_every_kind_of_pixel_is_read(command, name, make):
    make(pixels((12, 15))).save(name)
    code, _, err = command("edges", name, "-o", "out.png")
    if name == "lab.tiff":
        assert code in (0, 2)  # as Pillow can or can't convert it
    else:
        assert (code, err) == (0, "")
    if code == 0:
        assert load("out.png").shape == (12, 15)


def test_sixteen_bits_are_not_cut_to_eight(command):
    photo = np.zeros((8, 8), np.uint16)
    photo[:, 4:] = 200  # less than one step of 8 bits
    photo[4:] += 55
    save("in.png", photo)
    assert command("edges in.png")[0] == 0
    assert abs(load("edges.png") - eight_bits(sobel_magnitude(photo))).max() <= 1


@pytest.mark.parametrize(("kernel", "tiles"), [("sobel", 4), ("laplacian", 3)])
def test_a_panel_is_a_row_of_the_photo_and_its_steps(command, kernel, tiles):
    photo = pixels((90, 120, 3))
    save("in.png", photo)
    code, out, _ = command("edges", "in.png", "--panel", "--kernel", kernel)
    assert code == 0
    panel = load("edges.png")
    assert f"{panel.shape[1]}x{panel.shape[0]}" in out
    gap = 8
    assert panel.shape[1] == tiles * (120 + gap) + gap
    assert panel.shape[2] == 3
    bottom = panel[-90 - gap : -gap]
    np.testing.assert_array_equal(bottom[:, gap : gap + 120], photo)
    assert command("edges", "in.png", "-o", "alone.png", "--kernel", kernel)[0] == 0
    np.testing.assert_array_equal(bottom[:, -120 - gap : -gap, 0], load("alone.png"))


def test_a_wide_panel_is_shrunk(command):
    save("in.png", pixels((100, 900)))
    assert command("edges in.png --panel")[0] == 0
    assert 1150 < load("edges.png").shape[1] <= 1200
    assert command("edges in.png --panel --panel-width 600")[0] == 0
    assert 550 < load("edges.png").shape[1] <= 600


# ---- filter -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", filters.KERNELS)
def test_filter_rounds_and_clips_what_apply_gives(command, name):
    photo = pixels((17, 21, 3))
    save("in.png", photo)
    code, out, err = command("filter", "in.png", "--kernel", name, "-o", "out.png")
    assert (code, err) == (0, "")
    kernel = filters.get_kernel(name, dtype=np.float64)
    assert out.startswith(f"wrote out.png: 21x17, {name} {len(kernel)}x{len(kernel[0])}, algorithm")
    expected = np.clip(np.rint(filters.apply(photo, kernel)), 0, 255)
    np.testing.assert_array_equal(load("out.png"), expected)


def test_identity_returns_the_photo_with_its_alpha(command):
    photo = pixels((6, 7, 4))
    save("in.png", photo)
    assert command("filter in.png --kernel identity -o out.png")[0] == 0
    np.testing.assert_array_equal(load("out.png"), photo)


def test_alpha_is_kept_and_colour_is_filtered(command):
    photo = pixels((9, 11, 4))
    save("in.png", photo)
    assert command("filter in.png --kernel box --size 5 -o out.png")[0] == 0
    result = load("out.png")
    np.testing.assert_array_equal(result[..., 3], photo[..., 3])
    expected = np.rint(filters.apply(photo[..., :3], filters.box(5, dtype=float)))
    np.testing.assert_array_equal(result[..., :3], expected)


def test_sixteen_bits_stay_sixteen_bits(command):
    photo = pixels((9, 8), np.uint16)
    save("in.png", photo)
    assert command("filter in.png --kernel sharpen -o out.png")[0] == 0
    expected = np.clip(np.rint(filters.apply(photo, "sharpen")), 0, 65535)
    assert load("out.png").dtype == np.uint16
    np.testing.assert_array_equal(load("out.png"), expected)


@pytest.mark.parametrize("border", PADDING_MODES)
def test_border_is_the_padding_mode(command, border):
    photo = pixels((6, 6))
    save("in.png", photo)
    argv = ("filter", "in.png", "--kernel", "gaussian", "--sigma", "1.5", "--border", border)
    assert command(*argv, "-o", "out.png")[0] == 0
    kernel = filters.gaussian(sigma=1.5, dtype=float)
    np.testing.assert_array_equal(
        load("out.png"), np.rint(filters.apply(photo, kernel, mode=border))
    )


@pytest.mark.parametrize("name", ["k.txt", "k.csv", "k.npy"])
def test_a_kernel_may_come_from_a_file(command, name):
    kernel = np.array([[0, 0.5, 0], [0, 0.5, 0.0]])
    if name == "k.npy":
        np.save(name, kernel)
    else:
        np.savetxt(name, kernel, delimiter=", " if name == "k.csv" else " ", header="half up")
    photo = pixels((6, 5, 3))
    save("in.png", photo)
    assert command("filter", "in.png", "--kernel", name, "-o", "out.png")[0] == 0
    np.testing.assert_array_equal(load("out.png"), np.rint(filters.apply(photo, kernel)))


def test_output_may_be_the_photo_itself(command):
    photo = pixels((6, 7))
    save("in.png", photo)
    os.chmod("in.png", 0o640)
    assert command("filter in.png --kernel box -o in.png")[0] == 0
    np.testing.assert_array_equal(load("in.png"), np.rint(filters.apply(photo, "box")))
    assert os.stat("in.png").st_mode & 0o777 == 0o640
    assert os.listdir() == ["in.png"]


def test_a_link_is_written_through(command):
    save("in.png", pixels((6, 7)))
    os.symlink("real.png", "link.png")
    assert command("edges in.png -o link.png")[0] == 0
    assert os.path.islink("link.png")
    assert load("real.png").shape == (6, 7)


# ---- refusals -----------------------------------------------------------------------------------

SMALL = "explain --input 1,3,8,8 --weight 4,3,3,3"

BAD = [
    ("edges missing.png", "cannot read missing.png: No such file or directory"),
    ("edges folder.png", "cannot read folder.png: no image in this folder"),
    ("edges . -o in.png", "cannot write in.png: it exists and is not a folder"),
    ("edges . -o none/out", "cannot write none/out: No such file or directory"),
    ("filter pickle.npy --kernel box -o o.npy", "cannot read pickle.npy: "),
    ("filter text.npy --kernel box -o o.npy", "cannot read text.npy: "),
    ("filter line.npy --kernel box -o o.npy", "got shape (3,)"),
    ("filter complex.npy --kernel box -o o.npy", "must hold real numbers, got dtype complex128"),
    ("edges rgba.npy -o o.npy", "got an array (H, W, 4)"),
    ("filter reals.npy --kernel box -o o.png", "cannot write o.png: "),
    ("edges text.png", "cannot read text.png: not an image"),
    ("edges empty.png", "cannot read empty.png: not an image"),
    ("edges half.png", "cannot read half.png: "),
    ("edges half.jpg", "cannot read half.jpg: "),
    ("edges in.png -o none/out.png", "cannot write none/out.png: no folder "),
    ("edges in.png -o folder.png", "cannot write folder.png: it exists and is not a"),
    ("edges in.png -o out", "cannot write out: an image without an extension"),
    ("edges in.png -o out.xyz", "cannot write out.xyz: images of type .xyz; try .png"),
    ("edges in.png -o /dev/null/x.png", "cannot write /dev/null/x.png: no folder /dev/null"),
    ("edges in.png --kernel canny", "argument --kernel: invalid choice: 'canny'"),
    ("edges in.png --threads 0", "--threads: must be an integer >= 1, got '0'"),
    ("edges in.png more.png", "unrecognized arguments: more.png"),
    ("edges in.png --panels", "unrecognized arguments: --panels"),
    ("filter in.png -o o.png", "the following arguments are required: --kernel"),
    ("filter in.png --kernel box", "the following arguments are required: -o/--output"),
    ("filter in.png --kernel nix -o o.png", "--kernel nix is no file and none of"),
    ("filter in.png --kernel box --sigma 2 -o o.png", "box has no sigma"),
    ("filter in.png --kernel k.txt --size 3 -o o.png", "--size does not go"),
    ("filter in.png --kernel identity --size 4 -o o.png", "size must be odd"),
    ("filter in.png --kernel gaussian --sigma nan -o o.png", "sigma must be"),
    ("filter in.png --kernel text.png -o o.png", "cannot read text.png: "),
    ("filter in.png --kernel empty.png -o o.png", "empty.png: no numbers in it"),
    ("filter in.png --kernel ragged.txt -o o.png", "cannot read ragged.txt: "),
    ("filter in.png --kernel nan.txt -o o.png", "nan.txt holds a number that is"),
    ("filter in.png --kernel cube.npy -o o.png", "got shape (2, 2, 2)"),
    ("filter in.png --kernel pickle.npy -o o.png", "cannot read pickle.npy: "),
    ("filter in.png --kernel . -o o.png", "cannot read .: "),
    ("filter rgba.png --kernel box -o o.jpg", "cannot write o.jpg: "),
    ("explain", "the following arguments are required: --input, --weight"),
    ("explain --input 1,2 --weight x", "--weight: must be integers with commas"),
    ("explain --input 1,3,8,8 --weight 4,2,3,3", "explain: w.shape[1] must be C"),
    (f"{SMALL} --stride 0", "stride[0] must be"),
    ("explain --input 1,3,8,8 --weight 4,3,9,9", "kernel"),
    (f"{SMALL} --padding 1:2:3", "--padding: "),
    (f"{SMALL} --dtype float99", "dtype"),
    (f"{SMALL} --algorithm magic", "winograd"),
    (f"{SMALL} --accuracy good", "--accuracy: "),
    (
        f"{SMALL} --workspace-limit 9X",
        "--workspace-limit: must be like 4096, 512K or 64M, got '9X'",
    ),
    ("doctor now", "unrecognized arguments: now"),
]


@pytest.mark.parametrize(("line", "says"), BAD)
def test_bad_input_ends_in_one_line_and_writes_nothing(command, line, says):
    save("in.png", pixels((8, 8)))
    save("rgba.png", pixels((8, 8, 4)))
    for name in ("half.png", "half.jpg"):
        buffer = io.BytesIO()
        Image.fromarray(pixels((64, 64))).save(buffer, name[-3:].replace("jpg", "jpeg"))
        with open(name, "wb") as file:
            file.write(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    for name, text in (
        ("text.png", "not a picture"),
        ("text.npy", "not an array"),
        ("empty.png", ""),
        ("k.txt", "1 2 1"),
        ("ragged.txt", "1 2\n3\n"),
        ("nan.txt", "1 nan"),
    ):
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
    np.save("cube.npy", np.zeros((2, 2, 2)))
    np.save("line.npy", np.zeros(3))
    np.save("reals.npy", np.zeros((4, 4)))
    np.save("complex.npy", np.zeros((4, 4), complex))
    np.save("rgba.npy", np.zeros((4, 4, 4)))
    np.save("pickle.npy", np.array([{}]), allow_pickle=True)
    os.mkdir("folder.png")
    before = sorted(os.listdir())
    code, out, err = command(line)
    assert (code, out) == (2, "")
    assert err.startswith(f"cyconv {line.split()[0]}: ")
    assert says in err
    assert "explain: explain" not in err
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("argv", [(), ("paint",), ("--nonsense",)])
def test_without_a_command_it_lists_them(command, argv):
    code, out, err = command(*argv)
    assert (code, out) == (2, "")
    assert err.startswith("cyconv: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("module", ["PIL", "matplotlib"])
def test_a_missing_extra_is_named_in_one_line(command, monkeypatch, module):
    for name in [n for n in sys.modules if n.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    code, out, err = command("edges")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "pip install 'cyconv[cli]'" in err


@pytest.mark.parametrize("existing", [True, False])
def test_a_failed_write_leaves_what_was_there(command, monkeypatch, existing):
    save("in.png", pixels((8, 8)))
    if existing:
        save("out.png", pixels((3, 3)))

    def fail(self, file, *args, **kwargs):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    before = sorted(os.listdir())
    code, _, err = command("edges in.png -o out.png")
    assert (code, err) == (2, "cyconv edges: cannot write out.png: No space left on device\n")
    assert sorted(os.listdir()) == before
    if existing:
        np.testing.assert_array_equal(load("out.png"), pixels((3, 3)))


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "cyconv edges: interrupted\n"),
        (MemoryError("needs 9, limit 3"), 1, "cyconv edges: not enough memory: needs 9, limit 3\n"),
    ],
)
def test_interrupts_and_memory_have_their_own_codes(command, monkeypatch, error, code, says):
    def fail(*args, **kwargs):
        raise error

    save("in.png", pixels((8, 8)))
    monkeypatch.setattr(filters, "gradient", fail)
    assert command("edges in.png") == (code, "", says)
    assert os.listdir() == ["in.png"]


def test_a_bug_shows_its_traceback_and_returns_1(command, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("boom")

    save("in.png", pixels((8, 8)))
    monkeypatch.setattr(filters, "gradient", fail)
    code, _, err = command("edges in.png")
    assert code == 1
    assert "RuntimeError: boom" in err


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "tiff", "bmp"])
def test_a_file_cut_or_changed_anywhere_is_read_or_refused_in_one_line(command, kind):
    rng = np.random.default_rng(SEED)
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(pixels((16, 16, 3))).save(
        buffer, kind, **({"exif": exif} if kind != "gif" else {})
    )
    whole = buffer.getvalue()
    for i in range(40):
        broken = bytearray(whole)
        if i % 2:
            del broken[rng.integers(len(whole)) :]
        else:
            # The head of the file, where sizes and types stand, more often than the pixels
            end = 120 if i % 4 else len(whole)
            for at in rng.integers(min(end, len(whole)), size=3):
                broken[at] = rng.integers(256)
        with open("broken", "wb") as file:
            file.write(broken)
        code, _, err = command("edges broken")
        if code:
            assert code == 2
            assert err.startswith("cyconv edges: cannot read broken: ")
            assert err.count("\n") == 1
        else:
            assert err == ""
