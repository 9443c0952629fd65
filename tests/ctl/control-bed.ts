/**
 * A control plane that keeps its policies in memory and answers as documented (proto/control_plane.proto, by the Connect
 * protocol's unary JSON), and a way to run a command line of ctl against it in this process.
 */
import { CTL_GROUPS } from "../../src/ctl/catalogue-groups.ts";
import { commandOf, CTL } from "../../src/ctl/catalogue.ts";
import { runCommandLine } from "../../src/ctl/command.ts";
import { wordOf } from "../../src/ctl/render.ts";

export type Json = Record<string, unknown>;

export interface Call {
  readonly method: string;
  readonly body: Json;
}

interface Held {
  readonly kind: string;
  readonly name: string;
  readonly spec: unknown;
  readonly revision: number;
  readonly createdRevision: number;
}

const UPDATED_AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

/** An error as Connect answers it. */
export function refusal(code: string, status: number, message: string, detail: Json = {}): Response {
  const type = "infermesh.control.v1.ErrorDetail";
  return Response.json({ code, message, details: [{ type, value: "", debug: detail }] }, { status });
}

export class ControlBed {
  readonly #server: ReturnType<typeof Bun.serve>;
  readonly #policies = new Map<string, Held>();
  #revision = 0;
  /** Every call so far. */
  readonly calls: Call[] = [];
  /** What the next calls are answered instead, one each. */
  readonly instead: (() => Response | Promise<Response>)[] = [];
  /** Answers of methods that keep nothing. */
  readonly answers = new Map<string, (body: Json) => Json | Response>();
  /** What is not a method. */
  readonly paths = new Map<string, (request: Request) => Json | Response>();

  constructor() {
    this.#server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: (request) => this.#serve(request) });
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  get policies(): readonly string[] {
    return [...this.#policies.keys()];
  }

  /** Bodies of all calls of a method. */
  bodies(method: string): Json[] {
    return this.calls.filter((call) => call.method === method).map(({ body }) => body);
  }

  async #serve(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const [, service = "", method = ""] = pathname.split("/");
    if (service !== "infermesh.control.v1.ControlPlane") {
      const answer = this.paths.get(pathname)?.(request);
      if (answer === undefined) return Response.json({ error: { message: `nothing at ${pathname}` } }, { status: 404 });
      return answer instanceof Response ? answer : Response.json(answer);
    }
    if (request.method !== "POST" || request.headers.get("content-type") !== "application/json") {
      return refusal("invalid_argument", 415, "not a Connect request");
    }
    const body = (await request.json()) as Json;
    this.calls.push({ method, body });
    const instead = this.instead.shift();
    if (instead !== undefined) return instead();
    const answer = this.answers.get(method)?.(body) ?? this.#policyMethod(method, body);
    return answer instanceof Response ? answer : Response.json(answer);
  }

  #policyMethod(method: string, body: Json): Json | Response {
    const kind = wordOf(body["kind"] ?? "");
    const name = wordOf(body["name"] ?? "");
    if (method === "ListPolicies") return this.#list((held) => kind === "" || held.kind === kind);
    if (method === "ListPins") {
      return this.#list((held) => held.kind === "pin" && [undefined, held.name].includes(body["model"] as string));
    }
    if (method === "GetPolicy") {
      const held = this.#policies.get(`${kind}/${name}`);
      if (held === undefined) return refusal("not_found", 404, `there is no policy ${kind}/${name}`);
      return { policy: messageOf(held), revision: String(this.#revision) };
    }
    const writes = writesOf(method, body);
    if (writes === undefined) return refusal("unimplemented", 501, `no method ${method}`);
    return this.#write(writes, body["dryRun"] === true);
  }

  #list(wanted: (held: Held) => boolean): Json {
    return {
      policies: [...this.#policies.values()].filter(wanted).map(messageOf),
      revision: String(this.#revision),
    };
  }

  #write(writes: readonly Json[], dryRun: boolean): Json | Response {
    const next = this.#revision + 1;
    const policies: Json[] = [];
    const deleted: Json[] = [];
    const steps: (() => void)[] = [];
    for (const [at, write] of writes.entries()) {
      const { kind = "", name = "", ...rest } = (write["put"] ?? write["delete"]) as Json;
      const key = `${wordOf(kind)}/${wordOf(name)}`;
      const before = this.#policies.get(key);
      const { ifRevision } = write;
      if (ifRevision !== undefined && Number(ifRevision) !== (before?.revision ?? 0)) {
        const message = `${key} has revision ${before?.revision ?? 0}, not ${wordOf(ifRevision)}`;
        return refusal("aborted", 409, message, {
          code: "conflict",
          write: at,
          ...(before === undefined ? {} : { current: messageOf(before) }),
        });
      }
      if (write["delete"] !== undefined) {
        if (before === undefined) return refusal("not_found", 404, `there is no policy ${key}`);
        deleted.push({ kind, name });
        steps.push(() => this.#policies.delete(key));
        continue;
      }
      const spec = rest[wordOf(kind)] as Json;
      if (spec["minReplicas"] === 99) {
        return refusal("invalid_argument", 400, `writes[${at}].put.spec.minReplicas: found 99; expected less`, {
          code: "bad_request",
        });
      }
      const same = before !== undefined && Bun.deepEquals(before.spec, spec);
      const held: Held = {
        kind: wordOf(kind),
        name: wordOf(name),
        spec,
        revision: same ? before.revision : next,
        createdRevision: before?.createdRevision ?? next,
      };
      policies.push(messageOf(held));
      if (!same) steps.push(() => this.#policies.set(key, held));
    }
    if (!dryRun && steps.length > 0) {
      this.#revision = next;
      for (const step of steps) step();
    }
    const changed = steps.length > 0;
    return { policies, deleted, revision: String(this.#revision), changed, ...(dryRun ? { dryRun } : {}) };
  }

  stop(): Promise<void> {
    return this.#server.stop(true);
  }
}

function messageOf({ kind, name, spec, revision, createdRevision }: Held): Json {
  const numbers = { revision: String(revision), createdRevision: String(createdRevision) };
  return { kind, name, [kind]: spec, ...numbers, updatedAtMs: String(UPDATED_AT_MS) };
}

/** What a method that writes comes to, as a batch. */
function writesOf(method: string, body: Json): readonly Json[] | undefined {
  const { ifRevision, idempotencyKey: _key, dryRun: _dryRun, ...rest } = body;
  const how = ifRevision === undefined ? {} : { ifRevision };
  const { model, id, reason } = rest;
  const node = (spec: Json) => [{ put: { kind: "node", name: id, node: { ...spec, reason: reason ?? "" } }, ...how }];
  switch (method) {
    case "ApplyPolicies":
      return body["writes"] as Json[];
    case "SetPolicy":
      return [{ put: rest, ...how }];
    case "DeletePolicy":
      return [{ delete: rest, ...how }];
    case "PinModel": {
      const { model: _, ...pin } = rest;
      return [{ put: { kind: "pin", name: model, pin }, ...how }];
    }
    case "UnpinModel":
      return [{ delete: { kind: "pin", name: model }, ...how }];
    case "DrainNode":
      return node({ draining: true });
    case "UndrainNode":
      return node({ draining: false });
    case "CordonNode":
      return node({ cordoned: true });
    case "UncordonNode":
      return node({ cordoned: false });
    default:
      return undefined;
  }
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** What was shown of how far it was. */
  readonly progress: readonly string[];
}

export interface Running {
  readonly env?: Record<string, string>;
  readonly color?: boolean;
  /** Of a terminal that is looked at. */
  readonly size?: { readonly columns: number; readonly lines: number };
  /** Called with all output so far, after each part of it. */
  readonly onOut?: (out: string) => void;
  readonly onErr?: (err: string) => void;
}

/** Runs `infermesh ctl WORDS` in this process against an endpoint. */
export async function ctl(endpoint: string, words: readonly string[], how: Running = {}): Promise<Ran> {
  let [out, err] = ["", ""];
  const progress: string[] = [];
  const [first = "", second = "", ...others] = words;
  const group = Object.hasOwn(CTL_GROUPS, first) ? CTL_GROUPS[first]?.entries : undefined;
  const entry = group === undefined ? CTL[first] : group[second];
  if (entry === undefined) throw new Error(`there is no command ${words.join(" ")}`);
  const name = group === undefined ? `ctl ${first}` : `ctl ${first} ${second}`;
  const args = group === undefined ? words.slice(1) : others;
  const env = { INFERMESH_CTL_CONFIG: "/nonexistent/config.yaml", INFERMESH_ENDPOINT: endpoint, ...how.env };
  const terminal = {
    color: how.color ?? false,
    size: how.size,
    out(text: string) {
      out += text;
      how.onOut?.(out);
    },
    err(text: string) {
      err += text;
      how.onErr?.(err);
    },
    progress: (text: string) => void progress.push(text),
  };
  const command = await commandOf(name, entry);
  const code = await runCommandLine(command, args, {
    env,
    terminal,
    columns: 100,
    variables: () => Promise.resolve(new Set(Object.keys(env))),
  });
  return { code, out, err: err.replaceAll(endpoint, "ENDPOINT"), progress };
}
