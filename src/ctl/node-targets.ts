/** The targets of one node at a router. */
import { type Answer, ask, type JsonRecord, recordOf, recordsIn } from "./client.ts";

/** What a router knows of a node's targets: of one, or of several endpoints. */
export async function targetsAt(
  endpoint: string,
  id: string,
  timeoutMs: number,
): Promise<{ readonly answer: Answer; readonly several: readonly JsonRecord[] }> {
  const path = encodeURIComponent(id);
  const answer = await ask(endpoint, `/nodes/${path}`, timeoutMs);
  if (answer.kind !== "answer" || answer.status !== 404) return { answer, several: [] };
  const all = await ask(answer.endpoint, `/nodes?node=${path}`, timeoutMs);
  const rows = all.kind === "answer" && all.status === 200 ? (recordsIn(recordOf(all.body), "nodes") ?? []) : [];
  // Routers from before endpoints tell of all nodes.
  return { answer, several: rows.filter(({ node }) => node === id) };
}
