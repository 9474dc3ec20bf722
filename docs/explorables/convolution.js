"use strict";
/* The arithmetic that all explorables share. An image or a kernel is an array of rows.

   y[p][q] = sum over r, s of w[r][s] * x[p * stride + r * dilation - padding][...]   (correlate)
   x[i][j] += w[r][s] * y[p][q] for the same cells                                    (transpose)
   What lies outside x is zero. */
const Convolution = (() => {
  const span = (taps, dilation) => dilation * (taps - 1) + 1;

  /** How many outputs an axis has; less than 1 where the kernel does not fit. */
  const outputSize = (size, taps, { stride = 1, padding = 0, dilation = 1 } = {}) =>
    Math.floor((size + 2 * padding - span(taps, dilation)) / stride) + 1;

  /** How many cells an axis of the transposed convolution has. */
  const transposedSize = (size, taps, { stride = 1, padding = 0, dilation = 1, outputPadding = 0 } = {}) =>
    (size - 1) * stride - 2 * padding + span(taps, dilation) + outputPadding;

  const zeros = (rows, columns) => Array.from({ length: rows }, () => new Array(columns).fill(0));

  const shape = (a) => [a.length, a[0].length];

  /** The taps of a kernel of R x S at output (p, q), each with the cell of x that it meets. */
  function taps([R, S], p, q, { stride = 1, padding = 0, dilation = 1 } = {}) {
    const found = [];
    for (let r = 0; r < R; r++)
      for (let s = 0; s < S; s++)
        found.push({ r, s, i: p * stride + r * dilation - padding, j: q * stride + s * dilation - padding });
    return found;
  }

  const at = (x, i, j) => (i >= 0 && j >= 0 && i < x.length && j < x[0].length ? x[i][j] : 0);

  function correlate(x, w, geometry) {
    const [R, S] = shape(w), [H, W] = shape(x);
    const y = zeros(outputSize(H, R, geometry), outputSize(W, S, geometry));
    for (let p = 0; p < y.length; p++)
      for (let q = 0; q < y[0].length; q++)
        for (const { r, s, i, j } of taps([R, S], p, q, geometry)) y[p][q] += w[r][s] * at(x, i, j);
    return y;
  }

  /** The first `steps` cells of y, row after row, each adding its multiple of the kernel. */
  function transpose(y, w, geometry, steps = Infinity) {
    const [R, S] = shape(w), [P, Q] = shape(y);
    const x = zeros(transposedSize(P, R, geometry), transposedSize(Q, S, geometry));
    for (let p = 0; p < P; p++)
      for (let q = 0; q < Q && p * Q + q < steps; q++)
        for (const { r, s, i, j } of taps([R, S], p, q, geometry))
          if (i >= 0 && j >= 0 && i < x.length && j < x[0].length) x[i][j] += w[r][s] * y[p][q];
    return x;
  }

  /** im2col: a row for each tap, a column for each output. */
  function unfold(x, [R, S], geometry) {
    const [H, W] = shape(x), P = outputSize(H, R, geometry), Q = outputSize(W, S, geometry);
    const columns = zeros(R * S, P * Q);
    for (let p = 0; p < P; p++)
      for (let q = 0; q < Q; q++)
        taps([R, S], p, q, geometry).forEach(({ i, j }, tap) => (columns[tap][p * Q + q] = at(x, i, j)));
    return columns;
  }

  const turned = (w) => w.map((row) => [...row].reverse()).reverse();

  /** One plane of bytes under a 3 x 3 kernel, (sum / divisor + offset); the border repeats itself. */
  function filterBytes(source, width, height, w, divisor, offset) {
    const result = new Uint8ClampedArray(source.length); // rounds to the nearest, ties to even
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let c = 0; c < 4; c++) {
          if (c === 3) { result[4 * (y * width + x) + 3] = 255; continue; }
          let sum = 0;
          for (let r = 0; r < 3; r++) {
            const i = Math.min(Math.max(y + r - 1, 0), height - 1);
            for (let s = 0; s < 3; s++) {
              const j = Math.min(Math.max(x + s - 1, 0), width - 1);
              sum += w[r][s] * source[4 * (i * width + j) + c];
            }
          }
          result[4 * (y * width + x) + c] = sum / divisor + offset;
        }
    return result;
  }

  return { span, outputSize, transposedSize, taps, at, correlate, transpose, unfold, turned, filterBytes };
})();
