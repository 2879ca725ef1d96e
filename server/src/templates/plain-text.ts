import { compile } from 'html-to-text';

const convert = compile({
  // Mail programs wrap for themselves, and a wrapped link is a broken one.
  wordwrap: false,
  selectors: [
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true, linkBrackets: ['(', ')'], ignoreHref: false } },
    { selector: 'img', format: 'skip' },
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: { uppercase: false } })),
    // What stands hidden at the top of a letter for the list of letters.
    { selector: '[style*="display:none"]', format: 'skip' },
    { selector: '[style*="display: none"]', format: 'skip' },
  ],
});

/** What the HTML of a letter says, for programs and people who want text. */
export function plainText(html: string): string {
  // Liquid leaves blank lines where its tags stood.
  return `${convert(html)
    .replace(/[^\S\n]+$/gm, '')
    .replace(/\n{3,}/g, '\n\n')
    .trim()}\n`;
}
