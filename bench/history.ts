/** Accepting and claiming with much history against an empty database. */
import type postgres from 'postgres';
import { drive } from './http-driver.ts';
import { type BenchPostern, startBenchPostern } from './postern.ts';
import { heading, median, report, rounds } from './report.ts';
import { startSinkProcess } from './sinks.ts';

/** What history is copied from: letters that went the whole way. */
const sample = 20_000;

export async function history({ letters }: { letters: number }): Promise<void> {
  heading(`with ${letters.toLocaleString('en')} letters of history against an empty database`);
  const sink = await startSinkProcess();
  const postern = await startBenchPostern({ smtpPort: sink.port });
  try {
    await endToEndSeconds(postern); // as warm the first time as the second
    const empty = await measure(postern);
    const [row] = await postern.sql<{ count: number }[]>`SELECT count(*)::integer AS count FROM emails`;
    const start = performance.now();
    await copyHistory(postern.sql, Math.ceil(letters / (row?.count ?? 1)));
    report({ what: 'time to write the history by SQL', value: (performance.now() - start) / 1000, unit: 's' });
    const full = await measure(postern);
    report({ what: `${sample.toLocaleString('en')} letters end to end, empty`, value: empty, unit: 's' });
    report({
      what: 'the same with history',
      value: full,
      unit: 's',
      ratio: { of: 'empty', value: full / empty, goal: '≤ 1.2' },
    });
  } finally {
    await postern.dispose();
    await sink.end();
  }

  async function measure(subject: BenchPostern): Promise<number> {
    const accepted: number[] = [];
    for (let i = 0; i < rounds; i++) accepted.push(await endToEndSeconds(subject));
    return median(accepted, Number);
  }
}

async function endToEndSeconds({ port, request, drained }: BenchPostern): Promise<number> {
  const start = performance.now();
  await drive({ port, connections: 64, requests: sample, expect: 202, request: () => request });
  await drained();
  return (performance.now() - start) / 1000;
}

const tables = { emails: 'id', email_recipients: 'email_id', email_bodies: 'email_id', email_events: 'email_id' };

/** Copies every letter `times` times, with ids of the weeks before. */
async function copyHistory(sql: postgres.Sql, times: number): Promise<void> {
  await sql`
    CREATE FUNCTION bench_earlier(id uuid, n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
      SELECT (lpad(to_hex(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint - n * 3600000::bigint), 12, '0')
        || '7' || substr(md5(id::text || n), 1, 3) || '8' || substr(md5(id::text || n), 4, 15))::uuid
    $$`;
  const [first] = await sql<{ id: string }[]>`SELECT id::text AS id FROM emails ORDER BY id LIMIT 1`;
  // Its instant alone: what is at or after it has been sent, what lies before is a copy.
  const since = `${first?.id.slice(0, 13)}-0000-0000-000000000000`;
  for (let n = times; n > 0; n--) {
    for (const [table, id] of Object.entries(tables)) {
      const [row] = await sql<{ columns: string }[]>`
        SELECT string_agg(quote_ident(attname), ', ') AS columns FROM pg_attribute
        WHERE attrelid = ${table}::regclass AND attnum > 0 AND NOT attisdropped AND attname <> ${id}`;
      await sql.unsafe(
        `INSERT INTO ${table} (${id}, ${row?.columns})
         SELECT bench_earlier(${id}, ${n}), ${row?.columns} FROM ${table} WHERE ${id} >= '${since}'`,
      );
    }
  }
  await sql`ANALYZE`;
  await sql`CHECKPOINT`;
}
