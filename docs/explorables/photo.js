"use strict";
{
  const { get, fields, values } = Page;
  const LARGEST = 480;
  /* name: [kernel, divisor, offset]; 128 makes zero grey where answers have two signs. */
  const CLASSIC = {
    "edges, left to right (Sobel)": [[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], 1, 128],
    "edges, top to bottom (Sobel)": [[[-1, -2, -1], [0, 0, 0], [1, 2, 1]], 1, 128],
    "Laplacian": [[[0, 1, 0], [1, -4, 1], [0, 1, 0]], 1, 128],
    "sharpen": [[[0, -1, 0], [-1, 5, -1], [0, -1, 0]], 1, 0],
    "blur (Gaussian)": [[[1, 2, 1], [2, 4, 2], [1, 2, 1]], 16, 0],
    "mean": [[[1, 1, 1], [1, 1, 1], [1, 1, 1]], 9, 0],
    "emboss": [[[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], 1, 0],
    "identity": [[[0, 0, 0], [0, 1, 0], [0, 0, 0]], 1, 0],
  };
  const source = get("source"), result = get("result");
  const kernel = fields("kernel", CLASSIC.identity[0], "kernel", filter);
  let photograph = drawn();

  /** A scene to begin with, so that the page needs no file. */
  function drawn() {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: 360, height: 270 });
    const pen = canvas.getContext("2d");
    const sky = pen.createLinearGradient(0, 0, 0, 180);
    sky.addColorStop(0, "#3f78c0");
    sky.addColorStop(1, "#dbe8f4");
    pen.fillStyle = sky;
    pen.fillRect(0, 0, 360, 270);
    const shapes = [["#f6d743", () => pen.arc(290, 60, 32, 0, 7)], ["#5b8c3a", () => pen.ellipse(90, 270, 240, 90, 0, 0, 7)],
      ["#3e6b2a", () => pen.ellipse(330, 280, 200, 80, 0, 0, 7)], ["#b5482f", () => pen.rect(120, 130, 90, 80)],
      ["#7a2f1f", () => { pen.moveTo(105, 132); pen.lineTo(165, 85); pen.lineTo(225, 132); }],
      ["#f4f1e4", () => pen.rect(135, 148, 22, 22)], ["#f4f1e4", () => pen.rect(173, 148, 22, 22)], ["#3c2415", () => pen.rect(152, 180, 24, 30)]];
    for (const [colour, path] of shapes) {
      pen.fillStyle = colour;
      pen.beginPath();
      path();
      pen.fill();
    }
    pen.strokeStyle = "#f4f1e4";
    for (let x = 6; x < 360; x += 12) pen.strokeRect(x, 222, 5, 34);
    return canvas;
  }

  function show() {
    const scale = Math.min(1, LARGEST / Math.max(photograph.width, photograph.height));
    for (const canvas of [source, result]) {
      canvas.width = Math.max(1, Math.round(photograph.width * scale));
      canvas.height = Math.max(1, Math.round(photograph.height * scale));
    }
    const pen = source.getContext("2d", { willReadFrequently: true });
    pen.fillStyle = "white"; // under what is transparent
    pen.fillRect(0, 0, source.width, source.height);
    pen.drawImage(photograph, 0, 0, source.width, source.height);
    if (get("grey").checked) {
      const image = pen.getImageData(0, 0, source.width, source.height);
      for (let i = 0; i < image.data.length; i += 4)
        image.data.fill(0.299 * image.data[i] + 0.587 * image.data[i + 1] + 0.114 * image.data[i + 2], i, i + 3);
      pen.putImageData(image, 0, 0);
    }
    filter();
  }

  function filter() {
    const { width, height } = source;
    const image = source.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, width, height);
    const divisor = Number(get("divisor").value) || 1, offset = Number(get("offset").value) || 0;
    image.data.set(Convolution.filterBytes(image.data, width, height, values(kernel), divisor, offset));
    result.getContext("2d").putImageData(image, 0, 0);
    get("says").textContent = `${width} by ${height} cells, the taps add up to ${values(kernel).flat().reduce((a, b) => a + b)}, divided by ${divisor}.`;
  }

  async function open(file) {
    if (!file) return;
    try {
      photograph = await createImageBitmap(file);
      show();
    } catch {
      get("says").textContent = `This browser can't read ${file.name} as a picture.`;
    }
  }

  function choose() {
    const [w, divisor, offset] = CLASSIC[get("preset").value];
    kernel.forEach((row, r) => row.forEach((field, s) => (field.value = w[r][s])));
    get("divisor").value = divisor;
    get("offset").value = offset;
    filter();
  }

  for (const name of Object.keys(CLASSIC)) get("preset").add(new Option(name));
  get("preset").addEventListener("change", choose);
  for (const id of ["divisor", "offset"]) get(id).addEventListener("input", filter);
  get("grey").addEventListener("change", show);
  get("file").addEventListener("change", () => open(get("file").files[0]));
  const drop = get("drop");
  document.body.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  document.body.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.body.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    open(event.dataTransfer.files[0]);
  });
  show();
  choose();
}
