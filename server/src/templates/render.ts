/** From parsed sources and variables to the text of a letter. Pure; the caller bounds it. */
import { type Engines, type ParsedLiquid, SafeHtml } from './engine.ts';
import { type Content, type Rendered, type RenderedText, redactedText } from './template.ts';

export interface RenderTools extends Engines {
  /** Text of the HTML, for letters that bring none of their own. */
  plainText?: (html: string) => string;
}

export interface Parsed {
  subject?: ParsedLiquid[];
  html?: ParsedLiquid[];
  text?: ParsedLiquid[];
}

/** @throws LiquidError */
export function parseContent({ html, plain }: Engines, content: Content): Parsed {
  return {
    ...(content.subject === undefined ? {} : { subject: plain.parse(content.subject) }),
    ...(content.html === undefined ? {} : { html: html.parse(content.html) }),
    ...(content.text === undefined ? {} : { text: plain.parse(content.text) }),
  };
}

export interface RenderInput {
  /** As it is called in the letter: `language` in the template. */
  language: string;
  variables: Record<string, unknown>;
  /** The same with secrets struck out; absent where there are none. */
  redacted?: Record<string, unknown>;
}

/** @throws LiquidError */
export function renderLetter(
  tools: RenderTools,
  letter: Parsed,
  layout: Parsed | undefined,
  { language, variables, redacted }: RenderInput,
): Rendered {
  const rendered = renderOnce(tools, letter, layout, { ...variables, language });
  if (!redacted) return rendered;
  return { ...rendered, redacted: renderRedacted(tools, letter, layout, { ...redacted, language }, rendered) };
}

function renderOnce(
  { html: htmlEngine, plain, plainText }: RenderTools,
  letter: Parsed,
  layout: Parsed | undefined,
  scope: Record<string, unknown>,
): RenderedText {
  // One line, whatever stands in it (S43); a subject written over several lines of Liquid reads as one.
  const subject = String(plain.renderSync(letter.subject ?? [], scope))
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim();
  const framed = (content: unknown) => ({ ...scope, subject, content });
  let html: string | undefined;
  if (letter.html) {
    html = String(htmlEngine.renderSync(letter.html, scope));
    if (layout?.html) html = String(htmlEngine.renderSync(layout.html, framed(new SafeHtml(html))));
  }
  let text: string | undefined;
  if (letter.text) {
    text = String(plain.renderSync(letter.text, scope));
    if (layout?.text) text = String(plain.renderSync(layout.text, framed(text)));
  } else if (html !== undefined && plainText) {
    text = plainText(html);
  }
  return { subject, ...(html === undefined ? {} : { html }), ...(text === undefined ? {} : { text }) };
}

/** A mark in place of a value may be something that the template cannot work with; then history shows the mark alone. */
function renderRedacted(
  tools: RenderTools,
  letter: Parsed,
  layout: Parsed | undefined,
  scope: Record<string, unknown>,
  { html, text }: RenderedText,
): RenderedText {
  try {
    return renderOnce(tools, letter, layout, scope);
  } catch {
    return {
      subject: redactedText,
      ...(html === undefined ? {} : { html: redactedText }),
      ...(text === undefined ? {} : { text: redactedText }),
    };
  }
}
