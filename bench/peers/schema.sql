-- One row per mail, as a team would write it down.
CREATE TABLE mails (
  id         uuid PRIMARY KEY,
  sender     text NOT NULL,
  recipient  text NOT NULL,
  subject    text NOT NULL,
  body       text NOT NULL,
  status     text NOT NULL DEFAULT 'queued',
  message_id text,
  error      text,
  created_at timestamptz NOT NULL DEFAULT now(),
  sent_at    timestamptz
);
