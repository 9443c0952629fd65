/** Which events somebody wants, whatever the request came by: checked, since what matches nothing looks like silence. */
import { MeshError } from "../base/errors.ts";
import { EVENT_SUBJECTS } from "../base/event-types.ts";
import { didYouMean } from "../base/nearest.ts";

/** Which events are meant: of one of the types, with all of the labels. */
export interface EventFilter {
  /** "node.joined", or "node" for all that begin with "node."; none: every type. */
  readonly types: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/** What there is of an event to choose by. */
interface Told {
  readonly type?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** What there is of an event to choose by. */
interface Told {
  readonly type?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Types and labels of one filter; each event is held against all of them. */
export const FILTERS_MAX = 32;
const SUBJECTS: readonly string[] = EVENT_SUBJECTS;
const TYPE = /^[a-z]+(\.[a-z-]+)?$/;

/** Throws a MeshError for a filter that can't be meant. */
export function checkFilter({ types, labels }: EventFilter): void {
  const count = Math.max(types.length, Object.keys(labels).length);
  if (count > FILTERS_MAX) {
    throw refusal("types", `${count} types or labels; at most ${FILTERS_MAX} of each are taken`);
  }
  for (const type of types) {
    const shown = JSON.stringify(type.slice(0, 40));
    if (!TYPE.test(type)) throw refusal("type", `type is ${shown}; expected one such as node.joined, or node`);
    const [subject = ""] = type.split(".", 1);
    if (SUBJECTS.includes(subject)) continue;
    const hint = didYouMean(subject, SUBJECTS);
    const known = `events are about ${SUBJECTS.join(", ")}`;
    throw refusal("type", `type is ${shown}; ${known}${hint === "" ? "" : `; ${hint}`}`);
  }
}

export function acceptance({ types, labels }: EventFilter): (entry: Told) => boolean {
  const wanted = Object.entries(labels);
  return (entry) =>
    (types.length === 0 || types.some((type) => entry.type === type || entry.type?.startsWith(`${type}.`) === true)) &&
    wanted.every(([label, value]) => entry.labels?.[label] === value);
}

function refusal(param: string, message: string): MeshError {
  return new MeshError("bad_request", message, { param });
}
