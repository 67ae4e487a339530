-- After schema.sql and outbox.sql: each change of audience_members is written to the outbox by the database itself, whoever makes it. The row of
-- the membership is locked by then, so that the changes of one membership get their ids in the order in which they are committed.

CREATE FUNCTION audience_member_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO audience_changes (audience, user_id, event)
    VALUES (replace(OLD.audience_id::text, '-', ''), OLD.user_id, 'exit');
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO audience_changes (audience, user_id, event)
    VALUES (replace(NEW.audience_id::text, '-', ''), NEW.user_id, 'enter');
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER audience_member_changed AFTER INSERT OR DELETE ON audience_members
  FOR EACH ROW EXECUTE FUNCTION audience_member_changed();
CREATE TRIGGER audience_member_renamed AFTER UPDATE OF audience_id, user_id ON audience_members
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION audience_member_changed();

-- TRUNCATE names no rows, so nobody would be told of those who left: DELETE FROM audience_members does what is meant.
CREATE FUNCTION audience_members_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'TRUNCATE of audience_members would tell nobody who left. Use DELETE FROM audience_members.';
END $$;
CREATE TRIGGER audience_members_truncated BEFORE TRUNCATE ON audience_members
  FOR EACH STATEMENT EXECUTE FUNCTION audience_members_truncated();
