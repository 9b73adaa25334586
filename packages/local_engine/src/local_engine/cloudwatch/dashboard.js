// Polls /_local/dashboard.json and draws it. Elements are reused, so that focus and scroll position survive a refresh.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const INTERVAL = 2000;
// Dashes distinguish series for people who cannot distinguish the colours.
const COLORS = ["#2f7ed8", "#d9730d", "#2a9d58", "#c2407a", "#8c6bd1", "#008f95", "#a37b00", "#6d7f8f"];
const DASHES = ["", "7 3", "2 3", "9 3 2 3"];
const ROW = 54;
const GAP = 10; // as in dashboard.css
const MARGIN = { top: 8, bottom: 20, left: 46, right: 12 };

const panels = new Map();
let paused = false;
let timer = null;
let layout = "";
let otherAlarms = null;

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function draw(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function formatNumber(value) {
  if (value === undefined || value === null) return "–";
  const size = Math.abs(value);
  for (const [limit, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (size >= limit) return `${trim(value / (unit === "k" ? 1e3 : limit))}${unit}`;
  }
  return trim(value);
}

function trim(value) {
  return String(Number(value.toPrecision(3)));
}

function newestValue(series) {
  return formatNumber(series.points.at(-1)?.[1]);
}

function formatTime(seconds, isExact) {
  const options = { hour: "2-digit", minute: "2-digit", hour12: false };
  if (isExact) options.second = "2-digit";
  return new Date(seconds * 1000).toLocaleTimeString([], options);
}

function styleOf(series, index) {
  const isColor = series.color !== null && CSS.supports("color", series.color);
  return {
    stroke: isColor ? series.color : COLORS[index % COLORS.length],
    "stroke-dasharray": DASHES[Math.floor(index / COLORS.length) % DASHES.length],
  };
}

// ---- alarms ----

// A resource of a nested application is named by its path, such as Operations/ServerErrors.
function readable(name) {
  return name.replaceAll("/", " › ");
}

function stateClass(item) {
  return { ALARM: "alarm", OK: "ok" }[item.state] || "unknown";
}

function isUnchecked(item) {
  return item.reason.startsWith("Unchecked");
}

function describeState(item) {
  const text = item.state === "INSUFFICIENT_DATA" ? (isUnchecked(item) ? "waiting" : "no data") : item.state;
  return make("span", { class: "state" }, text);
}

function describeSituation(alarms) {
  const on = alarms.filter((alarm) => alarm.state === "ALARM").length;
  const several = alarms.length === 1 ? "alarm" : `${alarms.length} alarms`;
  if (!on) return alarms.length === 1 ? "The alarm is quiet" : `All ${several} are quiet`;
  return alarms.length === 1 ? "The alarm is on" : `${on} of ${several} ${on === 1 ? "is" : "are"} on`;
}

function describeAlarm(alarm, opened) {
  const name = alarm.name === alarm.logicalId ? readable(alarm.name) : alarm.name;
  const isOn = alarm.state === "ALARM";
  const item = make("li", { class: stateClass(alarm) });
  // What makes an alarm quiet is no news.
  const reason = alarm.state === "OK" || isUnchecked(alarm) ? "" : alarm.reason;
  const details = [alarm.description, reason].filter(Boolean).map((text) => make("p", {}, text));
  if (!isOn) details.push(make("p", {}, alarm.rule));
  if (alarm.contributors.length) {
    details.push(make("ul", { class: "contributors", tabindex: "0", "aria-label": `Contributors to ${name}` }, ...alarm.contributors.map(
      (entry) => make("li", { class: stateClass(entry), title: entry.reason }, describeState(entry), entry.name),
    )));
  }
  if (isOn) {
    item.append(describeState(alarm), make("strong", {}, name), ...details);
  } else {
    const more = make("details", { "data-name": alarm.name }, make("summary", {}, describeState(alarm), name), ...details);
    more.open = opened.has(alarm.name);
    item.append(more);
  }
  return item;
}

class Alarms {
  constructor(place) {
    this.place = place;
    this.isOpen = matchMedia("(min-width: 761px)").matches;
  }

  update(alarms) {
    const text = JSON.stringify(alarms.map(({ datapoints, since, reason, ...shown }) => [shown, shown.state === "OK" || reason]));
    if (this.text === text) return;
    this.text = text;
    const opened = new Set([...this.place.querySelectorAll("li details[open]")].map((more) => more.dataset.name));
    if (this.quiet) this.isOpen = this.quiet.open;
    const [on, off] = [true, false].map((isOn) => alarms.filter((alarm) => (alarm.state === "ALARM") === isOn));
    this.quiet = make(
      "details", {},
      make("summary", {}, `${describeSituation(alarms)}.`),
      make("ul", { class: "alarms" }, ...off.map((alarm) => describeAlarm(alarm, opened))),
    );
    this.quiet.open = this.isOpen;
    this.place.replaceChildren(make("ul", { class: "alarms on" }, ...on.map((alarm) => describeAlarm(alarm, opened))), this.quiet);
    this.place.firstChild.hidden = !on.length;
  }
}

// ---- text: the subset of Markdown that dashboards use, built from elements, never from HTML ----

function inline(text) {
  const parts = [];
  const pattern = /\*\*([^*]+)\*\*|\*([^*]+)\*|`([^`]+)`|\[([^\]]+)\]\(([^)\s]+)\)/g;
  let place = 0;
  for (const match of text.matchAll(pattern)) {
    parts.push(text.slice(place, match.index));
    const [whole, strong, emphasis, code, label, target] = match;
    if (strong) parts.push(make("strong", {}, strong));
    else if (emphasis) parts.push(make("em", {}, emphasis));
    else if (code) parts.push(make("code", {}, code));
    else if (/^(https?:\/\/|[/#])/.test(target)) parts.push(make("a", { href: target, rel: "noreferrer" }, label));
    else parts.push(whole);
    place = match.index + whole.length;
  }
  parts.push(text.slice(place));
  return parts;
}

function markdown(text, level) {
  const blocks = [];
  const highest = Math.min(...[...text.matchAll(/^(#{1,6})\s/gm)].map((match) => match[1].length));
  let list = null;
  let table = null;
  for (const line of text.split("\n")) {
    const heading = line.match(/^(#{1,6})\s+(.*)/);
    const entry = line.match(/^\s*[-*]\s+(.*)/);
    const cells = line.match(/^\s*\|(.*)\|\s*$/);
    if (!entry) list = null;
    if (!cells) table = null;
    if (heading) {
      blocks.push(make(`h${Math.min(heading[1].length - highest + level, 6)}`, {}, ...inline(heading[2])));
    } else if (entry) {
      if (!list) blocks.push((list = make("ul")));
      list.append(make("li", {}, ...inline(entry[1])));
    } else if (cells) {
      if (/^[\s|:-]+$/.test(cells[1])) continue;
      const name = table ? "td" : "th";
      if (!table) blocks.push((table = make("table")));
      table.append(make("tr", {}, ...cells[1].split("|").map((cell) => make(name, {}, ...inline(cell.trim())))));
    } else if (line.trim()) {
      blocks.push(make("p", {}, ...inline(line)));
    }
  }
  return blocks;
}

// ---- graphs ----

function niceTicks(low, high, count) {
  const span = high - low || 1;
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw * 0.999);
  const ticks = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + step * 1e-9; tick += step) ticks.push(tick);
  return ticks;
}

function stack(series) {
  const totals = new Map();
  return series.map((entry) => ({
    ...entry,
    drawn: entry.points.map(([time, value]) => {
      totals.set(time, (totals.get(time) || 0) + value);
      return [time, totals.get(time)];
    }),
  }));
}

function extent(widget, series, axis) {
  const settings = (widget.yAxis || {})[axis] || {};
  const values = series.filter((entry) => entry.axis === axis).flatMap((entry) => entry.drawn.map((point) => point[1]));
  if (axis === "left") values.push(...widget.lines.map((line) => line.value));
  let low = settings.min ?? Math.min(0, ...values);
  let high = settings.max ?? Math.max(...values, low);
  if (!(high > low)) high = low + 1;
  if (settings.max === undefined) high += (high - low) * 0.05;
  return { low, high, label: settings.label };
}

// The line is interrupted at missing periods.
function segments(series) {
  const found = [];
  let last = null;
  for (const point of series.drawn) {
    if (last === null || point[0] - last > series.period * 1.5) found.push([]);
    found[found.length - 1].push(point);
    last = point[0];
  }
  return found;
}

class Chart {
  constructor(place) {
    this.svg = draw("svg", { role: "img" });
    this.box = make("div", { class: "chart", tabindex: "0", role: "group" });
    this.box.append(this.svg);
    this.readout = make("output", { class: "readout", "aria-live": "polite" });
    this.legend = make("ul", { class: "legend" });
    place.append(this.box, this.readout, this.legend);
    this.cursor = null;
    this.box.addEventListener("pointermove", (event) => this.point(event));
    this.box.addEventListener("pointerleave", () => this.move(null));
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("blur", () => this.move(null));
    new ResizeObserver(() => this.widget && this.render()).observe(this.box);
  }

  update(widget) {
    this.widget = widget;
    this.series = widget.stacked ? stack(widget.series) : widget.series.map((entry) => ({ ...entry, drawn: entry.points }));
    this.times = [...new Set(this.series.flatMap((entry) => entry.points.map((point) => point[0])))].sort((a, b) => a - b);
    this.box.setAttribute("aria-label", `Graph ${widget.title}`);
    const newest = this.series.map((entry) => `${entry.label} ${newestValue(entry)}`);
    this.svg.setAttribute("aria-label", `${widget.title || "Graph"}. ${newest.join(", ") || "No data yet"}`);
    this.fillLegend();
    this.render();
  }

  fillLegend() {
    this.legend.replaceChildren(...this.series.map((entry, index) => {
      const sample = draw("svg", { viewBox: "0 0 22 8", "aria-hidden": "true" });
      sample.append(draw("line", { x1: 0, x2: 22, y1: 4, y2: 4, "stroke-width": 3, ...styleOf(entry, index) }));
      const axis = entry.axis === "right" ? " (right axis)" : "";
      return make("li", {}, sample, make("span", {}, `${entry.label}${axis}: `, make("b", {}, newestValue(entry))));
    }));
  }

  render() {
    const { width, height } = this.box.getBoundingClientRect();
    if (width < 40 || height < 40) return;
    const hasRight = this.series.some((entry) => entry.axis === "right");
    const margin = { ...MARGIN, right: hasRight ? MARGIN.left : MARGIN.right };
    const { start, end } = this.widget;
    this.x = (time) => margin.left + ((time - start) / (end - start)) * (width - margin.left - margin.right);
    this.time = (x) => start + ((x - margin.left) / (width - margin.left - margin.right)) * (end - start);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const parts = [];
    const scales = {};
    for (const axis of hasRight ? ["left", "right"] : ["left"]) {
      const { low, high, label } = extent(this.widget, this.series, axis);
      const y = (value) => height - margin.bottom - ((value - low) / (high - low)) * (height - margin.top - margin.bottom);
      scales[axis] = y;
      for (const tick of niceTicks(low, high, Math.max(2, Math.floor(height / 45)))) {
        const place = axis === "left"
          ? { x: margin.left - 6, "text-anchor": "end" } : { x: width - margin.right + 6, "text-anchor": "start" };
        if (axis === "left") {
          parts.push(draw("line", { class: "rule", x1: margin.left, x2: width - margin.right, y1: y(tick), y2: y(tick) }));
        }
        parts.push(draw("text", { ...place, y: y(tick) + 4 }, formatNumber(tick)));
      }
      if (label) {
        const place = axis === "left" ? { x: margin.left + 4 } : { x: width - margin.right - 4, "text-anchor": "end" };
        parts.push(draw("text", { ...place, y: margin.top + 8 }, label));
      }
    }
    const steps = Math.max(2, Math.floor(width / 110));
    const isShort = end - start < steps * 60;
    for (let index = 0; index <= steps; index += 1) {
      const time = start + ((end - start) * index) / steps;
      const anchor = index === 0 ? "start" : index === steps ? "end" : "middle";
      parts.push(draw("text", { x: this.x(time), y: height - 5, "text-anchor": anchor }, formatTime(time, isShort)));
    }
    for (const line of this.widget.lines) {
      const y = scales.left(line.value);
      parts.push(draw("line", { class: "limit", x1: margin.left, x2: width - margin.right, y1: y, y2: y }));
      parts.push(draw("text", { class: "limit-label", x: width - margin.right - 4, y: y - 4, "text-anchor": "end" }, line.label));
    }
    this.series.forEach((entry, index) => parts.push(...this.drawSeries(entry, index, scales[entry.axis])));
    if (!this.times.length) {
      parts.push(draw("text", { class: "empty", x: width / 2, y: height / 2, "text-anchor": "middle" }, "No data yet"));
    }
    this.line = draw("line", { class: "cursor", y1: margin.top, y2: height - margin.bottom, visibility: "hidden" });
    parts.push(this.line);
    this.svg.replaceChildren(...parts);
    this.move(this.cursor);
  }

  drawSeries(entry, index, y) {
    const style = styleOf(entry, index);
    return segments(entry).flatMap((points) => {
      const places = points.map(([time, value]) => `${this.x(time).toFixed(1)},${y(value).toFixed(1)}`);
      if (places.length === 1) {
        const [x, cy] = places[0].split(",");
        return [draw("circle", { cx: x, cy, r: 2.5, fill: style.stroke })];
      }
      return [draw("polyline", { class: "series", points: places.join(" "), ...style })];
    });
  }

  point(event) {
    const wanted = this.time(event.clientX - this.box.getBoundingClientRect().left);
    const nearest = (best, time) => (best === null || Math.abs(time - wanted) < Math.abs(best - wanted) ? time : best);
    this.move(this.times.reduce(nearest, null));
  }

  key(event) {
    const last = this.times.length - 1;
    const index = this.times.indexOf(this.cursor);
    const wanted = {
      ArrowLeft: index < 0 ? last : Math.max(0, index - 1),
      ArrowRight: index < 0 ? last : Math.min(last, index + 1),
      Home: 0,
      End: last,
    }[event.key];
    if (event.key === "Escape") this.move(null);
    else if (wanted === undefined || last < 0) return;
    else this.move(this.times[wanted]);
    event.preventDefault();
  }

  move(time) {
    this.cursor = this.times.includes(time) ? time : null;
    if (!this.line) return;
    if (this.cursor === null) {
      this.line.setAttribute("visibility", "hidden");
      if (this.readout.value) this.readout.value = "";
      return;
    }
    this.line.setAttribute("visibility", "visible");
    this.line.setAttribute("x1", this.x(time));
    this.line.setAttribute("x2", this.x(time));
    const values = this.series.flatMap((entry) => {
      const found = entry.points.find((point) => point[0] === time);
      return found ? [`${entry.label} ${formatNumber(found[1])}`] : [];
    });
    const text = `${formatTime(time, true)}  ${values.join(", ")}`;
    if (this.readout.value !== text) this.readout.value = text;
  }
}

class Values {
  constructor(place) {
    this.list = make("dl", { class: "values" });
    place.append(this.list);
  }

  update(widget) {
    this.list.replaceChildren(...widget.series.map((entry) => {
      return make("div", {}, make("dt", {}, entry.label), make("dd", {}, newestValue(entry)));
    }));
  }
}

// ---- the page ----

class Panel {
  constructor(widget, level) {
    this.level = level;
    this.element = make("article", { class: "widget panel" });
    this.title = make(`h${level}`);
    this.problems = make("ul", { class: "problems" });
    this.body = make("div", { class: widget.type === "text" ? "markdown" : "body" });
    this.notes = make("ul", { class: "problems notes" });
    this.more = make("details", { class: "more" }, make("summary", {}, "Notes"), this.notes);
    this.element.append(this.title, this.problems);
    if (widget.type === "metric" && widget.view) {
      this.content = widget.view === "timeSeries" ? new Chart(this.element) : new Values(this.element);
    } else {
      this.element.append(this.body);
    }
    if (widget.type === "alarm") this.list = new Alarms(this.body);
    this.element.append(this.more);
    const { x, y, width = 6, height = 6 } = widget;
    this.element.style.gridColumn = x === undefined ? `span ${width}` : `${x + 1} / span ${width}`;
    this.element.style.gridRow = y === undefined ? `span ${height}` : `${y + 1} / span ${height}`;
    if (this.content) this.element.style.minHeight = `${height * ROW - GAP}px`;
  }

  update(widget, alarms) {
    this.title.textContent = widget.title;
    this.title.hidden = !widget.title;
    this.element.setAttribute("aria-label", widget.title || widget.type);
    for (const [list, place, sentences] of [[this.problems, this.problems, widget.problems], [this.notes, this.more, widget.notes]]) {
      place.hidden = !sentences.length;
      if (list.textContent !== sentences.join("")) list.replaceChildren(...sentences.map((sentence) => make("li", {}, sentence)));
    }
    if (this.content) this.content.update(widget);
    else if (this.list) this.list.update(alarms.filter((alarm) => (widget.alarms || []).includes(alarm.name)));
    else if (widget.markdown !== undefined && this.text !== widget.markdown) {
      this.text = widget.markdown;
      this.body.replaceChildren(...markdown(widget.markdown, this.level + (widget.title ? 1 : 0)));
    }
  }
}

function lay(data) {
  const shape = JSON.stringify(data.dashboards.map((dashboard) => [
    dashboard.name,
    dashboard.widgets.map((widget) => [widget.type, widget.view, widget.x, widget.y, widget.width, widget.height]),
  ]));
  if (shape === layout) return;
  layout = shape;
  panels.clear();
  // The title of the page is the name of its one dashboard.
  const isOne = data.dashboards.length === 1;
  document.querySelector("h1").textContent = isOne ? `Dashboard ${readable(data.dashboards[0].name)}` : data.dashboards.length ? "Dashboards" : "Dashboard";
  document.querySelector("#dashboards").replaceChildren(...data.dashboards.map((dashboard) => {
    const grid = make("div", { class: "grid" });
    dashboard.widgets.forEach((widget, index) => {
      const panel = new Panel(widget, isOne ? 2 : 3);
      panels.set(`${dashboard.name} ${index}`, panel);
      grid.append(panel.element);
    });
    const problem = make("p", { class: "problem" }, dashboard.problem || "");
    return make("section", {}, ...(isOne ? [] : [make("h2", {}, readable(dashboard.name))]), problem, grid);
  }));
}

function show(data) {
  lay(data);
  document.querySelector("#empty").hidden = data.dashboards.length > 0;
  // Each alarm is on the page once: in a widget, or here.
  const placed = new Set(data.dashboards.flatMap((dashboard) => dashboard.widgets.flatMap((widget) => widget.alarms || [])));
  const others = data.alarms.filter((alarm) => !placed.has(alarm.name));
  document.querySelector("#alarms").hidden = !others.length;
  document.querySelector("#alarms-title").textContent = placed.size ? "Other alarms" : "Alarms";
  otherAlarms.update(others);
  for (const dashboard of data.dashboards) {
    dashboard.widgets.forEach((widget, index) => panels.get(`${dashboard.name} ${index}`).update(widget, data.alarms));
  }
  const off = data.alarms.filter((alarm) => alarm.state === "ALARM").length;
  const names = data.dashboards.map((dashboard) => readable(dashboard.name));
  document.title = `${off ? `(${off}) ` : ""}${[...names, "Dashboard"].join(" – ")}`;
  document.querySelector("#minute").textContent = data.minuteSeconds === 60
    ? "" : `Time-lapse: a minute lasts ${data.minuteSeconds} s.`;
}

function setStatus(text, isLost) {
  const status = document.querySelector("#status");
  status.classList.toggle("lost", isLost);
  if (status.textContent !== text) status.textContent = text;
}

async function refresh() {
  clearTimeout(timer);
  if (!document.hidden && !paused) {
    try {
      const minutes = document.querySelector("#range").value;
      const answer = await fetch(`/_local/dashboard.json?minutes=${minutes}`, { cache: "no-store" });
      show(await answer.json());
      setStatus("Live", false);
    } catch {
      setStatus("The local engine does not answer. Retrying …", true);
    }
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, INTERVAL);
}

otherAlarms = new Alarms(document.querySelector("#alarms > div"));
document.querySelector("#range").addEventListener("change", refresh);
document.querySelector("#pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
  if (paused) setStatus("Paused", false);
  refresh();
});
document.addEventListener("visibilitychange", refresh);
refresh();
