/**
 * MJML becomes HTML once, when a version is saved; Liquid runs on the HTML. So Liquid has to pass through MJML
 * unharmed: each tag is replaced by a word that means nothing to XML, CSS or HTML, and put back afterwards. Where MJML
 * expects elements and would drop a word, between sections say, the word stands in an `mj-raw`.
 */
import mjml2html from 'mjml';

/** A fault of the author's, with the line of his source. */
export class MjmlFault extends Error {
  readonly line: number | undefined;
  constructor(message: string, line?: number) {
    super(message);
    this.line = line;
  }
}

const liquid = String.raw`\{%-?\s*(?:raw|comment)\s*-?%\}[\s\S]*?\{%-?\s*end(?:raw|comment)\s*-?%\}|\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}`;
const piece = new RegExp(
  String.raw`(${liquid})|<!--[\s\S]*?-->|<(\/?)(mj-[\w-]+|mjml)((?:"[^"]*"|'[^']*'|[^<>"'])*?)(\/?)>`,
  'g',
);
const anyLiquid = new RegExp(liquid, 'g');
const word = /lqx(\d+)xql/g;

/** Elements whose content is the author's HTML or text, which MJML copies. */
const copied = new Set(
  'mj-text mj-button mj-table mj-raw mj-style mj-title mj-preview mj-navbar-link mj-social-element mj-accordion-title mj-accordion-text'.split(
    ' ',
  ),
);

/** @throws MjmlFault */
export async function compileMjml(source: string): Promise<string> {
  if (/<mj-include\b/i.test(source)) {
    throw new MjmlFault(
      'mj-include is not available here; what letters share goes into a layout',
      lineOf(source, /<mj-include\b/i),
    );
  }
  const { text, tags } = hideLiquid(source);
  const { html, errors } = await convert(text);
  // A colour or a width may be a variable, which is for the author to get right.
  const fault = errors.find(({ message }) => message.search(word) === -1);
  if (fault) throw new MjmlFault(`${fault.tagName}: ${fault.message.trim()}`, fault.line);
  return showLiquid(html, tags);
}

async function convert(text: string) {
  try {
    return await mjml2html(text, { validationLevel: 'soft', ignoreIncludes: true, keepComments: true });
  } catch (error) {
    throw new MjmlFault(error instanceof Error ? error.message : String(error));
  }
}

function hideLiquid(source: string): { text: string; tags: string[] } {
  const tags: string[] = [];
  const hidden = (tag: string) => `lqx${tags.push(tag) - 1}xql`;
  let inside: string | undefined;
  const text = source.replace(piece, (found, tag: string | undefined, closing: string, name: string, _rest, empty) => {
    if (tag !== undefined) return inside === undefined ? `<mj-raw>${hidden(tag)}</mj-raw>` : hidden(tag);
    if (name !== undefined && copied.has(name)) {
      if (closing) inside = inside === name ? undefined : inside;
      else if (!empty) inside ??= name;
    }
    // In attributes and comments.
    return found.replace(anyLiquid, hidden);
  });
  return { text, tags };
}

/** A tag that MJML lost would leave its block open, or change which text belongs to it: that is said, not sent. */
function showLiquid(html: string, tags: string[]): string {
  const seen = new Set<number>();
  const shown = html.replace(word, (_, index: string) => {
    seen.add(Number(index));
    return tags[Number(index)] ?? '';
  });
  const lost = tags.find((tag, index) => tag.startsWith('{%') && !seen.has(index));
  if (lost !== undefined) {
    throw new MjmlFault(`MJML has no place for ${lost} where it stands; put it around whole elements, or into text`);
  }
  return shown;
}

function lineOf(source: string, pattern: RegExp): number {
  return source.slice(0, Math.max(0, source.search(pattern))).split('\n').length;
}
