"use strict";
// Looks figures up in a table that Python computed, one row a combination of the sliders' steps, and draws them. No figure is
// computed here.
(() => {
  const live = JSON.parse(document.getElementById("live").textContent);
  const series = Object.fromEntries(live.series.map((each) => [each.key, each]));
  const sizes = live.axes.map((axis) => axis.labels.length);
  const sliders = live.axes.map((_, axis) => byId(`slider-${axis}`));
  const now = [...live.at];
  let active = 0; // the slider that charts run along
  let speaking = 0;

  const HEIGHT = 190, LEFT = 52, RIGHT = 12, TOP = 10, BOTTOM = 40;

  function byId(id) {
    return document.getElementById(id);
  }

  // Points are numbered with the first slider slowest.
  const point = (steps) => steps.reduce((sum, step, axis) => sum * sizes[axis] + step, 0);
  const line = (steps) => [...Array(sizes[active]).keys()].map((step) => point(steps.map((s, a) => (a === active ? step : s))));

  const text = (value, digits) =>
    value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

  function show() {
    const here = point(now);
    live.axes.forEach((axis, a) => {
      const label = axis.labels[now[a]];
      byId(`threshold-${a}`).textContent = label;
      sliders[a].value = now[a];
      sliders[a].setAttribute("aria-valuetext", label === "never" ? "no frame stops" : `${label} ${axis.unit}`);
    });
    for (const each of live.series) byId(`live-${each.key}`).textContent = text(each.values[here], each.digits);
    for (const part of byId("split").children) part.style.flexGrow = series[`stops_${part.dataset.exit}`].values[here];
    document.querySelectorAll("svg.chart").forEach(draw);
    clearTimeout(speaking);
    speaking = setTimeout(() => {
      byId("spoken").textContent = ["accuracy", "exit_rate", "throughput", "energy_uj"]
        .filter((key) => series[key])
        .map((key) => `${series[key].label} ${text(series[key].values[here], series[key].digits)} ${series[key].unit}`)
        .join(", ");
    }, 500);
  }

  // Ends and marks of an axis: steps of 1, 2 or 5 times a power of ten around all values.
  function scale(values, marks, least) {
    let low = Math.min(...values), high = Math.max(...values);
    if (low === high) [low, high] = [low - Math.abs(low) * 0.05 - 0.5, high + Math.abs(high) * 0.05 + 0.5];
    if (least !== undefined) low = least;
    else if (low >= 0 && low < high / 2) low = 0;
    const rough = (high - low) / marks, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * (1 - 1e-9));
    const first = Math.floor(low / step + 1e-9), last = Math.ceil(high / step - 1e-9);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const ticks = [...Array(last - first + 1).keys()].map((n) => (first + n) * step);
    return { low: first * step, high: last * step, ticks, label: (value) => text(value, digits) };
  }

  const extent = (each) => [Math.min(...each.values, ...each.low), Math.max(...each.values, ...each.high)];
  for (const each of live.series) each.extent = extent(each);

  function add(parent, name, attributes, content) {
    const element = document.createElementNS(byId("charts").querySelector("svg").namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (content !== undefined) element.textContent = content;
    parent.append(element);
    return element;
  }

  // Thresholds with as few digits as tell them apart.
  function short(labels) {
    for (const digits of [2, 3, 4, 5]) {
      const texts = labels.map((label) => (isNaN(label) ? label : String(Number(Number(label).toPrecision(digits)))));
      if (digits === 5 || new Set(texts).size === new Set(labels).size) return texts;
    }
  }

  function draw(svg) {
    const width = Math.max(260, svg.clientWidth || 340), each = series[svg.dataset.series], over = series[svg.dataset.over];
    const right = width - RIGHT, bottom = HEIGHT - BOTTOM;
    const ys = scale(each.key === "accuracy" ? [...each.extent, live.last] : each.extent, 4);
    const y = (value) => bottom - ((Math.min(Math.max(value, ys.low), ys.high) - ys.low) / (ys.high - ys.low)) * (bottom - TOP);
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    svg.replaceChildren();
    for (const tick of ys.ticks) {
      add(svg, "line", { class: "grid", x1: LEFT, x2: right, y1: y(tick), y2: y(tick) });
      add(svg, "text", { class: "tick", x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, ys.label(tick));
    }
    const parts = over ? overRate(svg, each, over, y, right, bottom) : overSteps(svg, each, y, right, bottom);
    if (each.key === "accuracy") add(svg, "line", { class: "final", x1: LEFT, x2: right, y1: y(live.last), y2: y(live.last) });
    add(svg, "path", { class: "curve", d: parts.curve });
    const own = parts.at(point(live.at), live.at[active]), here = parts.at(point(now), now[active]);
    if (!over) add(svg, "line", { class: "cursor", x1: here, x2: here, y1: TOP, y2: bottom });
    add(svg, "circle", { class: "own", cx: own, cy: y(each.values[point(live.at)]), r: 5 });
    add(svg, "circle", { class: "here", cx: here, cy: y(each.values[point(now)]), r: 4.5 });
  }

  // Along a slider, a figure is what it is until the next threshold.
  function overSteps(svg, each, y, right, bottom) {
    const points = line(now), most = Math.max(1, points.length - 1), x = (step) => LEFT + (step / most) * (right - LEFT);
    const stairs = (values) => points.map((p, step) => (step ? `H${x(step).toFixed(1)}V${y(values[p]).toFixed(1)}` : `M${x(0)} ${y(values[p]).toFixed(1)}`)).join("");
    if (each.low.length) {
      const back = [...points.keys()].reverse().map((step, n) => `${n ? "H" + x(step).toFixed(1) : "L" + x(step).toFixed(1) + " " + y(each.low[points[step]]).toFixed(1)}V${y(each.low[points[step]]).toFixed(1)}`);
      add(svg, "path", { class: "floor", d: `${stairs(each.high)}${back.join("")}Z` });
    }
    const { exit, unit, labels } = live.axes[active];
    add(svg, "text", { class: "title", x: (LEFT + right) / 2, y: HEIGHT - 6 }, `threshold of ${exit}, ${unit}`);
    const steps = [0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * most)), shown = short(steps.map((step) => labels[step]));
    steps.forEach((step, n) => {
      const anchor = n === 0 ? "start" : n === steps.length - 1 ? "end" : "middle";
      add(svg, "text", { class: "tick", x: x(step), y: bottom + 17, "text-anchor": anchor }, shown[n]);
    });
    svg.onpointerdown = svg.onpointermove = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const box = svg.getBoundingClientRect(), share = ((event.clientX - box.left) / box.width * svg.viewBox.baseVal.width - LEFT) / (right - LEFT);
      now[active] = Math.round(Math.min(1, Math.max(0, share)) * most);
      show();
    };
    return { curve: stairs(each.values), at: (_, step) => x(step) };
  }

  function overRate(svg, each, over, y, right, bottom) {
    const own = over.values[point(live.at)];
    const least = Math.max(0, Math.min(90, 10 * Math.floor((2 * own - 100) / 10)));
    const xs = scale([least, 100], 5, least), points = line(now).filter((p) => over.values[p] >= least);
    const x = (value) => LEFT + (Math.max(0, value - xs.low) / (xs.high - xs.low)) * (right - LEFT);
    for (const tick of xs.ticks) {
      const anchor = tick === xs.high ? "end" : "middle";
      add(svg, "text", { class: "tick", x: x(tick), y: bottom + 17, "text-anchor": anchor }, xs.label(tick));
    }
    add(svg, "text", { class: "title", x: (LEFT + right) / 2, y: HEIGHT - 6 }, "frames that stop early, %");
    const through = (value) => points.map((p, n) => `${n ? "L" : "M"}${x(over.values[p]).toFixed(1)} ${y(value(p)).toFixed(1)}`).join("");
    const floor = points.map((p) => p).reverse().map((p) => `L${x(over.values[p]).toFixed(1)} ${y(live.last).toFixed(1)}`).join("");
    if (points.length) add(svg, "path", { class: "floor", d: `${through((p) => live.last - series.promise.values[p])}${floor}Z` });
    return { curve: through((p) => each.values[p]), at: (p) => x(over.values[p]) };
  }

  sliders.forEach((slider, axis) => {
    slider.addEventListener("input", () => {
      active = axis;
      now[axis] = Number(slider.value);
      show();
    });
    slider.addEventListener("focus", () => {
      active = axis;
      show();
    });
  });
  byId("reset").addEventListener("click", () => {
    live.at.forEach((step, axis) => (now[axis] = step));
    show();
  });
  byId("panel").addEventListener("submit", (event) => event.preventDefault());
  document.querySelectorAll("details.more").forEach((details) => (details.open = false));
  addEventListener("beforeprint", () => document.querySelectorAll("details.more").forEach((details) => (details.open = true)));
  let waiting = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(show);
  });
  show();
})();
