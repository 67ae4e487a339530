// What the API refuses says what to do over HTTP. Whoever looks at a page reads where that is on the page.

const JOB = String.raw`\/v1\/jobs\/(?:\{job\}|[\w-](?:[\w.-]*[\w-])?)`;
const about = (request: string): RegExp => new RegExp(request.replace('JOB', JOB), 'g');

/** Requests, each with where a person does the same; the first that fits counts. */
const PLACES: readonly (readonly [request: RegExp, place: string])[] = [
  [/POST \/v1\/jobs\?discardRecoverable=1/g, '“Start, and give that up”'],
  [/GET \/v1\/dead-letters(?:\/[\w{}-]+)?/g, 'the page “Dead letters”'],
  [about('POST JOB/backfill with {"action":"pause"}'), '“Pause backfill” on the page of the job'],
  [about('POST JOB/backfill with {"action":"resume"}'), '“Resume backfill” on the page of the job'],
  [about('POST JOB/backfill with {"action":"cancel"}'), '“Cancel backfill” on the page of the job'],
  [about('POST JOB/backfill'), '“Backfill” on the page of the job'],
  [about('POST JOB/stop with {"waiting":"keep"}'), '“Stop” on the page of the job, and “Keep it”'],
  [about('POST JOB/stop with {"waiting":"discard"}'), '“Stop” on the page of the job, and “Discard it”'],
  [about('POST JOB/resume'), '“Resume” on the page of the job'],
  [about('POST JOB/recover'), '“Recover” on the page of the job'],
  [about('PATCH JOB with {"events":null}'), '“Edit” on the page of the job, and both events'],
  [about('PATCH JOB'), '“Edit” on the page of the job'],
  [about('GET JOB'), 'the page of the job'],
  [/GET \/v1\/jobs(?!\/)/g, 'the page “Jobs”'],
  [/POST \/v1\/jobs(?!\/)/g, '“New job”'],
  [/GET \/v1\/watches(?!\/)/g, 'the page “Inputs”'],
  [/POST \/v1\/watches(?!\/)/g, '“Watch an audience” on the page “Inputs”'],
  [/POST \/v1\/render/g, '“The message” beside the form'],
  [/say so: force=1/g, 'say so by the button below'],
];

/** The same text for whoever looks at a page. */
export function inPageWords(text: string): string {
  return PLACES.reduce((said, [request, place]) => said.replace(request, place), text);
}
