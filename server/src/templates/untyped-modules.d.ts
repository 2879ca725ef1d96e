/** The corners we use of two packages that bring no types. */

declare module 'html-to-text' {
  interface Options {
    wordwrap?: number | false;
    selectors?: { selector: string; format?: string; options?: Record<string, unknown> }[];
  }
  /** @returns a function that turns HTML into text */
  export function compile(options: Options): (html: string) => string;
}

declare module 'mjml' {
  interface Options {
    validationLevel: 'strict' | 'soft' | 'skip';
    ignoreIncludes: boolean;
    keepComments: boolean;
  }
  interface Fault {
    line: number;
    message: string;
    tagName: string;
  }
  /** @throws Error when it is no MJML at all */
  export default function mjml2html(mjml: string, options: Options): Promise<{ html: string; errors: Fault[] }>;
}
