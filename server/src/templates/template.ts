/**
 * Templates: letters written once, with places for what differs. This folder owns the tables `templates` and
 * `template_versions`, keeps every version, and turns a template and its variables into subject, HTML and text. It
 * leaves to `emails/` what becomes of them: a letter is rendered when it is accepted, so that whoever sends it hears of
 * faults, and delivery knows nothing of templates. Postern's own letters (`own/`) are templates too, built in, which a
 * tenant replaces by one of the same name.
 *
 * Authors are tenants, so their templates are programs of strangers: they are parsed and rendered in threads that may
 * be killed (`render-pool.ts`), by an engine that reaches neither files nor prototypes (`engine.ts`; S47).
 */

/** `layout`: the frame of other templates, with `{{ content }}` where they go. */
export const templateKinds = ['letter', 'layout'] as const;
export type TemplateKind = (typeof templateKinds)[number];

export const variableTypes = ['string', 'number', 'boolean', 'array', 'object'] as const;
export type VariableType = (typeof variableTypes)[number];

export interface Variable {
  name: string;
  /** Any JSON where absent. */
  type?: VariableType;
  /** Whether a letter without it is refused; one that has a default never is. */
  required?: boolean;
  default?: unknown;
  description?: string;
}

/** What one language says. A letter has a subject, and `html`, `mjml` or `text`; a layout has no subject. */
export interface Content {
  subject?: string;
  /** As the author wrote it, or what `mjml` was compiled to. */
  html?: string;
  /** The author's source; `html` is made of it when the version is saved. */
  mjml?: string;
  /** Derived from the rendered HTML where absent. */
  text?: string;
}

/** What a version holds. */
export interface Definition {
  defaultLanguage: string;
  variables: Variable[];
  /** Whether `variables` are those that the text uses, because the author declared none. */
  areVariablesDerived: boolean;
  /** Names of variables whose values history must not show. */
  secrets: string[];
  /** By language tag (BCP 47) in lower case. */
  contents: Record<string, Content>;
}

export interface Template {
  id: string;
  name: string;
  kind: TemplateKind;
  description: string | null;
  layout: string | null;
  version: number;
  definition: Definition;
  createdAt: Date;
  updatedAt: Date;
}

/** What every template may use without declaring it: its language, and in a layout what stands inside it. */
export const providedVariables = ['language', 'subject', 'content'];

/** A value as history shows it. */
export const redactedText = '•••';

/** What becomes a letter. */
export interface RenderedText {
  subject: string;
  html?: string;
  text?: string;
}

/** `redacted` is what history shows where the template has secrets. */
export type Rendered = RenderedText & { redacted?: RenderedText };
