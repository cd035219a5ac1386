// Some pictures of the evaluation set, and what the network takes them for.

function drawPredictions(shown) {
  const nameOf = index => shown.classNames?.[index] ?? `class ${index}`;
  const cards = shown.samples.map((sample, place) => {
    const best = sample.guesses[0], isRight = best?.class === sample.label;
    const bars = sample.guesses.map(guess => {
      const probability = number(guess.probability), part = Number.isFinite(probability) ? probability * 100 : 0;
      const bar = element('div', { class: `guess${guess.class === sample.label ? ' true' : ''}` },
        element('span', { class: 'word', text: nameOf(guess.class), title: nameOf(guess.class) }),
        element('span', { class: 'share', text: Number.isFinite(probability) ? `${part.toFixed(part >= 10 ? 0 : 1)} %` : '–' }));
      bar.style.setProperty('--part', `${part}%`);
      return bar;
    });
    const words = best ? `taken for ${nameOf(best.class)}, ${format.percent(number(best.probability))}` : 'no guess';
    return element('li', { class: `sample ${isRight ? 'right' : 'wrong'}` },
      picture(shown, sample, `Picture ${place + 1}: ${nameOf(sample.label)}, ${words}`),
      element('div', { class: 'guesses' }, element('div', { class: 'truth', text: `${isRight ? '✓' : '✗'} ${nameOf(sample.label)}` }), ...bars));
  });
  byId('predictions').replaceChildren(...cards);
  const right = shown.samples.filter(sample => sample.guesses[0]?.class === sample.label).length;
  byId('predictions-text').textContent = `${right} of the test set's first ${shown.samples.length} right after step ${format.count(shown.step)}`;
}

function picture(shown, sample, name) {
  const bytes = Uint8Array.from(atob(sample.pixels), letter => letter.charCodeAt(0));
  const image = new ImageData(shown.width, shown.height);
  for (let index = 0; index < shown.width * shown.height; index += 1) {
    const at = channel => bytes[index * shown.channels + Math.min(channel, shown.channels - 1)];
    image.data.set([at(0), at(1), at(2), 255], index * 4);
  }
  const canvas = element('canvas', { role: 'img', 'aria-label': name });
  Object.assign(canvas, { width: shown.width, height: shown.height });
  canvas.getContext('2d').putImageData(image, 0, 0);
  return canvas;
}
