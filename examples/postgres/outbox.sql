-- What `triggers consume outbox` reads (docs/consumers.md). An application writes a row in the transaction that changes a membership.

CREATE TABLE audience_changes (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order in which a person's changes are sent
  audience    text NOT NULL CHECK (length(audience) BETWEEN 1 AND 255), -- slug or id
  user_id     text NOT NULL CHECK (length(user_id) BETWEEN 1 AND 255),
  event       text NOT NULL CHECK (event IN ('enter', 'exit')),
  profile     jsonb CHECK (jsonb_typeof(profile) = 'object'), -- null: read from the audience source
  changed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  accepted_at timestamptz, -- set by the consumer with "accepted": "mark"; otherwise the row is deleted
  problem     text -- set by the consumer when the row is no trigger; once it is null again, the row is sent
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000); -- by default it waits for a fifth of the rows that are kept

-- Rows that are kept are not read again.
CREATE INDEX audience_changes_waiting ON audience_changes (id) WHERE accepted_at IS NULL AND problem IS NULL;

-- Wakes the consumer at the commit. Without it, it looks every "pollMs".
CREATE FUNCTION audience_changes_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('audience_changes', '');
  RETURN NULL;
END $$;
CREATE TRIGGER audience_changes_written AFTER INSERT ON audience_changes
  FOR EACH STATEMENT EXECUTE FUNCTION audience_changes_written();

-- The consumer's role. Its password: \password audience_triggers_outbox, in psql.
CREATE ROLE audience_triggers_outbox LOGIN;
GRANT USAGE ON SCHEMA public TO audience_triggers_outbox;
GRANT SELECT, DELETE, UPDATE (accepted_at, problem) ON audience_changes TO audience_triggers_outbox;
