"""What the filters ask of their arguments."""


def check_how(operation, how, known):
    """Refuse a keyword that is none of `known`."""
    for name in how:
        if name not in known:
            raise TypeError(f"{operation}: no argument is called {name}; {', '.join(known)} are")


def is_real(dtype):
    """Whether its cells are real numbers that an image can be made of."""
    return dtype.kind in "iuf" or dtype.name == "bfloat16"


def check_real(operation, image):
    """Refuse an image of other cells than real numbers."""
    if not is_real(image.dtype):
        raise TypeError(f"{operation}: image must hold real numbers, got dtype {image.dtype}")


def check_image_shape(operation, image):
    """Refuse what is no image of one channel or several."""
    if image.ndim not in (2, 3) or image.size == 0:
        raise ValueError(
            f"{operation}: image must be (H, W) or (H, W, C), not empty, got shape {image.shape}"
        )


def borders(kernel):
    """(lo, hi) for each axis of a kernel of these sizes: the output is as large as the input."""
    return tuple(((n - 1) // 2, n // 2) for n in kernel)
