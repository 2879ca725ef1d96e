/** Writes docs/configuration.md from the setting tables: `npm run docs`. A test checks that the file is current. */
import { writeFileSync } from 'node:fs';
import { settingTables } from './src/config.ts';
import type { Setting } from './src/settings.ts';

export const configurationFile = new URL('../docs/configuration.md', import.meta.url);

export function configurationPage(): string {
  const sections = Object.entries(settingTables).map(([title, table]) => {
    const rows = Object.values(table as Record<string, Setting<unknown>>).map(
      (setting) => `| \`${setting.name}\` | ${defaultOf(setting)} | ${setting.help.replaceAll('|', '\\|')} |`,
    );
    return `## ${title}\n\n| variable | default | meaning |\n|---|---|---|\n${rows.join('\n')}\n`;
  });
  return `# Configuration

Settings are environment variables. Each can also be given as \`NAME_FILE\`, the path of a file that holds the value (as
Docker and Kubernetes secrets do). An \`.env\` file in the current folder is read; the environment wins over it. An empty
value counts as unset. All settings are checked at start; every fault is reported together, and the exit code is 1.
\`postern doctor\` checks them, and what they point at, without starting the service.

This page is made from the tables in the source by \`npm run docs\`.

${sections.join('\n')}`;
}

function defaultOf({ default: value, defaultText }: Setting<unknown>): string {
  if (defaultText !== undefined) return defaultText;
  if (value === undefined) return 'unset';
  return `\`${String(value)}\``;
}

if (import.meta.main) writeFileSync(configurationFile, configurationPage());
