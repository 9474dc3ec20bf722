"use strict";
{
  const { get, minus, fill, whole, player } = Page;
  const { span, outputSize, transposedSize, taps, at, correlate, transpose } = Convolution;
  const numbers = (rows, columns, value) =>
    Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => value(i, j)));
  const steps = player(show);
  let state = null;

  function settings() {
    const transposed = get("direction").value === "transposed";
    const geometry = {
      stride: whole("stride"), padding: whole("padding"), dilation: whole("dilation"),
      outputPadding: transposed ? whole("output-padding") : 0,
    };
    get("output-padding").disabled = !transposed;
    const x = numbers(whole("rows"), whole("columns"), (i, j) => (3 * i + 2 * j + 1) % 7);
    const w = numbers(whole("kernel-rows"), whole("kernel-columns"), (r, s) => ((2 * r + 3 * s) % 5) - 1);
    const size = transposed ? transposedSize : outputSize;
    const rows = size(x.length, w.length, geometry), columns = size(x[0].length, w[0].length, geometry);
    const reach = Math.max(geometry.stride, geometry.dilation);
    state = null;
    if (rows < 1 || columns < 1) return complain("The kernel, spread by its dilation, does not fit: make the input or the padding larger.");
    if (geometry.outputPadding >= reach) return complain(`The output padding must be less than ${reach}, the larger of stride and dilation.`);
    state = { transposed, geometry, x, w, rows, columns };
    const axis = (n, k, out) => transposed
      ? `(${n} − 1)·${geometry.stride} + ${span(k, geometry.dilation)} − 2·${geometry.padding} + ${geometry.outputPadding} = ${out}`
      : `⌊(${n} + 2·${geometry.padding} − ${span(k, geometry.dilation)}) / ${geometry.stride}⌋ + 1 = ${out}`;
    get("sizes").textContent = `Output rows: ${axis(x.length, w.length, rows)}; columns: ${axis(x[0].length, w[0].length, columns)}.`;
    steps.size(transposed ? x.length * x[0].length : rows * columns);
  }

  function complain(text) {
    get("sizes").textContent = text;
    get("says").textContent = "";
    for (const id of ["input", "kernel", "output"]) fill(id, []);
  }

  /** `matrix` with the padding around it, as [cells, classes]. */
  function framed(matrix, before, rows, columns, kind) {
    return [
      numbers(rows, columns, (i, j) => at(matrix, i - before, j - before)),
      (i, j) => (i < before || j < before || i >= before + matrix.length || j >= before + matrix[0].length ? "padding " : "")
        + kind(i - before, j - before),
    ];
  }

  function show(position) {
    if (state === null) return;
    const { transposed, geometry, x, w } = state;
    const across = transposed ? x[0].length : state.columns;
    const p = Math.floor(position / across), q = position % across;
    const met = new Set(taps([w.length, w[0].length], p, q, geometry).map(({ i, j }) => `${i},${j}`));
    const here = (i, j) => (i === p && j === q ? "answer" : "");
    const inside = (i, j) => (met.has(`${i},${j}`) ? "window" : "");
    const around = geometry.padding;
    fill("kernel", w, () => "window");
    if (transposed) {
      const y = transpose(x, w, geometry, position + 1);
      fill("input", x, here);
      fill("output", ...framed(y, around, y.length + 2 * around, y[0].length + 2 * around, inside));
      get("says").textContent = `Input row ${p}, column ${q} is ${x[p][q]}: the kernel times ${x[p][q]} is added to the marked window.`;
    } else {
      const y = correlate(x, w, geometry);
      fill("input", ...framed(x, around, x.length + 2 * around, x[0].length + 2 * around, inside));
      fill("output", y, (i, j) => here(i, j) || (i * across + j > position ? "later" : ""));
      get("says").textContent = `Output row ${p}, column ${q}: the marked window times the kernel adds up to ${minus(y[p][q])}.`;
    }
  }

  for (const field of document.querySelectorAll("select, input[type=number]")) field.addEventListener("input", settings);
  settings();
}
