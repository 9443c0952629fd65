/** What came of a change of policies, for people and programs. */
import { EXIT, type JsonRecord, recordOf } from "./client.ts";
import { bodyOf, type Caller, change, listIn, type NextSteps, wholeOf } from "./control-plane.ts";
import { policyOf, specWords } from "./policy-text.ts";
import { type Format, isWhole, renderWhole } from "./render.ts";
import type { Terminal } from "./terminal.ts";
import { printable } from "../base/printable.ts";

const SET = "set";

export interface Writing extends Caller {
  readonly output: Format;
}

/** What is changed, and the words for it. */
export interface Change {
  readonly of: readonly [kind: string, name: string];
  /** It is so now: `set` unless something better is said. */
  readonly done?: string;
  /** There is no policy any more: `deleted` unless something better is said. */
  readonly undone?: string;
  /** What to do about a refusal, where there is something better to say. */
  readonly next?: NextSteps;
}

/** Has a policy changed by `method`, and tells what came of it. */
export async function write(
  config: Writing,
  terminal: Terminal,
  method: string,
  request: object,
  wanted: Change,
): Promise<number> {
  const body = bodyOf(await change(config, method, request, terminal), terminal, wanted.next);
  return typeof body === "number" ? body : tellOutcome(config.output, body, terminal, wanted);
}

/** WriteResponse of one write: a line in words, or all of it. */
export function tellOutcome(
  output: Format,
  body: JsonRecord,
  terminal: Terminal,
  { of: [kind, name], done = SET, undone = "deleted" }: Change,
): number {
  const policies = listIn(body, "policies", terminal);
  if (typeof policies === "number") return policies;
  const deleted = listIn(body, "deleted", terminal);
  if (typeof deleted === "number") return deleted;
  if (isWhole(output)) {
    terminal.out(renderWhole(output, outcomeJson(body)));
    return EXIT.ok;
  }
  const [policy] = policies.map(policyOf);
  const revision = policy?.revision ?? wholeOf(body["revision"]) ?? 0;
  const word = body["changed"] !== true ? "unchanged" : deleted.length > 0 ? undone : done;
  const dryRun = body["dryRun"] === true;
  if (output === "text") terminal.out(`${printable(`${kind}/${name}`)}\t${dryRun ? "-" : revision}\t${word}\n`);
  else {
    const would = dryRun ? "would be " : "";
    // A policy is set whole: what it said before and is not shown here it says no more.
    const spec = done === SET && policy !== undefined ? `: ${specWords(policy.spec)}` : "";
    const at = dryRun ? " (dry run)" : `, revision ${revision}`;
    terminal.out(`${printable(`${kind} ${name}`)} ${would}${word}${at}${printable(spec)}\n`);
  }
  return EXIT.ok;
}

/** The answer with policies as files have them. */
function outcomeJson(body: JsonRecord): JsonRecord {
  const { policies = [], deleted = [], ...rest } = body;
  const revision = wholeOf(body["revision"]);
  return {
    ...rest,
    ...(revision === undefined ? {} : { revision }),
    changed: body["changed"] === true,
    policies: (policies as JsonRecord[]).map(policyOf),
    deleted: (deleted as unknown[]).flatMap((key) => recordOf(key) ?? []),
  };
}
