// Where each node's step goes, who waits for whom, and what has happened.

const phases = {
  worker: [
    ['convForward', 'conv forward', 'blue'], ['convBackward', 'conv backward', 'violet'], ['data', 'loading data', 'yellow'],
    ['waitingForFC', 'waiting for FC nodes', 'wait-2'], ['waitingForParameters', 'waiting for parameters', 'wait'],
  ],
  fc: [['compute', 'computing', 'orange'], ['waitingForPeers', 'waiting for activations or peers', 'wait-2']],
  shard: [['compute', 'computing', 'orange'], ['waitingForPeers', 'waiting for gradients', 'wait-2']],
};
const roles = { worker: 'Workers', fc: 'FC nodes', shard: 'Server shards' };
const isOwn = key => !key.startsWith('waiting');

/** What each node does itself in a step, milliseconds, over some seconds: one busy moment makes no straggler. */
const ownWork = new Map();

function measureWork(nodes) {
  for (const node of nodes) {
    const now = phases[node.role].filter(([key]) => isOwn(key)).reduce((sum, [key]) => sum + node.stepMilliseconds[key], 0);
    const before = ownWork.get(node.node);
    ownWork.set(node.node, before > 0 ? before * 0.95 + now * 0.05 : now);
  }
}

/** The node that is much slower than the others of its role in what it does itself. */
function straggler(nodes) {
  const work = nodes.map(node => ownWork.get(node.node));
  if (nodes.length < 2) return null;
  const slowest = work.indexOf(Math.max(...work));
  const others = work.filter((_, index) => index !== slowest).sort((a, b) => a - b);
  const usual = others[Math.floor((others.length - 1) / 2)];
  const excess = usual > 0 ? work[slowest] / usual - 1 : 0;
  return excess > 0.25 && work[slowest] - usual > 2 ? { node: nodes[slowest], excess } : null;
}

function drawSteps(status) {
  const living = status.nodes.filter(node => node.state !== 'gone' && phases[node.role]);
  measureWork(living);
  const totals = living.map(node => phases[node.role].reduce((sum, [key]) => sum + node.stepMilliseconds[key], 0));
  const longest = Math.max(...totals, 1e-9);
  const rows = [], slow = [];
  for (const role of Object.keys(roles)) {
    const nodes = living.filter(node => node.role === role);
    if (nodes.length === 0) continue;
    const late = straggler(nodes);
    if (late) slow.push(`${nodeName(late.node)} is slow: its own work takes ${Math.round(late.excess * 100)} % longer than the others'`);
    rows.push(element('div', { class: 'group', text: roles[role] }));
    for (const node of nodes) rows.push(stepRow(node, longest, late?.node === node));
  }
  byId('steps').replaceChildren(...rows.length ? rows : [element('p', { class: 'quiet', text: 'Nobody has done a step yet.' })]);
  const text = slow.join('; ');
  if (byId('straggler').textContent !== text) byId('straggler').textContent = text;
}

function stepRow(node, longest, isSlow) {
  const total = phases[node.role].reduce((sum, [key]) => sum + node.stepMilliseconds[key], 0);
  const words = [];
  const stack = element('div', { class: 'stack', role: 'img' });
  for (const [key, name, hue] of phases[node.role]) {
    const milliseconds = node.stepMilliseconds[key];
    if (milliseconds <= 0) continue;
    words.push(`${name} ${milliseconds.toFixed(1)} ms`);
    const part = element('div', { '--c': `var(--${hue})`, title: words[words.length - 1] });
    part.style.width = `${milliseconds / longest * 100}%`;
    stack.append(part);
  }
  stack.setAttribute('aria-label', `${nodeName(node)}${isSlow ? ', slow' : ''}: ${words.join(', ') || 'no step yet'}`);
  return element('div', { class: `step${isSlow ? ' slow' : ''}` },
    element('span', { class: 'name', text: nodeName(node) }), stack,
    element('span', { class: 'total', text: `${total.toFixed(1)} ms` }));
}

function drawLegend() {
  byId('legend').replaceChildren(...[...phases.worker, phases.fc[0]].map(([, name, hue]) =>
    element('span', { text: name, '--c': `var(--${hue})` })));
}

function drawWaits(status) {
  const waits = [['server', status.serverWaits], ...status.nodes.filter(n => n.state !== 'gone').map(n => [nodeName(n), n.waits])]
    .flatMap(([name, list]) => {
      // One line for all that somebody wants from several in the same words.
      const groups = new Map();
      for (const wait of list) {
        const owner = wait.kind === 'own' ? `its own ${wait.owner}` : wait.owner;
        const group = groups.get(wait.what);
        if (group) { group.owners.push(owner); group.milliseconds = Math.max(group.milliseconds, wait.milliseconds); }
        else groups.set(wait.what, { name, ...wait, owners: [owner] });
      }
      return [...groups.values()];
    })
    .sort((a, b) => b.milliseconds - a.milliseconds);
  const shown = waits.slice(0, 12).map(wait => element('li', { class: wait.milliseconds > 2000 && wait.kind !== 'own' ? 'cause' : null, text:
    `${wait.name} waits ${format.duration(wait.milliseconds / 1000)} for ${wait.owners.join(', ')}: ${wait.what}` }));
  if (waits.length > 12) shown.push(element('li', { class: 'quiet', text: `and ${waits.length - 12} more` }));
  byId('waits').replaceChildren(...shown.length ? shown : [element('li', { class: 'quiet', text: 'Nobody waits for anybody.' })]);
}

const events = {
  list: [],
  tones: { join: 'good', evaluation: 'good', checkpoint: 'good', gone: 'bad', stall: 'bad', recovery: 'warning' },

  set(list) {
    this.list = list;
    const kinds = [...new Set(list.map(event => event.kind ?? 'note'))].sort();
    const select = byId('event-kind');
    if ([...select.options].slice(1).map(o => o.value).join() !== kinds.join()) {
      const chosen = select.value;
      select.replaceChildren(element('option', { value: '', text: 'all' }), ...kinds.map(kind => element('option', { value: kind, text: kind })));
      select.value = kinds.includes(chosen) ? chosen : '';
    }
    this.draw();
  },

  draw() {
    const kind = byId('event-kind').value;
    const rows = this.list.filter(event => !kind || (event.kind ?? 'note') === kind).reverse().map(event => element('tr', {},
      element('td', { class: 'time', text: format.duration(event.secondsSinceStart) }),
      element('td', { class: `kind ${this.tones[event.kind] ?? ''}`, text: event.kind ?? 'note' }),
      element('td', { class: 'event', text: event.text })));
    byId('events').tBodies[0].replaceChildren(...rows.length ? rows : [element('tr', {}, element('td', { colspan: 3, class: 'quiet', text: 'Nothing yet.' }))]);
  },
};
