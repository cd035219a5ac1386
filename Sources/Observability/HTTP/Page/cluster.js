// The cluster as a picture: server, workers, FC slices and further server shards, and what flows between them.

/** What a worker's loader could give, and what the worker takes. */
function loaderOf(node) {
  if (node.role !== 'worker' || !(node.loaderImagesPerSecond > 0)) return '';
  return `, loader ${format.count(Math.round(node.loaderImagesPerSecond))} images/s, takes ${format.count(Math.round(node.takenImagesPerSecond))}`;
}

const cluster = {
  rates: new Map(),
  last: null,

  /** Bytes a second of every node, from two statuses. */
  measure(status) {
    const seconds = this.last ? status.elapsedSeconds - this.last.elapsedSeconds : 0;
    if (this.last && seconds < 0.9) return;
    const before = new Map((this.last?.nodes ?? []).map(node => [node.node, node]));
    this.rates = new Map(status.nodes.filter(node => before.has(node.node) && seconds > 0).map(node => {
      const rate = key => Math.max(0, node[key] - before.get(node.node)[key]) / seconds;
      return [node.node, { sent: rate('bytesSent'), received: rate('bytesReceived') }];
    }));
    this.last = status;
  },

  states: { active: 'good', joined: 'warning', silent: 'warning', gone: 'bad' },

  draw(status) {
    this.measure(status);
    const workers = status.nodes.filter(node => node.role === 'worker');
    const slices = status.nodes.filter(node => node.role === 'fc');
    const shards = status.nodes.filter(node => node.role === 'shard');
    const most = Math.max(workers.length, slices.length + shards.length, status.workersWanted, status.fcNodesWanted + (status.serverShardsWanted ?? 0), 1);
    // Side by side where there is room; else the server above the others.
    const isNarrow = byId('cluster').clientWidth < 640;
    const row = most > 8 ? 64 : 74, top = isNarrow ? 92 : 20, height = top + Math.max(120, most * row + 10);
    const center = (top + height) / 2;
    const place = (count, index) => center + (index - (count - 1) / 2) * row;
    const spot = isNarrow
      ? { width: 404, server: [109, 34], worker: 2, fc: 220, box: 174 }
      : { width: 980, server: [10, center], worker: 375, fc: 740, box: 210 };
    const picture = drawing('svg', { viewBox: `0 0 ${spot.width} ${height}`, role: 'img', 'aria-label': this.describe(status, workers, slices, shards) });
    const wires = drawing('g'), boxes = drawing('g');
    const column = (x, text) => boxes.append(Object.assign(drawing('text', { x, y: 14, class: 'soft', 'text-anchor': 'middle' }), { textContent: text }));
    if (!isNarrow) {
      column(105, 'parameter server');
      column(480, 'workers: conv replicas');
      column(845, `FC nodes: column slices${shards.length ? '; server shards' : ''}`);
    }
    const at = list => list.map((node, index) => ({ node, y: place(list.length, index) }));
    const left = at(workers), right = at([...slices, ...shards]);
    const isMoving = status.state === 'running' || status.state === 'evaluating';
    const wire = (d, rate, hue) => {
      const width = 1 + Math.min(4, Math.log2(1 + rate / 1e6));
      wires.append(drawing('path', { d, class: 'wire', 'stroke-width': 1.2 }));
      if (isMoving && rate > 0) wires.append(drawing('path', { d, class: 'wire flow', 'stroke-width': width.toFixed(1), style: `stroke: var(--${hue})` }));
    };
    const rateOf = node => { const rate = this.rates.get(node.node) ?? { sent: 0, received: 0 }; return rate.sent + rate.received; };
    for (const one of left) {
      if (one.node.state === 'gone') continue;
      wire(isNarrow ? `M150 62 C100 84 ${spot.worker + spot.box / 2} ${one.y - 44} ${spot.worker + spot.box / 2} ${one.y - 28}`
        : `M200 ${center} C290 ${center} 290 ${one.y} 375 ${one.y}`, rateOf(one.node) / 2, 'blue');
      for (const other of right) {
        if (other.node.state === 'gone') continue;
        const [from, to] = [spot.worker + spot.box, spot.fc], turn = (from + to) / 2;
        wire(`M${from} ${one.y} C${turn} ${one.y} ${turn} ${other.y} ${to} ${other.y}`, rateOf(one.node) / 2 / right.length, other.node.role === 'shard' ? 'blue' : 'orange');
      }
    }
    const edge = spot.fc + spot.box;
    right.slice(1, slices.length).forEach((one, index) => wire(`M${edge} ${right[index].y + 8} C${edge + 22} ${right[index].y + 8} ${edge + 22} ${one.y - 8} ${edge} ${one.y - 8}`, rateOf(one.node) / 4, 'orange'));
    boxes.append(this.box(...spot.server, 190, 'server', status.state, `turn ${format.count(status.turn)}, view ${status.view}`, '', this.serverState(status)));
    for (const { node, y } of left) boxes.append(this.node(spot.worker, y, node, spot.box));
    for (const { node, y } of right) boxes.append(this.node(spot.fc, y, node, spot.box));
    this.missing(boxes, spot.worker + spot.box / 2, status.workersWanted - workers.length, 'worker', center + workers.length * row / 2);
    const below = center + right.length * row / 2;
    this.missing(boxes, spot.fc + spot.box / 2, status.fcNodesWanted - slices.length, 'fc node', below);
    this.missing(boxes, spot.fc + spot.box / 2, (status.serverShardsWanted ?? 0) - shards.length, 'server shard', below + 16);
    picture.append(wires, boxes);
    byId('cluster').replaceChildren(picture);
    byId('view').textContent = status.view > 0 ? `view ${status.view}: ${workers.length} workers, ${slices.length} FC nodes${shards.length ? `, ${shards.length + 1} server shards` : ''}` : '';
  },

  serverState: status => status.state === 'failed' ? 'bad' : status.state === 'gathering' ? 'warning' : 'good',

  node(x, y, node, width) {
    const rate = this.rates.get(node.node);
    const flow = rate ? `↑ ${format.bytes(rate.sent)}/s  ↓ ${format.bytes(rate.received)}/s` : '';
    const what = node.state === 'active' ? node.phase : `heard ${format.duration(node.heartbeatAgeMilliseconds / 1000)} ago`;
    return this.box(x, y, width, nodeName(node), node.state, what, flow, this.states[node.state] ?? 'grey', `${node.host}, process ${node.processID}, ${format.bytes(node.residentBytes)}${loaderOf(node)}`);
  },

  box(x, y, width, name, word, first, second, state, title) {
    const text = (dx, dy, content, attributes = {}) => Object.assign(drawing('text', { x: x + dx, y: y + dy, ...attributes }), { textContent: content });
    const group = drawing('g', {}, drawing('rect', { class: 'box', x, y: y - 28, width, height: 56, rx: 7 }),
      drawing('circle', { cx: x + 14, cy: y - 14, r: 5, style: `fill: var(--${state})` }),
      text(25, -10, name, { 'font-weight': 600 }),
      text(width - 10, -10, word, { class: 'soft', 'text-anchor': 'end' }),
      text(10, 6, first), text(10, 21, second, { class: 'soft' }));
    if (title) group.append(Object.assign(drawing('title'), { textContent: `${name}: ${title}` }));
    return group;
  },

  missing(boxes, x, count, noun, y) {
    if (count <= 0) return;
    boxes.append(Object.assign(drawing('text', { x, y, class: 'soft', 'text-anchor': 'middle' }), { textContent: `waiting for ${count} more ${noun}${count === 1 ? '' : 's'}` }));
  },

  describe(status, workers, slices, shards) {
    const words = list => list.map(node => `${nodeName(node)} ${node.state}`).join(', ') || 'none';
    return `Cluster: server in view ${status.view}; workers: ${words(workers)}; FC nodes: ${words(slices)}${shards.length ? `; server shards: ${words(shards)}` : ''}`;
  },
};
