// The first layer's filters as a grid of images. Three channels are colours; each filter is
// stretched over its own range, so that faint ones are seen too. Towers stand side by side.

function drawFilters(filters) {
  const [count, channels, height, width] = filters.shape;
  const bytes = Uint8Array.from(atob(filters.values), letter => letter.charCodeAt(0));
  const values = new Float32Array(bytes.buffer);
  const isColor = channels === 3;
  // Other depths show a filter's channels side by side in grey.
  const tiles = isColor ? 1 : Math.min(channels, 8);
  const cell = { w: width * tiles + 1, h: height + 1 };
  const columns = Math.max(1, Math.min(count, Math.round(Math.sqrt(count * cell.h / cell.w * 2))));
  const rows = Math.ceil(count / columns);
  const image = new ImageData(columns * cell.w + 1, rows * cell.h + 1);
  const size = channels * height * width;
  for (let filter = 0; filter < count; filter += 1) {
    const part = values.subarray(filter * size, (filter + 1) * size);
    let low = Infinity, high = -Infinity;
    for (const value of part) { if (value < low) low = value; if (value > high) high = value; }
    const level = value => Math.round((value - low) / (high - low || 1) * 255);
    const left = (filter % columns) * cell.w + 1, top = Math.floor(filter / columns) * cell.h + 1;
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width * tiles; x += 1) {
        const at = channel => level(part[(channel * height + y) * width + x % width]);
        const gray = isColor ? 0 : at(Math.floor(x / width));
        const pixel = ((top + y) * image.width + left + x) * 4;
        image.data.set(isColor ? [at(0), at(1), at(2), 255] : [gray, gray, gray, 255], pixel);
      }
    }
  }
  const canvas = element('canvas', { role: 'img', 'aria-label': `${count} filters of ${filters.layer}, ${channels} by ${height} by ${width}, after ${filters.step} steps` });
  Object.assign(canvas, { width: image.width, height: image.height });
  canvas.getContext('2d').putImageData(image, 0, 0);
  canvas.style.width = `${Math.min(560, image.width * Math.max(2, Math.round(560 / image.width)))}px`;
  byId('filters').replaceChildren(canvas);
  byId('filters-text').textContent = `${filters.layer}: ${count} of ${channels} × ${height} × ${width}, after step ${format.count(filters.step)}`;
}
