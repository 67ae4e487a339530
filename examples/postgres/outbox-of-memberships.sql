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
