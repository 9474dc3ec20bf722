"""Rules that look at the arrays in another way: strides change, no data moves."""

import numpy as np

from cyconv.lowering.rule import Views


class Unbatched(Views):
    """unbatched input -> a batch of one."""

    def __init__(self, problem):
        super().__init__(problem, problem.rewritten(x_shape=(1, *problem.x_shape)))

    @staticmethod
    def applies(problem):
        return not problem.batched

    def view(self, role, array):
        return array if role == "w" else array[None]


class ChannelsLast(Views):
    """channels last -> channels first, through strides."""

    def __init__(self, problem):
        n, *spatial, c = problem.x_shape
        child = problem.rewritten(x_shape=(n, c, *spatial), data_format="channels_first")
        child.__dict__["channels_lie_last"] = True  # for the choice: some read them slowly
        super().__init__(problem, child)

    @staticmethod
    def applies(problem):
        return problem.channels_last

    def view(self, role, array):
        return array if role == "w" else np.moveaxis(array, -1, 1)


class Flip(Views):
    """true convolution -> cross-correlation with the kernel rotated by 180 degrees."""

    def __init__(self, problem):
        super().__init__(problem, problem.rewritten(flip=False))

    @staticmethod
    def applies(problem):
        return problem.flip

    def view(self, role, array):
        return np.flip(array, tuple(range(2, array.ndim))) if role == "w" else array


class OneAxis(Views):
    """one spatial axis -> two, of height 1."""

    def __init__(self, problem):
        super().__init__(
            problem,
            problem.rewritten(
                x_shape=(*problem.x_shape[:2], 1, problem.x_shape[2]),
                w_shape=(*problem.w_shape[:2], 1, problem.w_shape[2]),
                stride=(1, *problem.stride),
                dilation=(1, *problem.dilation),
                padding=((0, 0), *problem.padding),
            ),
        )

    @staticmethod
    def applies(problem):
        return problem.rank == 1

    def view(self, role, array):
        return array[:, :, None]
