"use strict";
{
  const { get, minus, fill, fields, values, player } = Page;
  const IMAGE = [[1, 2, 3, 0, 1], [0, 1, 2, 3, 1], [1, 2, 1, 0, 0], [0, 0, 1, 2, 1], [1, 1, 0, 1, 0]];
  const KERNEL = [[1, 0, -1], [1, 0, -1], [1, 0, -1]];

  const redraw = () => steps.size(9);
  const image = fields("image", IMAGE, "image", redraw);
  const kernel = fields("kernel", KERNEL, "kernel", redraw);
  const steps = player(show);
  get("flip").addEventListener("change", redraw);

  function show(position) {
    const x = values(image), typed = values(kernel);
    const w = get("flip").checked ? Convolution.turned(typed) : typed;
    const y = Convolution.correlate(x, w);
    const p = Math.floor(position / 3), q = position % 3;
    const inside = (i, j) => i >= p && i < p + 3 && j >= q && j < q + 3;
    image.forEach((row, i) => row.forEach((field, j) => (field.parentElement.className = inside(i, j) ? "window" : "")));
    const products = w.map((row, r) => row.map((weight, s) => weight * x[p + r][q + s]));
    fill("products", products, () => "window");
    fill("output", y, (i, j) => (i === p && j === q ? "answer" : 3 * i + j > position ? "later" : ""));
    const sum = w.flatMap((row, r) => row.map((weight, s) => `${minus(x[p + r][q + s])}·${weight < 0 ? `(${minus(weight)})` : weight}`));
    get("says").textContent = `Output row ${p}, column ${q}: ${sum.join(" + ")} = ${minus(y[p][q])}`;
  }

  redraw();
}
