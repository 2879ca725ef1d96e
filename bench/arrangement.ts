/**
 * What is compared: something that takes letters by HTTP, hands them to an SMTP server and keeps what became of each.
 * Postern is one, what a team would put together instead is another.
 */
export interface Arrangement {
  name: string;
  port: number;
  /** The bytes of one `POST /emails`. */
  request: string;
  /** Resolves once `count` letters since the start have been delivered and their statuses written. */
  settled: (count: number) => Promise<void>;
  dispose: () => Promise<void>;
}
