// What goes wrong is said by the client, the job and its workers, who name commands of the command line. Whoever asks over HTTP reads what to do there.

const JOB = '([\\w-](?:[\\w.-]*[\\w-])?)';

/** Commands, each with the request that is the same; the first that fits counts. `triggers worker`, `up` and `setup` are nobody's request. */
const REQUESTS: readonly (readonly [command: RegExp, request: string])[] = [
  [/triggers list/g, 'GET /v1/jobs'],
  [/triggers watch --list/g, 'GET /v1/watches'],
  [/triggers watch\b/g, 'POST /v1/watches'],
  [/triggers start … --discard-recoverable/g, 'POST /v1/jobs?discardRecoverable=1'],
  [/triggers start\b/g, 'POST /v1/jobs'],
  [/triggers dead-letters list\b/g, 'GET /v1/dead-letters'],
  [/triggers dead-letters show (\S+)/g, 'GET /v1/dead-letters/$1'],
  [/triggers backfill JOB --(pause|resume|cancel)\b/g, 'POST /v1/jobs/{job}/backfill with {"action":"$1"}'],
  [/triggers backfill\b/g, 'POST /v1/jobs/{job}/backfill'],
  [/triggers edit JOB --answer (\w{3})=dead-letter/g, 'PATCH /v1/jobs/{job} with {"answers":{"$1":"dead-letter"}}'],
  [/triggers edit JOB --all-events\b/g, 'PATCH /v1/jobs/{job} with {"events":null}'],
  [new RegExp(`triggers edit ${JOB} …`, 'g'), 'PATCH /v1/jobs/$1'],
  [/triggers edit\b/g, 'PATCH /v1/jobs/{job}'],
  [/triggers (stop) JOB --waiting (keep|discard)\b/g, 'POST /v1/jobs/{job}/$1 with {"waiting":"$2"}'],
  [new RegExp(`triggers stop ${JOB} --waiting (keep|discard)\\b`, 'g'), 'POST /v1/jobs/$1/stop with {"waiting":"$2"}'],
  [/triggers (resume|recover) JOB\b/g, 'POST /v1/jobs/{job}/$1'],
  [new RegExp(`triggers (resume|recover) ${JOB}`, 'g'), 'POST /v1/jobs/$2/$1'],
  [new RegExp(`triggers status ${JOB}`, 'g'), 'GET /v1/jobs/$1'],
  [/"triggers status"/g, 'GET /v1/jobs/{job}'],
  [/triggers stop --waiting discard\b/g, 'POST /v1/jobs/{job}/stop with {"waiting":"discard"}'],
  [/Leave --event out, or see it with: triggers[ ]render\b/g, 'Leave "event" out, or see it with: POST /v1/render'],
  [/\(--id\)/g, '(id)'],
  [/say so: --force\b/g, 'say so: force=1'],
  [/Name a person: --user\b/g, 'Name a person: "user"'],
  [/try another --user\b/gi, 'Try another "user"'],
  [/\(format (ndjson)\)/g, '(application/x-ndjson)'],
  [/\(format lines\)/g, '(application/x-ndjson)'],
];

/** The same text for whoever asks over HTTP: commands are requests there, and options are fields or parameters. */
export function inOwnWords(text: string): string {
  return REQUESTS.reduce((said, [command, request]) => said.replace(command, request), text);
}
