/** What a request for events asks for: from where, which, at once or as they happen, and in which form. */
import type { Context } from "hono";
import { MeshError } from "../base/errors.ts";
import { didYouMean } from "../base/nearest.ts";
import { checkFilter, type EventFilter, FILTERS_MAX } from "./event-filter.ts";

export interface EventRequest {
  /** Undefined: from now on for a watch, else all that is kept. */
  readonly after: number | undefined;
  readonly watch: boolean;
  readonly sse: boolean;
  readonly filter: EventFilter;
}

const PARAMETERS = ["after", "since", "watch", "type", "label"];
/** Those that may be given more than once. */
const LISTS = new Set(["type", "label"]);
const SSE_TYPE = "text/event-stream";

export function eventParameters(c: Context): EventRequest {
  const given = c.req.queries();
  for (const [name, values] of Object.entries(given)) {
    if (!PARAMETERS.includes(name)) {
      const hint = didYouMean(name, PARAMETERS);
      const names = "after or watch, since, type or label";
      throw refusal(
        name,
        `there is no parameter ${JSON.stringify(name.slice(0, 40))}; expected ${names}${hint === "" ? "" : `; ${hint}`}`,
      );
    }
    if (values.length > 1 && !LISTS.has(name)) {
      throw refusal(name, `${name} is given ${values.length} times; expected once`);
    }
    if (values.length > FILTERS_MAX) throw refusal(name, `${name} is given more than ${FILTERS_MAX} times`);
  }
  const [watch] = given["watch"] ?? [];
  if (watch !== undefined && watch !== "1" && watch !== "0") {
    throw refusal("watch", `watch is ${shown(watch)}; expected 1, or 0 for an answer at once`);
  }
  // A browser that asks for server-sent events means a watch, and tells where it was when its connection broke.
  const sse = watch !== "0" && (c.req.header("accept") ?? "").includes(SSE_TYPE);
  const filter = {
    types: (given["type"] ?? []).flatMap((value) => value.split(",")),
    labels: labelsIn(given["label"] ?? []),
  };
  checkFilter(filter);
  return {
    after: numberIn("after", given) ?? numberIn("since", given) ?? (sse ? lastEventId(c) : undefined),
    watch: watch === "1" || sse,
    sse,
    filter,
  };
}

function numberIn(name: string, given: Readonly<Record<string, readonly string[]>>): number | undefined {
  const [text] = given[name] ?? [];
  if (text === undefined) return undefined;
  const seq = sequence(text);
  if (seq !== undefined) return seq;
  throw refusal(
    name,
    `${name} is ${shown(text)}; expected the number of an event, such as the "next" of the last answer`,
  );
}

/** One that was never ours is not held against a browser: it begins anew. */
function lastEventId(c: Context): number | undefined {
  return sequence(c.req.header("last-event-id") ?? "");
}

function sequence(text: string): number | undefined {
  const seq = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(seq) ? seq : undefined;
}

function labelsIn(values: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    values.map((value): [string, string] => {
      const at = value.indexOf("=");
      if (at > 0) return [value.slice(0, at), value.slice(at + 1)];
      throw refusal("label", `label is ${shown(value)}; expected NAME=VALUE`);
    }),
  );
}

function refusal(param: string, message: string): MeshError {
  return new MeshError("bad_request", message, { param });
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 40));
}
