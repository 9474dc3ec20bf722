"""The commands on what holds more than one picture: animations, pages, arrays, folders."""

import os

import numpy as np
import pytest

from cyconv import filters

Image = pytest.importorskip("PIL.Image")

from .photos import SEED, load, pixels, save

COUNT = 4
BOX = ("--kernel", "box")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def frames_of(name):
    """Every frame of the file, in the mode it is stored in."""
    with Image.open(name) as image:
        found = []
        for i in range(image.n_frames):
            image.seek(i)
            found.append(np.array(image))
        return found


def animation(name, frames, **options):
    first, *others = map(Image.fromarray, frames)
    first.save(name, save_all=True, append_images=others, **options)


def boxed(frame):
    return np.rint(filters.apply(frame, "box"))


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 3)])
def test_every_frame_of_a_lossless_file_is_filtered(command, kind, shape):
    frames = pixels((COUNT, *shape))
    animation(f"in.{kind}", frames)
    code, out, err = command("filter", f"in.{kind}", *BOX, "-o", f"out.{kind}")
    assert (code, err) == (0, "")
    assert out.startswith(f"wrote out.{kind}: {COUNT} frames of 11x9, box 3x3, algorithm ")
    results = frames_of(f"out.{kind}")
    assert len(results) == COUNT
    for frame, result in zip(frames, results, strict=True):
        np.testing.assert_array_equal(result[..., : 3 if len(shape) == 3 else None], boxed(frame))


@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
def test_an_animation_keeps_its_times(command, kind):
    durations = [40, 80, 120, 200]
    animation(f"in.{kind}", pixels((COUNT, 8, 8, 3)), duration=durations, loop=3)
    assert command("filter", f"in.{kind}", *BOX, "-o", f"out.{kind}")[0] == 0
    with Image.open(f"out.{kind}") as image:
        found = []
        for i in range(image.n_frames):
            image.seek(i)
            image.load()
            found.append(image.info["duration"])
        assert found == durations
        assert image.info["loop"] == 3


def test_an_animation_that_plays_once_plays_once_in_another_format(command):
    animation("in.gif", pixels((COUNT, 8, 8)), duration=50)
    assert command("filter in.gif --kernel box -o out.gif")[0] == 0
    assert command("filter in.gif --kernel box -o out.png")[0] == 0
    with Image.open("out.gif") as image:
        assert "loop" not in image.info
    with Image.open("out.png") as image:
        assert image.info["loop"] == 1


def test_pages_of_sixteen_bits_and_of_several_sizes(command):
    pages = [pixels(shape, np.uint16) for shape in ((6, 7), (9, 5), (8, 8))]
    animation("in.tiff", pages)
    code, out, _ = command("filter in.tiff --kernel box -o out.tiff")
    assert code == 0
    assert out.startswith("wrote out.tiff: 3 frames, box")
    for page, result in zip(pages, frames_of("out.tiff"), strict=True):
        assert result.dtype == np.uint16
        np.testing.assert_array_equal(result, boxed(page))
    code, _, err = command("filter in.tiff --kernel box -o out.gif")
    assert code == 2
    assert "cannot write out.gif: " in err
    code, _, err = command("filter in.tiff --kernel box -o out.npy")
    assert (code, err) == (
        2,
        "cyconv filter: cannot write out.npy: the frames are not of one size\n",
    )


def test_transparent_frames_stay_transparent(command):
    frames = pixels((3, 8, 8, 4))
    frames[..., 3] = np.where(frames[..., 3] > 127, 255, 0)
    frames[:, 0, 0, 3] = 0
    animation("in.gif", frames, disposal=2)
    assert command("filter in.gif --kernel identity -o out.gif")[0] == 0
    with Image.open("out.gif") as image:
        for i, frame in enumerate(frames):
            image.seek(i)
            alpha = np.array(image.convert("RGBA"))[..., 3]
            np.testing.assert_array_equal(alpha, frame[..., 3])


def test_what_one_picture_can_not_hold_is_said(command):
    frames = pixels((COUNT, 8, 8, 3))
    animation("in.tiff", frames)
    code, out, err = command("filter in.tiff --kernel box -o out.bmp")
    assert code == 0
    assert out.startswith("wrote out.bmp: ")
    assert err == (
        "cyconv filter: out.bmp: .bmp holds one picture, 3 of 4 frames left out; "
        "try .gif, .png, .webp, .tiff or .npy\n"
    )
    np.testing.assert_array_equal(load("out.bmp"), boxed(frames[0]))


def test_previews_are_no_frames_and_that_is_said(command):
    animation("in.jpg", pixels((2, 16, 16, 3)), format="MPO")
    code, out, err = command("edges in.jpg")
    assert code == 0
    assert "16x16, sobel" in out
    assert err == "cyconv edges: in.jpg: 1 more picture(s) in it, left out\n"


def test_edges_of_all_frames_are_on_one_scale(command):
    faint = pixels((8, 9)) // 8
    animation("in.tiff", [faint, faint * 4])
    assert command("edges in.tiff -o out.tiff")[0] == 0
    one, two = frames_of("out.tiff")
    assert two.max() == 255
    # The magnitude is linear in the photo, and each frame is rounded by itself.
    assert abs(two - 4.0 * one).max() <= 0.5 + 4 * 0.5
    assert command("edges in.tiff --panel -o panel.tiff")[0] == 0
    assert len(frames_of("panel.tiff")) == 2


# ---- arrays -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3), (9, 7, 4), (2, 9, 7), (2, 3, 9, 7, 3)])
def test_arrays_give_what_apply_gives(command, shape, dtype):
    array = (100 * np.random.default_rng(SEED).standard_normal(shape)).astype(dtype)
    np.save("in.npy", array)
    code, out, err = command("filter in.npy --kernel sobel_x -o out.npy")
    assert (code, err) == (0, "")
    result = np.load("out.npy")
    assert result.shape == shape
    assert result.dtype == np.result_type(array, np.float32)
    colours = len(shape) > 2 and shape[-1] in (3, 4)
    picture = shape[-3:] if colours else shape[-2:]
    expected = [
        filters.apply(frame, "sobel_x").astype(result.dtype)
        for frame in array.reshape(-1, *picture)
    ]
    np.testing.assert_array_equal(result.reshape(-1, *picture), expected)
    assert ("frames of 7x9" in out) == (len(expected) > 1)


def test_between_images_and_arrays(command):
    photo = pixels((8, 9, 3))
    save("in.png", photo)
    assert command("filter in.png --kernel sobel_y -o values.npy")[0] == 0
    np.testing.assert_array_equal(np.load("values.npy"), filters.apply(photo, "sobel_y"))
    np.save("in.npy", photo)
    assert command("filter in.npy --kernel box -o out.png")[0] == 0
    np.testing.assert_array_equal(load("out.png"), boxed(photo))
    save("alpha.png", pixels((8, 9, 4)))
    assert command("filter alpha.png --kernel box -o alpha.npy")[0] == 0
    np.testing.assert_array_equal(np.load("alpha.npy")[..., 3], pixels((8, 9, 4))[..., 3])


def test_edges_of_an_array_are_the_magnitude_itself(command):
    stack = pixels((3, 9, 8)).astype(np.float32)
    np.save("in.npy", stack)
    assert command("edges in.npy -o out.npy")[0] == 0
    expected = [filters.gradient_magnitude(frame) for frame in stack]
    np.testing.assert_array_equal(np.load("out.npy"), expected)


# ---- folders ------------------------------------------------------------------------------------


def test_every_image_of_a_folder_is_filtered_under_its_name(command):
    os.mkdir("photos")
    photos = {f"photos/{i}.png": pixels((8, 9 + i, 3)) for i in range(3)}
    for name, photo in photos.items():
        save(name, photo)
    animation("photos/pages.tiff", pixels((2, 8, 8)))
    np.save("photos/array.npy", pixels((8, 8)))
    with open("photos/notes.txt", "w", encoding="utf-8") as file:
        file.write("not a picture")
    code, out, err = command("filter photos --kernel box -o out")
    assert code == 0
    assert out.startswith(f"wrote out{os.sep}: 5 of 5 files, 6 picture(s), box 3x3, ")
    assert out.endswith(" ms; 1 other file(s) are no images\n")
    assert err.splitlines() == [
        f"{i}/5 {name}"
        for i, name in enumerate(["0.png", "1.png", "2.png", "array.npy", "pages.tiff"], 1)
    ]
    assert sorted(os.listdir("out")) == ["0.png", "1.png", "2.png", "array.npy", "pages.tiff"]
    for name, photo in photos.items():
        np.testing.assert_array_equal(load(name.replace("photos", "out")), boxed(photo))
    assert len(frames_of("out/pages.tiff")) == 2


def test_one_broken_file_does_not_lose_the_others(command):
    os.mkdir("photos")
    save("photos/a.png", pixels((8, 8)))
    save("photos/c.png", pixels((8, 8)))
    with open("photos/b.png", "w", encoding="utf-8") as file:
        file.write("not a picture")
    code, out, err = command("edges photos")
    assert code == 2
    assert out.startswith(f"wrote edges{os.sep}: 2 of 3 files, 2 picture(s), sobel, ")
    assert err.splitlines()[3:] == [
        f"cyconv edges: cannot read {os.path.join('photos', 'b.png')}: not an image",
        "cyconv edges: 1 of 3 files failed",
    ]
    assert sorted(os.listdir("edges")) == ["a.png", "c.png"]
