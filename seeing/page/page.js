'use strict';
// Reads what plots.py wrote beside each picture. A cursor follows the pointer,
// a finger, or the arrow keys; the values of the nearest points stand beside.
for (const figure of document.querySelectorAll('figure.curves')) {
  const told = JSON.parse(figure.querySelector('.points').textContent);
  const drawing = figure.querySelector('svg');
  const cursor = figure.querySelector('.cursor');
  const tip = figure.querySelector('.tip');
  const [low, high, first, last] = told.x;
  const all = [...new Set(told.lines.flatMap((line) => line.x))];
  all.sort((a, b) => a - b);
  let shown = null;

  function nearest(xs, x) {
    let a = 0;
    let b = xs.length - 1;
    while (b - a > 1) {
      const middle = (a + b) >> 1;
      if (xs[middle] <= x) a = middle; else b = middle;
    }
    return x - xs[a] <= xs[b] - x ? a : b;
  }

  function number(value) {
    if (told.percent) return (100 * value).toFixed(2) + '%';
    if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(2);
    return value.toLocaleString('en', {maximumSignificantDigits: 5});
  }

  function show(x) {
    shown = x;
    const place = first + (x - low) / (high - low) * (last - first);
    cursor.setAttribute('x1', place);
    cursor.setAttribute('x2', place);
    cursor.setAttribute('visibility', 'visible');
    tip.replaceChildren();
    const head = document.createElement('b');
    head.textContent = `${told.name} ${x.toLocaleString('en')}`;
    if (told.pass) head.textContent += `, pass ${(x / told.pass).toFixed(2)}`;
    tip.append(head);
    for (const line of told.lines) {
      const i = nearest(line.x, x);
      const row = document.createElement('span');
      const mark = document.createElement('i');
      mark.className = `c${line.colour}`;
      const at = line.x[i] === x ? '' : ` (${line.x[i].toLocaleString('en')})`;
      row.append(mark, `${line.name} ${number(line.y[i])}${at}`);
      tip.append(row);
    }
    tip.hidden = false;
    const share = place / drawing.viewBox.baseVal.width;
    tip.style.left = share > 0.5 ? 'auto' : `${100 * share + 2}%`;
    tip.style.right = share > 0.5 ? `${100 - 100 * share + 2}%` : 'auto';
  }

  function hide() {
    shown = null;
    tip.hidden = true;
    cursor.setAttribute('visibility', 'hidden');
  }

  function follow(event) {
    const box = drawing.getBoundingClientRect();
    const width = drawing.viewBox.baseVal.width;
    const place = (event.clientX - box.left) / box.width * width;
    const x = low + (place - first) / (last - first) * (high - low);
    show(all[nearest(all, x)]);
  }

  drawing.addEventListener('pointermove', follow);
  drawing.addEventListener('pointerdown', follow);
  drawing.addEventListener('pointerleave', hide);
  drawing.addEventListener('blur', hide);
  drawing.addEventListener('keydown', (event) => {
    const way = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (event.key === 'Escape') hide();
    if (!way) return;
    event.preventDefault();
    const at = shown === null ? all.length - 1 : nearest(all, shown) + way;
    show(all[Math.min(Math.max(at, 0), all.length - 1)]);
  });
}

// Only where a page may write to the clipboard: not from every file.
for (const button of document.querySelectorAll('button.copy')) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener('click', async () => {
    const text = button.parentElement.querySelector('code').textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = 'copied';
    } catch {
      button.textContent = 'not allowed';
    }
  });
}
