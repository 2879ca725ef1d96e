/** What was measured: printed at once, kept for `--json`. */
import { drive, type Load, type Result } from './http-driver.ts';

export interface Figure {
  what: string;
  value: number;
  unit: string;
  /** Milliseconds. */
  p50?: number;
  p99?: number;
  /** Of a limit or peer measured in the same run. */
  ratio?: Ratio;
}

export interface Ratio {
  of: string;
  value: number;
  /** What the project means to reach, as text: `≥ 3`. */
  goal?: string;
}

export const rounds = 3;
export const figures: Figure[] = [];

export function report({ what, value, unit, p50, p99, ratio }: Figure): void {
  const figure = { what, value, unit, ...(p50 !== undefined && { p50 }), ...(p99 !== undefined && { p99 }) };
  figures.push(ratio ? { ...figure, ratio } : figure);
  const latency = p50 === undefined ? '' : `p50 ${p50.toFixed(1)} ms  p99 ${p99?.toFixed(1)} ms`;
  const goal = ratio?.goal === undefined ? '' : `  (goal ${ratio.goal})`;
  const share = ratio ? `${unit === '×' ? '' : `${ratio.value.toFixed(2)} × `}${ratio.of}${goal}` : '';
  const number = Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(2);
  console.log(`${what.padEnd(50)} ${number.padStart(9)} ${unit.padEnd(4)}  ${latency.padEnd(28)} ${share}`.trimEnd());
}

export function heading(text: string): void {
  console.log(`\n${text}`);
}

export function median<T>(items: T[], key: (item: T) => number): T {
  const sorted = [...items].sort((a, b) => key(a) - key(b));
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new Error('nothing was measured');
  return middle;
}

export async function medianOf(measure: () => Promise<number> | number): Promise<number> {
  const values: number[] = [];
  for (let i = 0; i < rounds; i++) values.push(await measure());
  return median(values, (value) => value);
}

export async function medianLoad(load: Load): Promise<Result> {
  const [result] = await medianLoads([load]);
  if (!result) throw new Error('nothing was measured');
  return result;
}

/** Medians of loads that are compared: they take turns, so that what else the machine does befalls them all. */
export async function medianLoads(loads: Load[]): Promise<Result[]> {
  const results = loads.map((): Result[] => []);
  for (let i = 0; i < rounds; i++) {
    for (const [index, load] of loads.entries()) results[index]?.push(await drive(load));
  }
  return results.map((ofLoad) => {
    const result = median(ofLoad, ({ perSecond }) => perSecond);
    reportFailures(result.failures);
    return result;
  });
}

/** Says that a figure is not what it seems, where it is so. */
export function reportFailures(failures: Result['failures']): void {
  if (Object.keys(failures).length > 0) console.log(`  failures by status: ${JSON.stringify(failures)}`);
}

/** Value at `share` (0 to 1) of sorted numbers. */
export function quantile(sorted: number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
