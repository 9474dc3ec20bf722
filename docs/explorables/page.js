"use strict";
/* What the pages share: tables of numbers, fields, and a position that can be played. */
const Page = (() => {
  const get = (id) => document.getElementById(id);
  const minus = (value) => String(Math.round(value * 1e6) / 1e6).replace("-", "−");

  /** Fill table `id` with a matrix; `kind(i, j)` gives a cell's classes. Returns its cells as rows. */
  function fill(id, matrix, kind = () => "") {
    const body = document.createElement("tbody");
    const cells = matrix.map((row, i) => {
      const line = body.insertRow();
      return row.map((value, j) => {
        const cell = line.insertCell();
        cell.className = kind(i, j);
        cell.textContent = cell.classList.contains("later") ? "" : minus(value);
        return cell;
      });
    });
    const table = get(id);
    table.tBodies[0]?.remove();
    table.append(body);
    return cells;
  }

  /** Fill table `id` with fields for a matrix; `changed` is called after each change. */
  function fields(id, matrix, name, changed) {
    const body = document.createElement("tbody");
    const inputs = matrix.map((row, i) => {
      const line = body.insertRow();
      return row.map((value, j) => {
        const input = document.createElement("input");
        Object.assign(input, { type: "number", step: "any", value });
        input.setAttribute("aria-label", `${name}, row ${i}, column ${j}`);
        input.addEventListener("input", changed);
        line.insertCell().append(input);
        return input;
      });
    });
    const table = get(id);
    table.tBodies[0]?.remove();
    table.append(body);
    return inputs;
  }

  const values = (inputs) => inputs.map((row) => row.map((input) => Number(input.value) || 0));

  /** A whole number from a field, kept between its min and max. */
  function whole(id) {
    const field = get(id), value = Math.round(Number(field.value));
    return Math.min(Math.max(Number.isFinite(value) ? value : 1, Number(field.min)), Number(field.max));
  }

  /** The position: a slider, buttons for back, play and next. `show(position)` draws it. */
  function player(show) {
    const slider = get("position"), play = get("play");
    let timer = null;
    function go(position) {
      slider.value = position;
      show(Number(slider.value));
    }
    function stop() {
      clearInterval(timer);
      timer = null;
      play.textContent = "Play";
      get("says").setAttribute("aria-live", "polite");
    }
    slider.addEventListener("input", () => go(slider.value));
    get("back").addEventListener("click", () => { stop(); go(Number(slider.value) - 1); });
    get("next").addEventListener("click", () => { stop(); go(Number(slider.value) + 1); });
    play.addEventListener("click", () => {
      if (timer !== null) return stop();
      play.textContent = "Pause";
      get("says").setAttribute("aria-live", "off"); // else every step would be read out
      timer = setInterval(() => go(Number(slider.value) < Number(slider.max) ? Number(slider.value) + 1 : 0), 700);
    });
    return { go, stop, size(count) { slider.max = Math.max(count - 1, 0); go(Math.min(slider.value, count - 1)); } };
  }

  return { get, minus, fill, fields, values, whole, player };
})();
