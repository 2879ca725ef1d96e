/** Copies of what PostgreSQL says, shared between nodes where there is a place for them (`redis/cache.ts`). */
export interface Cache {
  /**
   * What is kept under a name, else what `read` says, which is then kept.
   * @param name another shape of what is kept takes another name: old and new versions run side by side
   * @param read says for how many seconds at most its value, which JSON can hold, may be used; undefined is not kept
   */
  through: <T>(name: string, read: () => Promise<{ value: T; seconds: number }>) => Promise<T>;
  /** Call it after the commit that changed it: nobody is given a copy that was read before. */
  forget: (name: string) => Promise<void>;
}

/** Where there is no place for copies, PostgreSQL is asked. */
export const noCache: Cache = {
  through: async (_name, read) => (await read()).value,
  forget: async () => {},
};
