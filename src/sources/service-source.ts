import { JsonService, type SourceNetwork } from './json-service.ts';

/** What every source that is a service can be opened with. */
export interface ServiceSourceOptions {
  readonly network?: SourceNetwork;
  /** Called, once each, with what is left out or repeated. Default: nothing. */
  readonly onProblem?: (text: string) => void;
  /** How long, in ms, a page of members may go on asking. Default 20 s: the activity has a minute. */
  readonly pageBudgetMs?: number;
  /** How long, in ms, profiles may go on being asked for. Default: as long as a slice waits for them. */
  readonly lookUpBudgetMs?: number;
}

export const PAGE_BUDGET_MS = 20_000;

/** The service behind a source, reached through the worker's proxy only where its configuration asks for that. */
export function openService(
  {
    url,
    timeoutMs,
    throughProxy,
  }: { readonly url: string; readonly timeoutMs: number; readonly throughProxy: boolean },
  headers: Readonly<Record<string, string>>,
  network: SourceNetwork = {},
): JsonService {
  return new JsonService({
    url,
    headers,
    timeoutMs,
    network: throughProxy ? network : { ...network, proxy: undefined },
  });
}
