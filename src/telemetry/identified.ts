/** Which server answers, by asking it (runtimes/identify.ts); or why that can't be told. */
import type { Answer } from "../runtimes/adapter.ts";
import { Identification, type Identity } from "../runtimes/identify.ts";
import type { RuntimeClient } from "./runtime-client.ts";

/** Nobody listens, or nobody can be reached. */
export interface Absent {
  readonly absent: string;
}

/** Somebody listens whom nobody knows. */
export interface Stranger {
  readonly stranger: string;
  /** Its answers are those of a node of a mesh. */
  readonly isOfMesh?: true;
}

const ANSWER_BYTES_MAX = 1024 ** 2;

export async function identified(
  client: Pick<RuntimeClient, "ask">,
  timeoutMs: number,
): Promise<Identity | Absent | Stranger> {
  const search = new Identification();
  for (let ask = search.take(); ask !== undefined; ask = search.take()) {
    const asked = await client.ask(ask, { timeoutMs, bytesMax: ANSWER_BYTES_MAX });
    if (!asked.ok && (asked.kind === "refused" || asked.kind === "unreachable")) return { absent: asked.message };
    // What answers nothing answers the next question neither.
    if (!asked.ok && (asked.kind === "timeout" || asked.kind === "broken" || asked.kind === "secret"))
      return { stranger: asked.message };
    if (asked.ok && asked.isFromMesh) return { stranger: "it is a node of a mesh", isOfMesh: true };
    search.answered(asked.ok ? (asked.answer satisfies Answer) : undefined);
  }
  // A mock or a router of this mesh is no runtime to look after.
  if (search.found?.kind === "mock") return { stranger: "it is a mock of a mesh", isOfMesh: true };
  return search.found ?? { stranger: search.isDenied ? "it wants a key" : "it is no server that is known" };
}
