-- What the source `postgres` reads when its configuration says nothing but a URL (docs/sources/postgres.md), with three people in it.
-- Views of these names and columns do as well.

CREATE TABLE audiences (
  id   uuid PRIMARY KEY,
  slug text NOT NULL UNIQUE, -- what people type: a job's "audiences"
  name text NOT NULL
);

CREATE TABLE profiles (
  user_id text PRIMARY KEY,
  profile jsonb NOT NULL -- an object: {"email": …}
);

CREATE TABLE audience_members (
  audience_id uuid NOT NULL REFERENCES audiences,
  user_id     text NOT NULL,
  PRIMARY KEY (audience_id, user_id) -- in this order: members are read page by page along it
);

INSERT INTO audiences (id, slug, name) VALUES
  ('3b9ac1f2-d7e8-4c05-a6e1-f09d582b7c34', 'vip', 'VIP customers'),
  ('8e21d0c4-5f6a-4b3e-9d17-c2a0b48f6e95', 'newsletter', 'Newsletter readers');

INSERT INTO profiles (user_id, profile) VALUES
  ('7076027172059065053', '{"email": "beth@example.com", "first_name": "Beth", "last_name": "Rivera", "loyalty_number": 9007199254740993}'),
  ('12645278470990184693', '{"email": "noor@example.com", "first_name": "Noor", "last_name": "Haddad"}'),
  ('3318840061257794210', '{"email": "sam@example.com", "first_name": "Sam", "last_name": "Okafor"}');

INSERT INTO audience_members (audience_id, user_id) VALUES
  ('3b9ac1f2-d7e8-4c05-a6e1-f09d582b7c34', '12645278470990184693'),
  ('3b9ac1f2-d7e8-4c05-a6e1-f09d582b7c34', '3318840061257794210'),
  ('8e21d0c4-5f6a-4b3e-9d17-c2a0b48f6e95', '7076027172059065053');

-- The planner finds the way along the index once it knows the table.
ANALYZE;

-- A role that can do nothing but read them. Its password: \password audience_triggers, in psql.
CREATE ROLE audience_triggers LOGIN;
GRANT USAGE ON SCHEMA public TO audience_triggers;
GRANT SELECT ON audiences, profiles, audience_members TO audience_triggers;
