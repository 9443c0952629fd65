/** The targets of one node at a router. */
import { type Answer, ask, recordOf, recordsIn } from "./client.ts";

/** What a router knows of a node's targets: of one, or of several endpoints. */
export async function targetsAt<Row extends { readonly node?: string }>(
  endpoint: string,
  id: string,
  timeoutMs: number,
): Promise<{ readonly answer: Answer; readonly several: readonly Row[] }> {
  const path = encodeURIComponent(id);
  const answer = await ask(endpoint, `/nodes/${path}`, timeoutMs);
  if (answer.kind !== "answer" || answer.status !== 404) return { answer, several: [] };
  const all = await ask(answer.endpoint, `/nodes?node=${path}`, timeoutMs);
  const rows = all.kind === "answer" && all.status === 200 ? (recordsIn(recordOf(all.body), "nodes") ?? []) : [];
  // Routers from before endpoints tell of all nodes.
  return { answer, several: (rows as readonly Row[]).filter(({ node }) => node === id) };
}
