"use strict";
{
  const { get, minus, fill, whole, player } = Page;
  const numbers = (rows, columns, value) =>
    Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => value(i, j)));
  const steps = player((position) => { get("cell").value = -1; show(position, -1); });
  let state = null;

  function settings() {
    const geometry = { stride: whole("stride"), padding: whole("padding") };
    const W = whole("columns"), x = numbers(whole("rows"), W, (i, j) => i * W + j);
    const w = numbers(whole("kernel-rows"), whole("kernel-columns"), (r, s) => ((2 * r + 3 * s) % 5) - 1);
    const P = Convolution.outputSize(x.length, w.length, geometry), Q = Convolution.outputSize(W, w[0].length, geometry);
    state = null;
    if (P < 1 || Q < 1) {
      for (const id of ["image", "kernel", "output", "matrix"]) fill(id, []);
      get("says").textContent = "The kernel does not fit into the image: make the image or the padding larger.";
      return;
    }
    state = { geometry, x, w, Q, columns: Convolution.unfold(x, [w.length, w[0].length], geometry), y: Convolution.correlate(x, w, geometry) };
    get("cell").max = x.length * W - 1;
    get("cell").value = -1;
    steps.size(P * Q);
  }

  /** Mark window `position`, or where `cell` of the image went if it is not -1. */
  function show(position, cell) {
    if (state === null) return;
    const { geometry, x, w, Q, columns, y } = state;
    const W = x[0].length, p = Math.floor(position / Q), q = position % Q;
    const windows = y.flatMap((row, i) => row.map((_, j) => Convolution.taps([w.length, w[0].length], i, j, geometry)));
    const index = ({ i, j }) => (i >= 0 && j >= 0 && i < x.length && j < W ? i * W + j : -1);
    const met = new Set(windows[position].map(index));
    const byCell = cell >= 0;
    const image = fill("image", x, (i, j) => (byCell ? (i * W + j === cell ? "answer" : "") : met.has(i * W + j) ? "window" : ""));
    fill("kernel", w, () => (byCell ? "" : "window"));
    const output = fill("output", y, (i, j) => (byCell ? (windows[i * y[0].length + j].some((t) => index(t) === cell) ? "window" : "") : i === p && j === q ? "answer" : ""));
    const matrix = fill("matrix", columns, (tap, column) => {
      const from = index(windows[column][tap]);
      const outside = from < 0 ? "padding " : "";
      return outside + (byCell ? (from === cell ? "answer" : "") : column === position ? "window" : "");
    });
    matrix.forEach((row) => row.forEach((element, column) => element.addEventListener("pointerenter", () => choose(column))));
    output.flat().forEach((element, column) => element.addEventListener("pointerenter", () => choose(column)));
    image.flat().forEach((element, i) => element.addEventListener("pointerenter", () => { get("cell").value = i; pick(i); }));
    const copies = windows.flat().filter((t) => index(t) === cell).length;
    get("says").textContent = byCell
      ? `Cell row ${Math.floor(cell / W)}, column ${cell % W} stands ${copies} times in the matrix: once for each window that holds it.`
      : `Window ${position} is column ${position} of the matrix. The kernel's row times this column is ${minus(y[p][q])}.`;
  }

  let shown = "";
  function choose(column) { // redrawing under the pointer would call again
    if (shown !== `window ${column}`) { shown = `window ${column}`; steps.go(column); }
  }
  function pick(i) {
    if (shown !== `cell ${i}`) { shown = `cell ${i}`; show(Number(get("position").value), i); }
  }

  get("cell").addEventListener("input", () => { shown = ""; pick(Number(get("cell").value)); });
  for (const field of document.querySelectorAll("input[type=number]")) field.addEventListener("input", () => { shown = ""; settings(); });
  settings();
}
