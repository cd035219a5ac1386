// Curves on a canvas, with zoom by mouse, touch and keyboard. All charts share one range of x.

const view = { from: null, to: null, listeners: [] };

function zoom(from, to) {
  view.from = from;
  view.to = to;
  byId('zoom-out').disabled = from === null;
  for (const listener of view.listeners) listener();
}

/** Nice numbers between two values, at most about `wanted` of them. */
function ticks(low, high, wanted) {
  const raw = (high - low) / Math.max(1, wanted);
  if (!(raw > 0) || !Number.isFinite(raw)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map(f => f * power).find(s => s >= raw);
  const out = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) {
    out.push(Math.abs(value) < step * 1e-9 ? 0 : value);
  }
  return out;
}

/** A moving average whose weight of the past is `weight`, and which begins without a past. */
function smoothed(values, weight) {
  let sum = 0, norm = 0;
  return values.map(value => {
    if (Number.isFinite(value)) { sum = sum * weight + value; norm = norm * weight + 1; }
    return norm > 0 ? sum / norm : NaN;
  });
}

class Chart {
  // options: title, unit (how to write a value), series: [{name, color, dots, smooth}], logarithmic
  constructor(parent, options) {
    this.options = options;
    this.data = options.series.map(() => ({ x: [], y: [] }));
    this.readout = element('span', { class: 'quiet' });
    const keys = element('span', { class: 'keys' }, ...options.series.map(series => element(
      'span', { class: `key${series.dots ? ' dots' : ''}`, text: series.name, '--c': `var(--${series.color})` })));
    this.canvas = element('canvas', { tabindex: '0', role: 'img', 'aria-label': options.title });
    parent.append(element('figure', {}, element(
      'figcaption', {}, element('strong', { text: options.title }), this.readout,
      ...(options.series.length > 1 ? [keys] : [])), this.canvas));
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    view.listeners.push(() => this.draw());
  }

  set(data) {
    this.data = data.map((series, index) => {
      const smooth = this.options.series[index].smooth && this.smoothing > 0;
      return { ...series, line: smooth ? smoothed(series.y, this.smoothing) : series.y };
    });
    this.draw();
    const words = this.options.series.map((series, index) => {
      const line = this.data[index].line;
      const last = line.length > 0 ? line[line.length - 1] : NaN;
      return `${series.name} ${this.options.unit(last)}`;
    });
    this.canvas.setAttribute('aria-label', `${this.options.title}: ${words.join(', ')}`);
  }

  range() {
    const all = this.data.flatMap(series => series.x.length > 0 ? [series.x[0], series.x[series.x.length - 1]] : []);
    const full = all.length > 0 ? [Math.min(...all), Math.max(...all)] : [0, 1];
    if (full[0] === full[1]) full[1] = full[0] + 1;
    return view.from === null ? full : [Math.max(view.from, full[0]), Math.max(Math.min(view.to, full[1]), full[0] + 1e-6)];
  }

  heights(from, to) {
    let low = Infinity, high = -Infinity;
    for (const series of this.data) {
      series.x.forEach((x, index) => {
        if (x < from || x > to) return;
        for (const y of [series.line[index], series.y[index]]) {
          if (!Number.isFinite(y) || (this.logarithmic && y <= 0)) continue;
          low = Math.min(low, y);
          high = Math.max(high, y);
        }
      });
    }
    if (low > high) return this.logarithmic ? [0.1, 1] : [0, 1];
    if (this.logarithmic) return [low * 0.9, high * 1.1];
    if (this.options.fromZero && low >= 0) low = 0;
    const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    return [this.options.fromZero && low === 0 ? 0 : low - room, high + room];
  }

  draw() {
    const box = this.canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    if (box.width < 10) return;
    const width = Math.round(box.width * ratio), height = Math.round(box.height * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const pen = this.canvas.getContext('2d');
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, box.width, box.height);
    const [from, to] = this.range(), [low, high] = this.heights(from, to);
    const area = { left: 50, right: box.width - 10, top: 8, bottom: box.height - 22 };
    const scale = this.logarithmic ? Math.log10 : value => value;
    this.toX = x => area.left + (x - from) / (to - from) * (area.right - area.left);
    this.fromX = pixel => from + (pixel - area.left) / (area.right - area.left) * (to - from);
    this.toY = y => area.bottom - (scale(y) - scale(low)) / (scale(high) - scale(low)) * (area.bottom - area.top);
    this.area = area;
    this.axes(pen, area, from, to, low, high);
    pen.save();
    pen.beginPath();
    pen.rect(area.left, area.top - 4, area.right - area.left + 4, area.bottom - area.top + 8);
    pen.clip();
    this.options.series.forEach((series, index) => this.curve(pen, series, this.data[index]));
    pen.restore();
    this.marks(pen, area, from, to);
  }

  axes(pen, area, from, to, low, high) {
    pen.font = '11px system-ui, sans-serif';
    pen.lineWidth = 1;
    pen.strokeStyle = color('grid');
    pen.fillStyle = color('quiet');
    pen.textAlign = 'right';
    pen.textBaseline = 'middle';
    const rows = this.logarithmic
      ? ticks(Math.log10(low), Math.log10(high), 4).map(power => 10 ** power) : ticks(low, high, 4);
    for (const value of rows) {
      const y = Math.round(this.toY(value)) + 0.5;
      pen.beginPath();
      pen.moveTo(area.left, y);
      pen.lineTo(area.right, y);
      pen.stroke();
      pen.fillText(this.options.tick ? this.options.tick(value) : format.significant(value), area.left - 6, y);
    }
    pen.textBaseline = 'top';
    pen.textAlign = 'center';
    for (const value of ticks(from, to, Math.max(2, Math.floor((area.right - area.left) / 90)))) {
      pen.fillText(this.isTime ? format.duration(value) : format.count(value), Math.min(this.toX(value), area.right - 14), area.bottom + 6);
    }
  }

  curve(pen, series, data) {
    pen.strokeStyle = pen.fillStyle = color(series.color);
    if (data.line !== data.y) {
      pen.globalAlpha = 0.22;
      this.path(pen, data.x, data.y, 1);
      pen.globalAlpha = 1;
    }
    this.path(pen, data.x, data.line ?? data.y, 2);
    if (!series.dots && data.x.length > 1) return;
    data.x.forEach((x, index) => {
      if (!Number.isFinite(data.y[index])) return;
      pen.beginPath();
      pen.arc(this.toX(x), this.toY(data.y[index]), 3.5, 0, 7);
      pen.fill();
    });
  }

  path(pen, xs, ys, width) {
    pen.lineWidth = width;
    pen.lineJoin = 'round';
    pen.beginPath();
    let isDown = false;
    xs.forEach((x, index) => {
      const y = ys[index];
      if (!Number.isFinite(y) || (this.logarithmic && y <= 0)) { isDown = false; return; }
      if (isDown) pen.lineTo(this.toX(x), this.toY(y)); else pen.moveTo(this.toX(x), this.toY(y));
      isDown = true;
    });
    pen.stroke();
  }

  /** The pointer's line with its values, and what is being dragged over. */
  marks(pen, area, from, to) {
    if (this.drag) {
      pen.fillStyle = color('blue');
      pen.globalAlpha = 0.18;
      pen.fillRect(Math.min(...this.drag), area.top, Math.abs(this.drag[1] - this.drag[0]), area.bottom - area.top);
      pen.globalAlpha = 1;
    }
    this.readout.textContent = '';
    if (this.pointer === undefined) return;
    const x = Math.min(Math.max(this.fromX(this.pointer), from), to);
    pen.strokeStyle = color('grey');
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(this.toX(x), area.top);
    pen.lineTo(this.toX(x), area.bottom);
    pen.stroke();
    const words = this.options.series.map((series, index) => {
      const data = this.data[index];
      if (data.x.length === 0) return null;
      let near = 0;
      data.x.forEach((value, place) => { if (Math.abs(value - x) < Math.abs(data.x[near] - x)) near = place; });
      return `${series.name} ${this.options.unit(data.line[near])}`;
    }).filter(Boolean);
    this.readout.textContent = `${this.isTime ? format.duration(x) : `step ${format.count(x)}`}: ${words.join(', ')}`;
  }

  listen() {
    const canvas = this.canvas;
    const place = event => Math.min(Math.max(event.offsetX, this.area?.left ?? 0), this.area?.right ?? 0);
    canvas.addEventListener('pointerdown', event => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      this.drag = [place(event), place(event)];
    });
    canvas.addEventListener('pointermove', event => {
      this.pointer = place(event);
      if (this.drag) this.drag[1] = this.pointer;
      this.draw();
    });
    canvas.addEventListener('pointerup', () => {
      const drag = this.drag;
      this.drag = undefined;
      if (drag && Math.abs(drag[1] - drag[0]) > 6) zoom(...drag.map(p => this.fromX(p)).sort((a, b) => a - b));
      else this.draw();
    });
    canvas.addEventListener('pointercancel', () => { this.drag = undefined; this.draw(); });
    canvas.addEventListener('pointerleave', () => { this.pointer = undefined; this.draw(); });
    canvas.addEventListener('dblclick', () => zoom(null, null));
    canvas.addEventListener('keydown', event => this.key(event));
    canvas.addEventListener('blur', () => { this.pointer = undefined; this.draw(); });
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const [from, to] = this.range(), width = to - from, middle = (from + to) / 2;
    const moves = {
      '+': () => zoom(middle - width / 4, middle + width / 4),
      '=': () => zoom(middle - width / 4, middle + width / 4),
      '-': () => zoom(middle - width, middle + width),
      'ArrowLeft': () => zoom(from - width / 4, to - width / 4),
      'ArrowRight': () => zoom(from + width / 4, to + width / 4),
      'Escape': () => zoom(null, null),
      '0': () => zoom(null, null),
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    moves[event.key]();
    if (view.from === null) return;
    // Zoomed out as far as there is something: all of it, also what is yet to come.
    const keep = [view.from, view.to];
    [view.from, view.to] = [null, null];
    const full = this.range();
    if (keep[0] <= full[0] && keep[1] >= full[1]) zoom(null, null);
    else zoom(...(keep[0] < full[0] ? [full[0], full[0] + width] : keep[1] > full[1] ? [full[1] - width, full[1]] : keep));
  }
}
