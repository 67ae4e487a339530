/** Most problems of one file that are reported, so that a file that is wrong everywhere does not fill the log. */
const MAX_PROBLEMS_PER_FILE = 20;

/** A file in one state of its content. */
export interface MarkedFile {
  /** As people know it, within the source's folder. */
  readonly name: string;
  readonly mark: string;
}

/** Reports each problem once, and at most 20 of one file, until the file has changed. */
export class ProblemReport {
  readonly #tell: (text: string) => void;
  readonly #told = new Map<string, { mark: string; problems: Set<string> }>();

  constructor(tell: (text: string) => void) {
    this.#tell = tell;
  }

  /** @param what begins with where in the file: `line 7: …`. */
  add({ name, mark }: MarkedFile, what: string): void {
    const before = this.#told.get(name);
    const told = before?.mark === mark ? before : { mark, problems: new Set<string>() };
    this.#told.set(name, told);
    const { problems } = told;
    if (problems.has(what) || problems.size > MAX_PROBLEMS_PER_FILE) return;
    problems.add(what);
    if (problems.size <= MAX_PROBLEMS_PER_FILE) this.#tell(`${name}, ${what}`);
    else this.#tell(`${name} has more problems than these ${MAX_PROBLEMS_PER_FILE}; the others are not reported.`);
  }
}
