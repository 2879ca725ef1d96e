/**
 * Waits until `condition` holds and returns its value. What it throws ends the wait, unless `retryOn` says otherwise.
 * The deadline is only there so that a broken test ends: no test depends on how long something takes.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: {
    what: string;
    seconds?: number;
    retryOn?: (error: unknown) => boolean;
    detail?: () => string;
  },
): Promise<NonNullable<Exclude<T, false>>> {
  const start = Date.now();
  const deadline = start + (options.seconds ?? 30) * 1000;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      const value = await condition();
      if (value) return value as NonNullable<Exclude<T, false>>;
    } catch (error) {
      if (!options.retryOn?.(error)) throw error;
      last = error;
    }
    // Ever more rarely: what takes long is not to be slowed down by being asked for.
    const pause = Math.min(200, Math.max(10, (Date.now() - start) / 10));
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  throw new Error(
    `Waited in vain for ${options.what}.${last ? ` Last error: ${last}` : ''}\n${options.detail?.() ?? ''}`,
  );
}
