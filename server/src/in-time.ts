/** A broker that does not answer is as good as one that is away. */
export async function inTime<T>(answer: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, fail) => {
    const giveUp = () => fail(new Error(`no answer within ${milliseconds / 1000} s`));
    // Not before the sockets are read once more: where this process had no time to itself, the answer lies there.
    timer = setTimeout(() => setImmediate(giveUp), milliseconds);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
