/**
 * Liquid as templates get it (S47): no files, no partials, nothing inherited, an unknown name is a fault, and every
 * rendering has a bound on its time and memory. What these bounds do not see — one filter that takes for ever — the
 * threads' own deadline ends.
 */
import {
  CaptureTag,
  type Context,
  Liquid,
  LiquidError,
  type Template as ParsedLiquid,
  ParseError,
  UndefinedVariableError,
} from 'liquidjs';

export type { ParsedLiquid };

/** Text that is HTML already: what a layout finds in `content`. */
export class SafeHtml {
  readonly html: string;
  constructor(html: string) {
    this.html = html;
  }
  toString(): string {
    return this.html;
  }
}

/** What is captured of an HTML template has been escaped on its way in. */
class CaptureHtml extends CaptureTag {
  override *render(context: Context): Generator<unknown, void, string> {
    yield* super.render(context);
    const scope = context.bottom() as Record<string, unknown>;
    scope[this.variable] = new SafeHtml(String(scope[this.variable]));
  }
}

const limits = {
  /** Characters of one source. */
  parseLimit: 1_000_000,
  /** Milliseconds. */
  renderLimit: 1_000,
  /** Characters and array items that filters, ranges and captures make. */
  memoryLimit: 20_000_000,
};

export interface Engines {
  /** Escapes what it puts out, unless the author says `raw`. */
  html: Liquid;
  /** For subjects and plain text. */
  plain: Liquid;
}

export function makeEngines(): Engines {
  const html = makeLiquid({ outputEscape: escapeOutput });
  // These make HTML of text, so their result stands as it is; without that it would be escaped twice.
  html.registerTag('capture', CaptureHtml);
  html.registerFilter('escape', { raw: true, handler: escapeOutput });
  html.registerFilter('newline_to_br', {
    raw: true,
    handler: (value: unknown) => escapeOutput(value).replace(/\r?\n/g, '<br>\n'),
  });
  return { html, plain: makeLiquid({}) };
}

function makeLiquid(more: { outputEscape?: (value: unknown) => string }): Liquid {
  const liquid = new Liquid({
    ...limits,
    ...more,
    strictFilters: true,
    strictVariables: true,
    // `{% if note %}` and `{{ note | default: "-" }}` ask whether there is something, so nothing is an answer.
    lenientIf: true,
    ownPropertyOnly: true,
    timezoneOffset: 0,
    locale: 'en',
    // In place of the file system; the tags that would read it are gone besides.
    templates: {},
  });
  for (const name of ['include', 'render', 'layout', 'block']) {
    liquid.registerTag(name, {
      parse: () => {
        throw new Error(`"${name}" is not available here; what letters share goes into a layout`);
      },
      render: () => '',
    });
  }
  liquid.registerFilter('duration', spellDuration);
  return liquid;
}

function escapeOutput(value: unknown): string {
  if (value instanceof SafeHtml) return value.html;
  const text = stringify(value);
  return /[&<>"']/.test(text) ? text.replace(/[&<>"']/g, (one) => entities[one] ?? one) : text;
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;' };

function stringify(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map(stringify).join('');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

const units = new Map<string, Intl.NumberFormat>();

/** `{{ 60 | duration: language }}` → "1 minute". In whole days, hours or minutes where that is exact, else in seconds. */
function spellDuration(seconds: unknown, language: unknown = 'en'): string {
  const count = Number(seconds);
  // A day reads better as 24 hours; two days do not as 48.
  const [unit, size] =
    count > 86_400 && count % 86_400 === 0
      ? ['day', 86_400]
      : count >= 3_600 && count % 3_600 === 0
        ? ['hour', 3_600]
        : count >= 60 && count % 60 === 0
          ? ['minute', 60]
          : ['second', 1];
  const key = `${language} ${unit}`;
  let format = units.get(key);
  if (!format) {
    format = new Intl.NumberFormat(String(language), { style: 'unit', unit: String(unit), unitDisplay: 'long' });
    if (units.size < 500) units.set(key, format);
  }
  return format.format(count / Number(size));
}

/** What went wrong in a template, in words for its author. */
export interface TemplateFault {
  kind: 'syntax' | 'undefined' | 'limit' | 'render';
  message: string;
  /** Of an undefined variable. */
  variable?: string;
  line?: number;
  column?: number;
}

export function readFault(error: unknown): TemplateFault {
  if (!LiquidError.is(error)) {
    const message = error instanceof Error ? error.message : String(error);
    return { kind: isLimit(error, message) ? 'limit' : 'render', message };
  }
  const cause = error.originalError ?? error;
  const [line, column] = error.token.getPosition();
  const where = line === undefined || column === undefined ? {} : { line, column };
  if (error instanceof UndefinedVariableError || 'variableName' in cause) {
    const variable = 'variableName' in cause ? String(cause.variableName) : error.message;
    return { kind: 'undefined', message: `undefined variable: ${variable}`, variable, ...where };
  }
  const message = cause.message.replace(/, (?:file:\S*, )?line:\d+, col:\d+$/, '');
  if (isLimit(cause, message)) return { kind: 'limit', message, ...where };
  const isSyntax = error instanceof ParseError || error.name === 'TokenizationError';
  return { kind: isSyntax ? 'syntax' : 'render', message, ...where };
}

/** A bound of the engine's, or of the language: too deep for the stack, longer than a string can be. */
function isLimit(error: unknown, message: string): boolean {
  return error instanceof RangeError || message.endsWith('limit exceeded');
}
