import { release } from '../../config/release.ts';
import { trustedAuthorities } from '../../network/tls.ts';
import type { TracingConfig } from './config.ts';
import type { WorkerTracing, WorkerTracingOptions } from './worker-tracing.ts';

interface TracedConfig {
  readonly tracing?: TracingConfig | undefined;
  readonly network: { readonly certificateAuthorities: readonly string[] };
}

/** The tracing of a worker, as configured; undefined: there is none. */
export async function openTracing(
  { tracing, network }: TracedConfig,
  log: WorkerTracingOptions['log'],
): Promise<WorkerTracing | undefined> {
  if (tracing === undefined) return undefined;
  // Loaded here, so that OpenTelemetry's packages cost nothing without tracing.
  const { WorkerTracing } = await import('./worker-tracing.ts');
  const authorities = trustedAuthorities(network.certificateAuthorities);
  return new WorkerTracing({ ...tracing, version: release(), authorities, log });
}
