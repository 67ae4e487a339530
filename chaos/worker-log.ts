const WARN = 40;
/** Temporal's words for a workflow task that the code could not do; the server gives it out again, for ever. */
const TASK_FAILED = 'Failing workflow task';
/** Run ids and numbers: what differs between two complaints of a kind. */
const IDS = /[\da-f]+(?:-[\da-f]+)+|\d+/g;
const LONGEST_KIND = 60;

/** What workers complained of, over all their logs. */
export class WorkerLog {
  /** Warnings, errors and lines that are no JSON: how often, and the first of each kind. */
  readonly complaints = new Map<string, { count: number; first: string }>();

  /** The ids of the runs whose workflow tasks failed. */
  readonly failedTasks: string[] = [];

  /** @param text JSON lines, as our worker logs them; the last one may be cut off. */
  read(text: string): void {
    for (const line of text.split('\n')) if (line !== '') this.#take(line);
  }

  get workflowTaskFailures(): number {
    return this.failedTasks.length;
  }

  #take(line: string): void {
    const { level, msg, runId } = parsed(line);
    if (level < WARN) return;
    if (msg === TASK_FAILED) this.failedTasks.push(runId);
    const kind = msg.replace(IDS, '…').slice(0, LONGEST_KIND);
    const complaint = this.complaints.get(kind) ?? { count: 0, first: line };
    complaint.count++;
    this.complaints.set(kind, complaint);
  }
}

function parsed(line: string): { level: number; msg: string; runId: string } {
  try {
    const { level, msg, runId } = JSON.parse(line) as { level?: unknown; msg?: unknown; runId?: unknown }; // Whatever it is.
    return { level: Number(level ?? WARN), msg: String(msg), runId: String(runId) };
  } catch {
    return { level: WARN, msg: line, runId: '' };
  }
}
