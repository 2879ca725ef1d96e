-- Makes the monthly partitions, from last month to `months` ahead, of every table that is partitioned by a UUIDv7 id:
-- it reads from the catalogue which those are, so that a new table of history needs no word here.
CREATE OR REPLACE FUNCTION create_partitions(months integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  parent text;
  month_start timestamptz;
  part text;
BEGIN
  FOR parent IN
    SELECT c.relname FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
    WHERE c.relnamespace = current_schema()::regnamespace ORDER BY c.relname
  LOOP
    FOR i IN -1..months LOOP
      month_start := date_trunc('month', now(), 'UTC') + make_interval(months => i);
      part := format('%s_%s', parent, to_char(month_start AT TIME ZONE 'UTC', 'YYYY_MM'));
      IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', part, parent,
          uuid7_floor(month_start), uuid7_floor(date_trunc('month', now(), 'UTC') + make_interval(months => i + 1)));
      END IF;
    END LOOP;
  END LOOP;
END
$$;
