import type { Json } from '../contract/trigger.ts';
import { isRecord } from '../domain/json.ts';

/** The value at a path, which is names with dots between them; without a path, the value itself. Undefined when there is none. */
export function valueAt(value: Json | undefined, path: string | undefined): Json | undefined {
  let found = value;
  for (const name of path?.split('.') ?? []) {
    if (!isRecord(found) || !Object.hasOwn(found, name)) return undefined;
    found = found[name];
  }
  return found;
}
