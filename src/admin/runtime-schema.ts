/** GET /runtime and what is wanted of the runtime, for the OpenAPI document of an agent that runs one. */
import { type ApiPart, ERROR } from "./gpu-schema.ts";
import { FLAG, INTEGER, type Json, object, TEXT } from "./reading-schema.ts";

const STATES = ["stopped", "starting", "ready", "failing", "backoff", "crash-looping", "stopping"];
const TIME = { type: "string", format: "date-time" };
const LINES = { type: "array", items: TEXT, description: "The oldest first." };
const LAST_EXIT = object({ at: TIME, how: TEXT, lastLines: LINES }, ["at", "how", "lastLines"]);

const STATUS = {
  state: { type: "string", enum: STATES },
  message: { type: "string", description: "Why it is so." },
  since: TIME,
  program: TEXT,
  pid: { type: ["integer", "null"] },
  startedAt: { type: ["string", "null"], format: "date-time" },
  restarts: INTEGER,
  detached: FLAG,
  lastExit: { ...LAST_EXIT, type: ["object", "null"] },
  log: { type: "string", description: "The file that it writes to." },
  lastLines: LINES,
};

const CONTENT = { "application/json": { schema: { $ref: "#/components/schemas/runtime.Status" } } };

function operation(id: string, summary: string, status: string): Json {
  const failed = { $ref: "#/components/schemas/runtime.Error" };
  return {
    tags: ["runtime"],
    operationId: id,
    summary,
    responses: {
      [status]: { description: "How the runtime is.", content: CONTENT },
      default: { description: "It failed.", content: { "application/json": { schema: failed } } },
    },
  };
}

const post = (action: string, summary: string): Json => ({ post: operation(`runtime.${action}`, summary, "202") });

export const RUNTIME_API: ApiPart = {
  paths: {
    "/runtime": { get: operation("runtime.get", "The process that the agent runs as its runtime.", "200") },
    "/runtime/start": post("start", "Starts it, also out of a crash loop."),
    "/runtime/restart": post("restart", "Ends it, and starts it anew."),
    "/runtime/stop": post("stop", "Ends it; it stays down."),
  },
  schemas: { "runtime.Error": ERROR, "runtime.Status": object(STATUS, Object.keys(STATUS)) },
};
