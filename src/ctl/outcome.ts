/** What came of a change of policies, for people and programs. */
import { EXIT, type JsonRecord, recordOf } from "./client.ts";
import { bodyOf, type Caller, change, listIn, wholeOf } from "./control-plane.ts";
import { policyOf } from "./policy-text.ts";
import { type Format, isWhole, renderWhole } from "./render.ts";
import type { Terminal } from "./terminal.ts";
import { printable } from "../base/printable.ts";

export interface Writing extends Caller {
  readonly output: Format;
}

/** Has policies changed by `method` and tells what came of it; `done` is the word for a change: "set", "cordoned". */
export async function write(
  config: Writing,
  terminal: Terminal,
  method: string,
  request: object,
  done = "set",
): Promise<number> {
  const body = bodyOf(await change(config, method, request, terminal), terminal);
  return typeof body === "number" ? body : tellOutcome(config.output, body, terminal, done);
}

/** WriteResponse: a line for each policy, or all of it. */
export function tellOutcome(output: Format, body: JsonRecord, terminal: Terminal, done: string): number {
  const policies = listIn(body, "policies", terminal);
  if (typeof policies === "number") return policies;
  const deleted = listIn(body, "deleted", terminal);
  if (typeof deleted === "number") return deleted;
  if (isWhole(output)) {
    terminal.out(renderWhole(output, outcomeJson(body)));
    return EXIT.ok;
  }
  const dryRun = body["dryRun"] === true;
  const changed = body["changed"] === true;
  const lines = [
    ...policies.map((message) => {
      const { kind, name, revision } = policyOf(message);
      return { kind, name, revision, word: changed ? done : "unchanged" };
    }),
    ...deleted.map((key) => {
      return {
        kind: String(key["kind"]),
        name: String(key["name"]),
        revision: wholeOf(body["revision"]),
        word: "deleted",
      };
    }),
  ];
  for (const { kind, name, revision = "-", word } of lines) {
    if (output === "text") terminal.out(`${printable(`${kind}/${name}`)}\t${dryRun ? "-" : revision}\t${word}\n`);
    else if (dryRun)
      terminal.out(`${printable(`${kind} ${name}`)} ${word === "unchanged" ? word : `would be ${word}`} (dry run)\n`);
    else terminal.out(`${printable(`${kind} ${name}`)} ${word}, revision ${revision}\n`);
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
