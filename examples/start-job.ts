// Starts a job, sends it an enter and an exit, and looks at it. Run with `triggers up` and `triggers receive` beside it:
//
//   npx tsx examples/start-job.ts [job.json]
//
// In a project of yours the import is: import { ExportJobs, JobAlreadyRunning } from 'audience-triggers/client';
import { readFile } from 'node:fs/promises';
import { ExportJobs, JobAlreadyRunning, type JobDefinitionInput } from '../src/app/export-jobs.ts';

const file = process.argv[2] ?? new URL('job.json', import.meta.url);
const definition = JSON.parse(await readFile(file, 'utf8')) as JobDefinitionInput; // Checked by `start`.

const jobs = await ExportJobs.connect(); // As TEMPORAL_ADDRESS and its kin say.
try {
  const jobId = await startOnce(definition);
  const audience = definition.audiences[0] ?? '';
  const user = '7076027172059065053';
  await jobs.enter(jobId, { audience, user, at: new Date().toISOString() });
  await jobs.exit(jobId, { audience, user, at: new Date().toISOString(), profile: { email: 'beth@example.com' } });

  const { state, received, delivered, waiting } = await jobs.status(jobId);
  console.log(JSON.stringify({ jobId, state, received, delivered, waiting }));
} finally {
  await jobs.close();
}

async function startOnce(job: JobDefinitionInput): Promise<string> {
  try {
    const { jobId, warnings } = await jobs.start(job);
    for (const warning of warnings) console.warn(warning);
    return jobId;
  } catch (error) {
    if (error instanceof JobAlreadyRunning) return error.jobId;
    throw error;
  }
}
