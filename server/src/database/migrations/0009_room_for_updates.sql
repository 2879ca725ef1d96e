-- The rows of letters and recipients are written at acceptance and once again when the letter is settled. Half of each
-- page is left free for that second version, so that it stands on the page of the first and no index has to learn of it:
-- settling then costs half. What is pruned serves later tries.
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
        IF parent IN ('emails', 'email_recipients') THEN
          EXECUTE format('ALTER TABLE %I SET (fillfactor = 50)', part);
        END IF;
      END IF;
    END LOOP;
  END LOOP;
END
$$;

DO $$
DECLARE
  part regclass;
BEGIN
  FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent IN ('emails'::regclass, 'email_recipients'::regclass) LOOP
    EXECUTE format('ALTER TABLE %s SET (fillfactor = 50)', part);
  END LOOP;
END
$$;
