'use strict';

// Numbers as people read them, and short ways to make elements. Everything that comes from the
// server goes into the page as text, never as markup.

const byId = id => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === 'text') made.textContent = value;
    else if (key.startsWith('--')) made.style.setProperty(key, value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function drawing(name, attributes = {}, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// JSON has no infinities; the server writes them as words.
const number = value => value === null || value === undefined ? NaN : Number(value);

const format = {
  fixed(value, digits) {
    return Number.isFinite(value) ? value.toFixed(digits) : Number.isNaN(value) ? '–' : String(value);
  },
  significant(value) {
    if (!Number.isFinite(value)) return '–';
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-4 || size >= 1e7)) return value.toExponential(1);
    return String(Number(value.toPrecision(size >= 1000 ? 4 : 3)));
  },
  percent: value => Number.isFinite(value) ? `${(value * 100).toFixed(2)} %` : '–',
  count: value => Math.round(value).toLocaleString('en-US'),
  bytes(value) {
    const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
    let unit = 0;
    while (value >= 999.5 && unit < units.length - 1) { value /= 1000; unit += 1; }
    return `${unit === 0 || value >= 100 ? Math.round(value) : value.toPrecision(3)} ${units[unit]}`;
  },
  duration(seconds) {
    if (!Number.isFinite(seconds)) return '–';
    if (seconds < 10) return `${seconds.toFixed(1)} s`;
    const two = value => String(value).padStart(2, '0');
    const whole = Math.round(seconds), minutes = Math.floor(whole / 60), hours = Math.floor(minutes / 60);
    if (whole < 60) return `${whole} s`;
    if (hours < 1) return `${minutes} min ${two(whole % 60)} s`;
    return hours < 24 ? `${hours} h ${two(minutes % 60)} min` : `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
  },
};

const color = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const nodeName = node => `${node.role} ${node.rank}`;
