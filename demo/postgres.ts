import { Client } from 'pg';
import { stringifyJson } from '../src/domain/json.ts';
import { findPostgres, Postgres } from './postgres-server.ts';
import { SAMPLE_AUDIENCES, samplePeople } from './sample-people.ts';

/** A PostgreSQL with the sample in it; whoever starts it stops it. */
export interface DemoPostgres {
  readonly url: string;
  /** The sample's audiences, with their sizes. */
  readonly audiences: readonly { readonly slug: string; readonly size: number }[];
  stop(): Promise<void>;
}

const DATABASE = 'demo';
/** The schema that a source `postgres` reads when nothing else is configured, as in examples/postgres/schema.sql. */
const SCHEMA = `
  CREATE TABLE audiences (id uuid PRIMARY KEY, slug text NOT NULL UNIQUE, name text NOT NULL);
  CREATE TABLE profiles (user_id text PRIMARY KEY, profile jsonb NOT NULL);
  CREATE TABLE audience_members (
    audience_id uuid NOT NULL REFERENCES audiences,
    user_id text NOT NULL,
    PRIMARY KEY (audience_id, user_id)
  );`;
/** People in one statement. */
const BATCH = 1000;

/**
 * Starts a PostgreSQL below `folder` and writes invented people into it.
 *
 * @param onStep called with what is being done, a line each.
 * @throws PostgresNotFound
 */
export async function startDemoPostgres(
  folder: string,
  options: { readonly people: number },
  onStep: (text: string) => void,
): Promise<DemoPostgres> {
  const programs = await findPostgres(folder);
  const server = await Postgres.start(programs, folder);
  try {
    await withClient(server.urlOf('postgres'), (client) => client.query(`CREATE DATABASE ${DATABASE}`));
    const url = server.urlOf(DATABASE);
    const rows = await withClient(url, (client) => fill(client, options.people));
    const tables = Object.entries(rows.tables).map(([name, count]) => `${name} (${count.toLocaleString('en')} rows)`);
    onStep(`tables ${tables.join(', ')} in postgres://${server.user}@${server.host}:${server.port}/${DATABASE}`);
    return { url, audiences: rows.audiences, stop: () => server.stop() };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function fill(client: Client, count: number) {
  await client.query(SCHEMA);
  for (const { id, slug, name } of SAMPLE_AUDIENCES)
    await client.query('INSERT INTO audiences (id, slug, name) VALUES ($1, $2, $3)', [id, slug, name]);
  const idOf = new Map(SAMPLE_AUDIENCES.map(({ slug, id }) => [slug, id]));
  const sizes = new Map<string, number>();
  let batch: { user: string; profile: string }[] = [];
  let members: { audience: string; user: string }[] = [];
  let memberships = 0;
  const write = async () => {
    await client.query('INSERT INTO profiles SELECT * FROM unnest($1::text[], $2::jsonb[])', [
      batch.map(({ user }) => user),
      batch.map(({ profile }) => profile),
    ]);
    await client.query('INSERT INTO audience_members SELECT * FROM unnest($1::uuid[], $2::text[])', [
      members.map(({ audience }) => audience),
      members.map(({ user }) => user),
    ]);
    memberships += members.length;
    batch = [];
    members = [];
  };
  for (const { user, profile, audiences } of samplePeople({ people: count })) {
    batch.push({ user, profile: stringifyJson(profile) });
    for (const slug of audiences) {
      members.push({ audience: idOf.get(slug) ?? '', user });
      sizes.set(slug, (sizes.get(slug) ?? 0) + 1);
    }
    if (batch.length === BATCH) await write();
  }
  await write();
  await client.query('ANALYZE');
  return {
    audiences: SAMPLE_AUDIENCES.map(({ slug }) => ({ slug, size: sizes.get(slug) ?? 0 })),
    tables: { audiences: SAMPLE_AUDIENCES.length, profiles: count, audience_members: memberships },
  };
}

/** Uses one connection to a database for as long as `use` takes. */
export async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
