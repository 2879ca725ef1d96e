/** The few HTML pages of the service: plain, without JavaScript unless a page says so, every value escaped. */

/** HTML that is already safe. Only the `html` tag and `raw` make it. */
export interface Html {
  readonly html: string;
}

/** Template tag that escapes every value; arrays are joined, `Html` is taken as it is. */
export function html(parts: TemplateStringsArray, ...values: unknown[]): Html {
  return { html: parts.reduce((all, part, i) => all + render(values[i - 1]) + part) };
}

/** Trusts text of our own. Never for anything a caller or a mail supplied. */
export function raw(text: string): Html {
  return { html: text };
}

function render(value: unknown): string {
  if (value === undefined || value === null || value === false) return '';
  if (Array.isArray(value)) return value.map(render).join('');
  if (typeof value === 'object' && 'html' in value) return String(value.html);
  return escapeHtml(String(value));
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

/** A whole document around `body`. @param script path of a script of ours, for pages that need one */
export function page({
  title,
  body,
  script,
  language = 'en',
}: {
  title: string;
  body: Html;
  script?: string;
  language?: string;
}): string {
  return html`<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="stylesheet" href="/postern.css">
<link rel="icon" href="data:,">
${script && html`<script type="module" src="${script}"></script>`}
</head>
<body>
${body}
</body>
</html>
`.html;
}

/** Served at `/postern.css`. */
export const stylesheet = `
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d5dae0; --edge: #7b8591; --paper: #fff; --wash: #f5f7f9; --accent: #2456c4; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebef; --soft: #9aa4af; --line: #363d46; --edge: #76808b; --paper: #14171b; --wash: #1d2127; --accent: #8ab0ff; --bad: #ff8a80; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--wash); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
main { max-width: 44rem; margin: 3rem auto; padding: 2rem; background: var(--paper); border: 1px solid var(--line); border-radius: 10px; }
main.narrow { max-width: 28rem; }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.25; }
h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; }
a { color: var(--accent); }
p.soft, .soft { color: var(--soft); }
code, pre { font: 14px/1.5 ui-monospace, monospace; }
pre { overflow-x: auto; padding: 1rem; background: var(--wash); border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .4rem .6rem .4rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
label { display: block; margin-bottom: .25rem; }
input:not([type=hidden]) { width: 100%; padding: .6rem .75rem; border: 1px solid var(--edge); border-radius: 6px; background: var(--paper); color: var(--ink); font: inherit; }
input.code { max-width: 10rem; font: 1.4rem/1.2 ui-monospace, monospace; letter-spacing: .2em; }
button, .button { padding: .65rem 1.2rem; border: 1px solid transparent; border-radius: 6px; background: var(--accent); color: var(--paper); font: inherit; font-weight: 600; cursor: pointer; }
:is(button, a, input, .note):focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.bad { color: var(--bad); }
.note { padding: .6rem .75rem; border: 1px solid var(--edge); border-radius: 6px; }
.note.bad { border-color: var(--bad); }
button.quiet { padding: .35rem .7rem; border-color: var(--edge); background: none; color: var(--ink); font-weight: 400; }
button.quiet.bad { border-color: var(--bad); color: var(--bad); }
a.button { display: block; border-color: var(--edge); background: none; color: var(--ink); text-align: center; text-decoration: none; }
.or { display: flex; align-items: center; gap: .75rem; color: var(--soft); }
.or::before, .or::after { flex: 1; height: 1px; background: var(--line); content: ""; }
.aside { margin: 1.5rem 0 0; padding-top: 1rem; border-top: 1px solid var(--line); }
form.more { margin: .75rem 0 0; }
ul.codes { columns: 2; padding-left: 1.2rem; }
.qr { max-width: 14rem; margin: 1rem 0; padding: .75rem; background: #fff; border-radius: 6px; }
.qr svg { display: block; width: 100%; height: auto; }
.rows { margin: 0 0 1rem; padding: 0; list-style: none; }
.rows li { display: flex; justify-content: space-between; align-items: start; gap: 1rem; padding: .6rem 0; border-bottom: 1px solid var(--line); }
.rows div { min-width: 0; }
.rows form, .rows li > .soft { flex: none; }
@media (max-width: 32rem) {
  main { margin: 0; padding: 1.5rem 1.25rem; border: 0; border-radius: 0; }
  body { background: var(--paper); }
}
`;
