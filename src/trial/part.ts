/**
 * What a self-test is made of: parts, each of which does one thing that the executable needs of itself and of the machine,
 * and looks at what came out. A part that answers nothing in time has failed like one that answers wrongly.
 */

/** Where parts are tried. */
export interface Place {
  /** The command that runs this program again. */
  readonly command: readonly string[];
  /** The URL of worker.ts, made by a file of src/ itself. */
  readonly workerEntry: URL;
  /** An empty folder for the parts' files: "" where none can be made. */
  readonly folder: string;
  /** Why there is no folder. */
  readonly folderFault: string;
}

export interface Part {
  readonly name: string;
  /** Answers what was seen to work, in a few words; throws what did not. */
  readonly run: (place: Place) => Promise<string> | string;
}

export interface Outcome {
  readonly name: string;
  readonly result: "ok" | "failed" | "left out";
  readonly tookMs: number;
  readonly detail: string;
}

/** What can't be tried here, and says nothing of the executable. */
export class LeftOut extends Error {
  override readonly name = "LeftOut";
}

export class TrialFault extends Error {
  override readonly name = "TrialFault";
}

export function must(isSo: boolean, otherwise: string): asserts isSo {
  if (!isSo) throw new TrialFault(otherwise);
}

/** Both are shown where they differ. */
export function mustEqual(what: string, found: unknown, expected: unknown): void {
  const [ours, theirs] = [JSON.stringify(found), JSON.stringify(expected)];
  must(ours === theirs, `${what}: found ${ours}, expected ${theirs}`);
}

/** The code of what is thrown; throws where nothing is. */
export async function refusalOf(what: string, attempt: () => Promise<unknown>): Promise<string> {
  try {
    await attempt();
  } catch (error) {
    return String((error as { code?: unknown }).code ?? error);
  }
  throw new TrialFault(`${what} was not refused`);
}

/** A folder for files, which some roots have none for. */
export function folderOf({ folder, folderFault }: Place): string {
  must(folder !== "", `no file can be written: ${folderFault}`);
  return folder;
}

/** Tries the parts one after the other, and tells of each as it ends. */
export async function tryParts(
  parts: readonly Part[],
  place: Place,
  limitMs: number,
  tell: (outcome: Outcome) => void,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const part of parts) {
    const outcome = await tryPart(part, place, limitMs);
    tell(outcome);
    outcomes.push(outcome);
  }
  return outcomes;
}

async function tryPart({ name, run }: Part, place: Place, limitMs: number): Promise<Outcome> {
  const startMs = performance.now();
  const outcome = (result: Outcome["result"], detail: string): Outcome => {
    return { name, result, tookMs: performance.now() - startMs, detail };
  };
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new TrialFault(`no result within ${limitMs} ms`)), limitMs);
  try {
    return outcome("ok", await Promise.race([Promise.resolve(place).then(run), late.promise]));
  } catch (error) {
    const { message, code } = error as { message?: unknown; code?: unknown };
    const words = typeof message === "string" && message !== "" ? message : String(code ?? error);
    return outcome(error instanceof LeftOut ? "left out" : "failed", words);
  } finally {
    clearTimeout(timer);
  }
}
