/** What `describe-node` shows of a runtime that its node runs as a process. */
import { type JsonRecord, recordOf } from "./client.ts";
import { localTime } from "./events.ts";
import type { Facts } from "./render.ts";

const RUNTIME_LINES_SHOWN = 5;

/** The runtime's process, where the node has started it; undefined where it has not. */
export function runtimeFacts(status: JsonRecord | null): Facts | undefined {
  const runtime = recordOf(status?.["runtime"]);
  if (runtime === undefined) return undefined;
  const text = (key: string): string => {
    const value = runtime[key];
    return typeof value === "string" || typeof value === "number" ? String(value) : "";
  };
  const exit = recordOf(runtime["lastExit"]);
  const at = exit === undefined ? undefined : exit["at"];
  const linesOf = (lines: unknown): string[] =>
    Array.isArray(lines) ? lines.filter((line) => typeof line === "string").slice(-RUNTIME_LINES_SHOWN) : [];
  const facts: [string, string][] = [
    ["state", `${text("state") || "unknown"}${text("message") === "" ? "" : `: ${text("message")}`}`],
    ["since", localTime(text("since"))],
    ["program", text("program") || "-"],
    ["pid", text("pid") || "-"],
    ["started", text("startedAt") === "" ? "-" : localTime(text("startedAt"))],
    ["restarts", text("restarts") || "-"],
    ["detached", runtime["detached"] === true ? "yes: it outlives the agent" : "no: it ends with the agent"],
    ["last exit", exit === undefined ? "-" : `${localTime(typeof at === "string" ? at : "")} ${String(exit["how"])}`],
    ...linesOf(exit?.["lastLines"]).map((line): [string, string] => ["its last", line]),
    ["log", text("log") || "-"],
    ...linesOf(runtime["lastLines"]).map((line): [string, string] => ["it writes", line]),
  ];
  return { title: "Runtime", facts };
}
