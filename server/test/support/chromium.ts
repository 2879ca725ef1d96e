/** Chromium, as Debian has it, driven by playwright-core, which brings no browser of its own. */
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const path = process.env.POSTERN_TEST_CHROMIUM ?? '/usr/bin/chromium';
const isRequired = process.env.POSTERN_TEST_REQUIRE_SERVICES === '1';
const missing = `There is no Chromium at ${path}; POSTERN_TEST_CHROMIUM may name another`;

/** Why not here, or false. */
export const skipWithoutChromium: string | false = !existsSync(path) && !isRequired && missing;

export async function openChromium(): Promise<Browser> {
  if (!existsSync(path)) throw new Error(missing);
  return chromium.launch({ executablePath: path });
}
