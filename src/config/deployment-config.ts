import { z } from 'zod';
import { type Env, withOverrides } from './problems.ts';

const NAME =
  'A deployment name must consist of letters, digits, dashes and underscores, at most 100, such as audience-triggers.';

const BUILD_ID =
  'A build id must consist of letters, digits, dots, dashes, underscores and plus signs, at most 100, such as 1.4.2.';

/** The deployment and build that this worker belongs to, for Temporal's worker versioning. Absent: the worker is unversioned. */
export const deploymentSchema = z
  .strictObject({
    /** The name that all builds of these workers share. */
    name: z.string().regex(/^[A-Za-z0-9][\w-]{0,99}$/, NAME),
    /** Distinguishes this build from others; workers of the same build replay each other's runs. Default: the release and a checksum of its workflow code. */
    buildId: z
      .string()
      .regex(/^[A-Za-z0-9][\w.+-]{0,99}$/, BUILD_ID)
      .optional(),
  })
  .optional();

/** The deployment in the file, overridden by the environment. A build id without a name is left for the schema to reject. */
export function deploymentOf({ deployment }: Record<string, unknown>, env: Env): object {
  const name = env('TRIGGERS_DEPLOYMENT_NAME');
  const buildId = env('TRIGGERS_BUILD_ID');
  if (name === undefined && buildId === undefined) return {};
  return { deployment: withOverrides(deployment, { name, buildId }) };
}
