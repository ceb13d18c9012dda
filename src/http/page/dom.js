// Elements. Text goes in as text only: names of units come from the topics of a broker, where anybody may write.

export function byId(id) {
  return document.getElementById(id);
}

// An element with attributes and children; a child that is text becomes text.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Sets text only when it is another: what is not touched is not laid out and not read out again.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// A drawing of two curves, for eyes only: the numbers stand beside it.
export function sparkline(width, height) {
  const SVG = 'http://www.w3.org/2000/svg';
  const drawing = document.createElementNS(SVG, 'svg');
  drawing.setAttribute('viewBox', `0 0 ${width} ${height}`);
  drawing.setAttribute('preserveAspectRatio', 'none');
  drawing.setAttribute('class', 'spark');
  drawing.setAttribute('aria-hidden', 'true');
  const curves = ['measured', 'predicted'].map((name) => {
    const curve = document.createElementNS(SVG, 'polyline');
    curve.setAttribute('class', name);
    drawing.append(curve);
    return curve;
  });
  return { drawing, measured: curves[0], predicted: curves[1] };
}

// How to reach the page of a unit.
export function unitAddress(name) {
  return `#/units/${encodeURIComponent(name)}`;
}
