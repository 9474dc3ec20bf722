"""The examples in the docstrings of functions that share them."""

_EXAMPLES = {
    "conv": """
    >>> cyconv.conv(np.ones((2, 5)), np.ones((4, 2, 3))).shape  # one axis, as w has
    (4, 3)
    """,
    "conv1d": """
    >>> x, w = np.array([[1, 2, 3, 0, 1]]), np.array([[[1, 2, 3]]])
    >>> cyconv.conv1d(x, w)
    array([[14,  8,  6]])
    >>> cyconv.conv1d(x, w, padding=2, flip=True)  # as np.convolve
    array([[ 1,  4, 10, 12, 10,  2,  3]])
    """,
    "conv2d": """
    >>> x = np.arange(1, 17).reshape(1, 1, 4, 4)
    >>> w = np.array([[[[1, 0, -1], [2, 0, -2], [1, 0, -1]]]])
    >>> cyconv.conv2d(x, w)
    array([[[[-8, -8],
             [-8, -8]]]])
    >>> cyconv.conv2d(x, w, bias=np.array([10]), stride=2, padding=1, activation="relu")
    array([[[[0, 4],
             [0, 2]]]])
    """,
    "conv3d": """
    >>> cyconv.conv3d(np.ones((1, 2, 3, 3), int), np.ones((1, 1, 2, 2, 2), int))
    array([[[[8, 8],
             [8, 8]]]])
    """,
    "conv_transpose": """
    >>> cyconv.conv_transpose(np.ones((4, 5)), np.ones((4, 2, 3)), stride=2).shape
    (2, 11)
    """,
    "conv_transpose1d": """
    >>> w = np.array([[[1, 2, 3]]])
    >>> cyconv.conv_transpose1d(np.array([[1, -1, 2]]), w)
    array([[1, 1, 3, 1, 6]])
    >>> cyconv.conv_transpose1d(np.array([[1, -1, 2]]), w, stride=2)
    array([[ 1,  2,  2, -2, -1,  4,  6]])
    """,
    "conv_transpose2d": """
    >>> x = np.array([[[1, 2], [3, 4]]])
    >>> cyconv.conv_transpose2d(x, np.ones((1, 1, 2, 2), int), stride=2)
    array([[[1, 1, 2, 2],
            [1, 1, 2, 2],
            [3, 3, 4, 4],
            [3, 3, 4, 4]]])
    """,
    "conv_transpose3d": """
    >>> x, w = np.ones((8, 4, 4, 4)), np.ones((8, 2, 3, 3, 3))
    >>> cyconv.conv_transpose3d(x, w, stride=2, padding=1, output_padding=1).shape
    (2, 8, 8, 8)
    """,
}


def examples(name):
    """The section of the docstring of the function `name`, if it has one."""
    return f"\n    Examples\n    --------{_EXAMPLES[name]}" if name in _EXAMPLES else ""
