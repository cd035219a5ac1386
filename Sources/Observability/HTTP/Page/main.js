// What comes from the server, and when: the status as a stream, the rest when it is time for it.

const page = { token: null, status: null, course: null, stride: 1, charts: {}, isOver: false };

async function fetchFrom(path, options = {}) {
  const headers = page.token ? { Authorization: `Bearer ${page.token}` } : {};
  const answer = await fetch(path, { headers, cache: 'no-cache', ...options });
  if (answer.status === 401) { askForToken(); throw new Error('token'); }
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}
const json = async path => (await fetchFrom(path)).json();

// The token comes from the address's fragment, which browsers do not send, or from the form. It is
// kept for this tab only.
function takeToken() {
  const match = /[#&]token=([^&]+)/.exec(location.hash);
  if (match) {
    history.replaceState(null, '', location.pathname + location.search);
    sessionStorage.setItem('token', decodeURIComponent(match[1]));
  }
  page.token = sessionStorage.getItem('token');
}

function askForToken() {
  byId('token-error').textContent = page.token ? 'That is not it.' : '';
  sessionStorage.removeItem('token');
  page.token = null;
  setState('token wanted', 'warning');
  if (byId('token-form').hidden) {
    byId('token-form').hidden = false;
    byId('token').focus();
  }
}

function setState(text, tone) {
  const badge = byId('state');
  if (badge.textContent !== text) badge.textContent = text;
  badge.className = `badge ${tone}`;
}

const tones = { gathering: 'warning', running: 'good', evaluating: 'good', finishing: 'good', finished: 'good', failed: 'bad' };

function showStatus(status) {
  // Another run at the same address: nothing of the old one holds.
  if (page.status && page.status.run !== status.run) Object.assign(page, { course: null, isComplete: false, filtersAt: 0, shownStep: undefined });
  page.status = status;
  page.isOver = status.state === 'finished' || status.state === 'failed';
  byId('name').textContent = status.name;
  document.title = status.totalSteps > 0 ? `${Math.floor(status.step / status.totalSteps * 100)} % ${status.name} – Crosscut` : `${status.name} – Crosscut`;
  setState(status.state, tones[status.state] ?? '');
  byId('link').textContent = `run ${status.run}`;
  const part = status.totalSteps > 0 ? status.step / status.totalSteps * 100 : 0;
  byId('bar').setAttribute('aria-valuenow', part.toFixed(0));
  byId('bar').firstElementChild.style.width = `${part}%`;
  byId('progress-text').textContent = status.totalSteps > 0
    ? `step ${format.count(status.step)} of ${format.count(status.totalSteps)}${status.etaSeconds !== undefined && !page.isOver ? `, ${format.duration(status.etaSeconds)} left` : ''}` : '';
  const message = byId('message');
  message.hidden = !status.message;
  message.className = `message${status.state === 'failed' ? ' bad' : ''}`;
  if (message.textContent !== status.message) message.textContent = status.message;
  drawTiles(status);
  cluster.draw(status);
  drawSteps(status);
  drawWaits(status);
  byId('footer').textContent = `Running for ${format.duration(status.elapsedSeconds)}${status.earlierSeconds ? `, after ${format.duration(status.earlierSeconds)} before it was resumed` : ''}.`;
}

function drawTiles(status) {
  const tiles = [
    ['training loss', format.fixed(number(status.loss), 4)], ['training accuracy', format.percent(number(status.accuracy))],
    ['test accuracy', format.percent(number(status.testAccuracy)), status.testStep !== undefined ? `step ${format.count(status.testStep)}` : ''],
    ['images a second', format.significant(number(status.imagesPerSecond))],
    ['learning rate', format.significant(number(status.learningRate))],
    ['epoch', `${format.fixed(status.epoch, 2)}`, status.totalEpochs > 0 ? `of ${format.significant(status.totalEpochs)}` : ''],
    ['nodes', String(status.nodes.filter(node => node.state !== 'gone').length), `of ${status.workersWanted + status.fcNodesWanted + (status.serverShardsWanted ?? 0)}`],
  ];
  byId('tiles').replaceChildren(...tiles.map(([name, value, small]) => element('div', {},
    element('dt', { text: name }), element('dd', {}, value, ...small ? [' ', element('small', { text: small })] : []))));
}

// MARK: The course of the run

/** Takes in what is new; everything anew when the server has joined points, or went back. */
async function updateCourse() {
  const known = page.course?.training.step;
  const since = known?.length ? known[known.length - 1] : 0;
  let course = await json(`api/v1/metrics/history?since=${since}`);
  if (since > 0 && (course.stride !== page.stride || page.status.step < since)) {
    course = await json('api/v1/metrics/history');
    page.course = null;
  }
  page.stride = course.stride;
  if (!page.course) page.course = course;
  else {
    for (const key of Object.keys(course.training)) page.course.training[key].push(...course.training[key]);
    page.course.evaluation = course.evaluation;
  }
  drawCurves();
}

function drawCurves() {
  if (!page.course) return;
  const { training, evaluation } = page.course, axis = byId('x-axis').value;
  for (const chart of Object.values(page.charts)) {
    chart.isTime = axis !== 'step';
    chart.smoothing = Number(byId('smoothing').value) / 100;
  }
  page.charts.loss.logarithmic = byId('log-loss').checked;
  const series = (from, key) => ({ x: from[axis], y: from[key].map(number) });
  page.charts.loss.set([series(training, 'loss'), series(evaluation, 'loss')]);
  page.charts.accuracy.set([series(training, 'accuracy'), series(evaluation, 'accuracy')]);
  page.charts.rate.set([series(training, 'learningRate')]);
  page.charts.speed.set([series(training, 'imagesPerSecond')]);
}

function makeCharts() {
  const parent = byId('charts');
  const training = { name: 'training', color: 'blue', smooth: true }, test = { name: 'test', color: 'orange', dots: true };
  const percent = value => `${Number((value * 100).toFixed(1))} %`;
  page.charts = {
    loss: new Chart(parent, { title: 'Loss', unit: value => format.fixed(value, 4), fromZero: true, series: [training, test] }),
    accuracy: new Chart(parent, { title: 'Accuracy', unit: format.percent, tick: percent, series: [training, test] }),
    rate: new Chart(parent, { title: 'Learning rate', unit: format.significant, fromZero: true, series: [{ name: 'learning rate', color: 'violet' }] }),
    speed: new Chart(parent, { title: 'Images a second', unit: format.significant, fromZero: true, series: [{ name: 'images/s', color: 'aqua' }] }),
  };
}

// MARK: Network, cut, configuration

async function showPlan() {
  if (byId('plan-body').childElementCount > 0) return;
  const plan = await json('api/v1/plan');
  const table = (title, heads, rows) => [element('h3', { text: title }), element('div', { class: 'scroll' }, element('table', {},
    element('thead', {}, element('tr', {}, ...heads.map(([text, isNumber]) => element('th', { scope: 'col', class: isNumber ? 'number' : null, text })))),
    element('tbody', {}, ...rows.map(row => element('tr', {}, ...row.map((cell, index) => element('td', { class: heads[index][1] ? 'number' : null, text: cell })))))))];
  const shape = list => list.join(' × ');
  byId('plan-body').replaceChildren(
    ...table('Layers', [['layer'], ['part'], ['input'], ['output'], ['parameters', true], ['multiply-adds', true]],
      plan.layers.map(layer => [layer.name, layer.part, shape(layer.input), shape(layer.output), layer.parameters ? format.count(layer.parameters) : '', layer.multiplyAdds ? format.count(layer.multiplyAdds) : ''])),
    ...table(`The cut over ${plan.cut.fcNodes} FC nodes`, [['layer'], ['form'], ['slices (rows × columns of the weight)']],
      plan.cut.layers.map(layer => [layer.name, layer.form, layer.slices.map(slice => `fc ${slice.fcNode}: ${slice.rows.join('–')} × ${slice.columns.join('–')}`).join(', ')])),
    element('h3', { text: 'Configuration' }), element('pre', { tabindex: '0', 'aria-label': 'Configuration', text: JSON.stringify(plan.configuration, null, 2) }));
}

// MARK: Time

/** Server-sent events by fetch: EventSource cannot show a token. */
async function stream() {
  const answer = await fetchFrom('api/v1/events');
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const end = text.lastIndexOf('\n\n');
    if (end < 0) continue;
    // Only the newest counts.
    const data = text.slice(0, end).split('\n').filter(line => line.startsWith('data: ')).pop();
    text = text.slice(end + 2);
    if (data) showStatus(JSON.parse(data.slice(6)));
  }
}

async function follow() {
  for (;;) {
    try {
      await stream();
    } catch (error) {
      if (error.message === 'token') return;
    }
    if (page.isOver) {
      byId('footer').textContent = 'The run is over; this is its last state.';
      return;
    }
    setState(page.status ? 'no connection' : 'connecting', 'warning');
    await new Promise(done => setTimeout(done, 2000));
  }
}

async function refresh() {
  if (document.hidden || !page.status || (page.isOver && page.isComplete)) return;
  page.isComplete = page.isOver;
  try {
    await updateCourse();
    events.set(await json('api/v1/log'));
    const test = page.course.evaluation.step;
    if (test.length && page.shownStep !== test[test.length - 1]) {
      drawPredictions(await json('api/v1/predictions'));
      page.shownStep = test[test.length - 1];
    }
    if (!page.filtersAt || Date.now() - page.filtersAt > 5000) {
      page.filtersAt = Date.now();
      drawFilters(await json('api/v1/filters'));
    }
  } catch { /* The stream says that the connection is gone. */ }
}

function start() {
  follow();
  clearInterval(page.timer);
  page.timer = setInterval(refresh, 1500);
  setTimeout(refresh, 300);
}

takeToken();
makeCharts();
drawLegend();
byId('token-form').addEventListener('submit', event => {
  event.preventDefault();
  page.token = byId('token').value.trim();
  sessionStorage.setItem('token', page.token);
  byId('token').value = '';
  byId('token-form').hidden = true;
  start();
});
byId('zoom-out').addEventListener('click', () => zoom(null, null));
byId('x-axis').addEventListener('change', () => { zoom(null, null); drawCurves(); });
byId('smoothing').addEventListener('input', drawCurves);
byId('log-loss').addEventListener('change', drawCurves);
byId('event-kind').addEventListener('change', () => events.draw());
byId('plan').addEventListener('toggle', () => showPlan().catch(() => {}));
document.addEventListener('visibilitychange', refresh);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawCurves);
start();
