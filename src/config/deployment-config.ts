import { z } from 'zod';
import { type Given, withGiven } from './environment.ts';

const NAME = 'A deployment is named by letters, digits, dashes and underscores, at most 100: audience-triggers.';
const BUILD_ID = 'A build id is letters, digits, dots, dashes, underscores and plus signs, at most 100: 1.4.2.';

/** Which version of which worker deployment this worker is, for Temporal's worker versioning. Absent: it is unversioned. */
export const deploymentSchema = z
  .strictObject({
    /** What all builds of these workers have in common. */
    name: z.string().regex(/^[A-Za-z0-9][\w-]{0,99}$/, NAME),
    /** Tells this build from others; workers of one build replay each other's runs. Default: the release and a checksum of its workflow code. */
    buildId: z
      .string()
      .regex(/^[A-Za-z0-9][\w.+-]{0,99}$/, BUILD_ID)
      .optional(),
  })
  .optional();

/** The file's deployment with the environment over it. A build id without a name is no deployment, and said to be wrong. */
export function deploymentOf({ deployment }: Record<string, unknown>, given: Given): object {
  const name = given('TRIGGERS_DEPLOYMENT_NAME');
  const buildId = given('TRIGGERS_BUILD_ID');
  if (name === undefined && buildId === undefined) return {};
  return { deployment: withGiven(deployment, { name, buildId }) };
}
