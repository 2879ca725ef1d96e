/* Run in the page by page-checks.ts. */

/**
 * Text stands out from what is behind it by 4.5 : 1 (1.4.3); edges of fields, and the ring around what has the focus, by
 * 3 : 1 (1.4.11).
 */
export function lowContrasts() {
  const wrong = [];
  const check = (what, element, color, background, least) => {
    const found = ratio(read(color), background);
    if (!(found >= least)) wrong.push(`${what} of <${element.localName}> ${element.textContent}: ${found.toFixed(2)}`);
  };
  for (const element of document.body.querySelectorAll('*:not([type=hidden], [hidden])')) {
    const style = getComputedStyle(element);
    const isField = element.localName === 'input';
    const hasText = [...element.childNodes].some(({ nodeType, data }) => nodeType === Node.TEXT_NODE && data.trim());
    if (hasText || isField) check('text', element, style.color, behind(element), 4.5);
    if (isField) check('edge', element, style.borderTopColor, behind(element.parentElement), 3);
    if (element === document.activeElement)
      check('ring', element, style.outlineColor, behind(element.parentElement), 3);
  }
  return wrong;
}

function behind(element) {
  const color = read(getComputedStyle(element).backgroundColor);
  // The root is opaque, or else the browser's own colour is behind it.
  return color[3] === 0 && element.parentElement ? behind(element.parentElement) : color;
}

function read(color) {
  const [red, green, blue, alpha = 1] = color.match(/[\d.]+/g).map(Number);
  return [red, green, blue, alpha];
}

function ratio(one, other) {
  const [darker, lighter] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(color) {
  const [red, green, blue] = color.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Every field has a label and every button a name, ids are unique, and the page has a title, a language and one heading. */
export function structureFaults() {
  const wrong = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  for (const field of all('input:not([type=hidden], [hidden])')) {
    if (![...field.labels].some((label) => label.textContent.trim())) wrong.push(`no label: ${field.name}`);
    if (field.autocomplete === '') wrong.push(`no autocomplete: ${field.name}`);
  }
  for (const control of all('button, a')) {
    const name = control.getAttribute('aria-label') ?? control.textContent;
    if (!name.trim()) wrong.push(`no name: ${control.outerHTML}`);
    // Whoever speaks to their machine says what they see (2.5.3).
    if (!name.includes(control.textContent.trim())) wrong.push(`another name: ${control.outerHTML}`);
  }
  const ids = all('[id]').map(({ id }) => id);
  wrong.push(...ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => `twice: ${id}`));
  if (all('h1').length !== 1 || all('main').length !== 1) wrong.push('not one h1 in one main');
  if (!document.title || !document.documentElement.lang) wrong.push('no title or language');
  if (all('[autofocus]').length > 1) wrong.push('two that want the focus');
  if (document.documentElement.scrollWidth > innerWidth) wrong.push('wider than the window');
  return wrong;
}

/** What has the focus, and whether it shows. */
export function focus() {
  const element = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  return {
    name: element.getAttribute('name') ?? element.getAttribute('role') ?? element.textContent,
    isField: element.localName === 'input',
    isRinged: outlineStyle === 'solid' && Number.parseFloat(outlineWidth) >= 2,
  };
}
