/** What every page owes its readers (WCAG 2.2), asked in the browser itself, where `page-checks.client.js` runs. */
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';

// No import: the policy of our pages lets nothing of the kind in, and is to stay as it is.
const source = readFileSync(new URL('./page-checks.client.js', import.meta.url), 'utf8').replaceAll(/^export /gm, '');

export interface Focus {
  /** Of the field, else the role or the text of what has the focus. */
  name: string;
  isField: boolean;
  /** Whether it shows. */
  isRinged: boolean;
}

/** What is wrong, each in a line. */
export function lowContrasts(page: Page): Promise<string[]> {
  return page.evaluate(`(() => { ${source}\n return lowContrasts(); })()`);
}

/** What is wrong, each in a line. */
export function structureFaults(page: Page): Promise<string[]> {
  return page.evaluate(`(() => { ${source}\n return structureFaults(); })()`);
}

export function focusOf(page: Page): Promise<Focus> {
  return page.evaluate(`(() => { ${source}\n return focus(); })()`);
}
