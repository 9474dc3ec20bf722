"""The algorithms, a file each, and the parts that several of them share.

Algorithms are the names in :mod:`cyconv.planning.registry`; :mod:`cyconv.algorithms.base` tells
what each of them is. The other files are parts:

- of `direct`: ``threes`` and ``lanes``, for layers that read the image itself; ``last``, also of
  `implicit_gemm`, for channels that lie last;
- of `direct` and `winograd`: ``strips``, the input with its border; ``winograd_matrices``;
- of `fft`: ``tile_cuts`` and ``tile_pairs``, by the kernels' own transforms, and ``tiling``, by
  SciPy's; ``fft_floor``, ``spread`` and ``mending``, for outputs under its error floor;
- of integers: ``pairs`` and ``pairs_winograd``, which several algorithms call for 16-bit products;
- of gradients: ``decimation``, ``phases`` and ``interleaved``, for strides;
- of image filters, which no registry knows: ``chains`` and ``recall``.
"""
