import type { ConnectionLike } from '@temporalio/client';
import { NamespaceNotFoundError } from '@temporalio/common';
import { SEARCH_ATTRIBUTES } from '../../domain/names.ts';
import { TriggersError } from '../calls/errors.ts';
import { GRPC, grpcCode } from '../calls/server-errors.ts';

/** The name of one of our search attributes. */
export type SearchAttributeName = keyof typeof SEARCH_ATTRIBUTES;

/** Some of our search attributes could not be registered; jobs run without them. */
class SearchAttributesNotRegistered extends TriggersError {
  override readonly name = 'SearchAttributesNotRegistered';
  readonly missing: readonly SearchAttributeName[];
  constructor(namespace: string, missing: readonly SearchAttributeName[], cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const commands = missing.map(
      (name) =>
        `  temporal operator search-attribute create --namespace ${namespace} --name ${name} --type ${CLI_TYPES[SEARCH_ATTRIBUTES[name]]}`,
    );
    super(
      [
        `The search attributes ${missing.join(', ')} could not be registered in the namespace "${namespace}": ${why}`,
        'Jobs run without them, but the Temporal UI cannot list jobs by id, status or audience.',
        'Ask somebody who is allowed to do so to register them (on Temporal Cloud: in the namespace settings):',
        ...commands,
      ].join('\n'),
      { cause },
    );
    this.missing = missing;
  }
}

type Connection = Pick<ConnectionLike, 'operatorService' | 'withDeadline'>;

/** `temporal.api.enums.v1.IndexedValueType`, which no package that we depend on exports as a value. */
const INDEXED_VALUE_TYPES = { KEYWORD: 2, KEYWORD_LIST: 7 } as const;
/** How the `temporal` CLI spells them. */
const CLI_TYPES = { KEYWORD: 'Keyword', KEYWORD_LIST: 'KeywordList' } as const;

const NAMES = Object.keys(SEARCH_ATTRIBUTES) as SearchAttributeName[]; // keys of a constant: nothing else can be in it
const CALL_MS = 10_000;
/** Permission denied, unimplemented, unauthenticated: this client, or every client, cannot look. */
const NOT_FOR_US: ReadonlySet<number | undefined> = new Set([7, 12, 16]);

/**
 * Returns which of our search attributes the namespace does not have with our type. Returns all of them when the server denies the look-up, since none is
 * certain.
 *
 * @throws the SDK's errors when the server cannot be reached or does not know the namespace (NamespaceNotFoundError).
 */
export async function missingSearchAttributes(
  connection: Connection,
  namespace: string,
): Promise<SearchAttributeName[]> {
  const types = await typesInNamespace(connection, namespace);
  return NAMES.filter((name) => types[name] !== INDEXED_VALUE_TYPES[SEARCH_ATTRIBUTES[name]]);
}

/**
 * Registers those that are missing and returns their names; doing it again changes nothing. A server may take some seconds to accept a new
 * attribute everywhere.
 *
 * @throws SearchAttributesNotRegistered without the right to register, or when an attribute exists with another type (the others are
 *   registered all the same).
 */
export async function registerSearchAttributes(
  connection: Connection,
  namespace: string,
): Promise<SearchAttributeName[]> {
  const types = await typesInNamespace(connection, namespace);
  const absent = NAMES.filter((name) => types[name] === undefined);
  if (absent.length > 0) await add(connection, namespace, absent);
  const otherType = NAMES.filter(
    (name) => types[name] !== undefined && types[name] !== INDEXED_VALUE_TYPES[SEARCH_ATTRIBUTES[name]],
  );
  // The server itself does not report this: it leaves an existing attribute as it is.
  if (otherType.length > 0)
    throw new SearchAttributesNotRegistered(namespace, otherType, 'they already exist with another type');
  return absent;
}

async function add(connection: Connection, namespace: string, names: readonly SearchAttributeName[]): Promise<void> {
  const searchAttributes = Object.fromEntries(
    names.map((name) => [name, INDEXED_VALUE_TYPES[SEARCH_ATTRIBUTES[name]]]),
  );
  try {
    await withinTime(connection, () => connection.operatorService.addSearchAttributes({ namespace, searchAttributes }));
  } catch (error) {
    // Somebody else may have registered them between our two calls.
    const still = await missingSearchAttributes(connection, namespace).catch(() => names);
    if (still.length > 0) throw new SearchAttributesNotRegistered(namespace, still, error);
  }
}

async function typesInNamespace(connection: Connection, namespace: string): Promise<Readonly<Record<string, number>>> {
  try {
    const { customAttributes } = await withinTime(connection, () =>
      connection.operatorService.listSearchAttributes({ namespace }),
    );
    return customAttributes;
  } catch (error) {
    if (NOT_FOR_US.has(grpcCode(error))) return {};
    throw grpcCode(error) === GRPC.NOT_FOUND ? new NamespaceNotFoundError(namespace) : error;
  }
}

/** Without a deadline, a call to a server that has gone away would wait forever. */
function withinTime<T>(connection: Connection, call: () => Promise<T>): Promise<T> {
  return connection.withDeadline(Date.now() + CALL_MS, call);
}
