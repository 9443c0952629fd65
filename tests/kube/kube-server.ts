/**
 * An API server of Kubernetes on loopback, in TLS with a certificate of its own: it asks for a token, lists in pages, and
 * sends what changes to whoever watches, over the model of model-api.ts. What goes wrong is switched on by hand.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server } from "node:https";
import { selfSigned } from "../net/certificates.ts";
import { type KubeObject, ModelApi, questionIn, type Selection } from "./model-api.ts";

interface Watcher {
  readonly selection: Selection;
  version: string;
  readonly response: ServerResponse;
}

/** How the next requests are answered, where that is not as usual. */
export interface Fault {
  readonly status: number;
  readonly message?: string;
  readonly retryAfter?: string;
}

export class KubeServer {
  readonly model = new ModelApi();
  /** The mount of a service account: token, ca.crt, namespace. */
  readonly serviceAccount: string;
  readonly requests: { readonly path: string; readonly token: string; readonly atMs: number }[] = [];
  token = "first-token";
  /** By the resource and what is done: "pods watch", "endpointslices list". */
  readonly faults = new Map<string, Fault>();
  pageMax = Number.POSITIVE_INFINITY;
  /** Answers' heads wait so long. */
  delayMs = 0;
  readonly #folder = mkdtempSync(join(tmpdir(), "infermesh-kube-"));
  readonly #tls: { readonly cert: string; readonly key: string };
  readonly #watchers = new Set<Watcher>();
  #server: Server | undefined;
  #port = 0;

  constructor() {
    this.#tls = selfSigned("kubernetes.default.svc", "IP:127.0.0.1");
    this.serviceAccount = join(this.#folder, "serviceaccount");
    mkdirSync(this.serviceAccount);
    writeFileSync(join(this.serviceAccount, "ca.crt"), this.#tls.cert);
    this.mountToken();
  }

  get port(): number {
    return this.#port;
  }

  get ca(): string {
    return this.#tls.cert;
  }

  /** What a pod's environment says of it. */
  get env(): Record<string, string> {
    return { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: String(this.#port) };
  }

  get watching(): number {
    return this.#watchers.size;
  }

  /** As the kubelet renews it. */
  mountToken(token = this.token): void {
    writeFileSync(join(this.serviceAccount, "token"), `${token}\n`);
  }

  put(resource: string, object: KubeObject): void {
    this.model.put(resource, object);
    this.#tell();
  }

  delete(resource: string, namespace: string, name: string): void {
    this.model.delete(resource, namespace, name);
    this.#tell();
  }

  bookmark(): void {
    for (const watcher of this.#watchers) {
      const event = this.model.bookmark();
      watcher.version = this.model.version;
      watcher.response.write(`${JSON.stringify(event)}\n`);
    }
  }

  /** Sends half a line to all who watch, and breaks their connections off. */
  cutWithinLine(): void {
    for (const { response } of this.#watchers) {
      response.write('{"type":"MODIFIED","object":{"metadata":', () => response.destroy());
    }
    this.#watchers.clear();
  }

  endWatches(): void {
    for (const { response } of this.#watchers) response.end();
    this.#watchers.clear();
  }

  /** Watches go on, and their versions are forgotten: whoever comes back is told so. */
  compact(): void {
    this.model.compact();
  }

  /** Opens its port, at a start or after a `close`: the same one. */
  async open(): Promise<this> {
    const server = createServer(this.#tls, (request, response) => void this.#answer(request, response));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as { port: number }).port;
    return this;
  }

  /** Nobody listens any more, and all connections are broken off. */
  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const { response } of this.#watchers) response.destroy();
    this.#watchers.clear();
    server.closeAllConnections();
    await closed;
  }

  async stop(): Promise<void> {
    await this.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url: path = "/", headers } = request;
    const token = headers.authorization ?? "";
    this.requests.push({ path, token, atMs: performance.now() });
    if (this.delayMs > 0) await Bun.sleep(this.delayMs);
    const { query, ...selection } = questionIn(path);
    const verb = query.has("watch") ? "watch" : "list";
    const fault = this.#faultOf(token, selection, verb);
    if (fault !== undefined) refuse(response, fault);
    else if (verb === "watch") this.#watch(response, selection, query.get("resourceVersion") ?? "");
    else {
      const limit = Math.min(this.pageMax, Number(query.get("limit") ?? Number.POSITIVE_INFINITY));
      const { status, body } = this.model.list(selection, limit, query.get("continue") ?? "");
      answer(response, status, body);
    }
  }

  #faultOf(token: string, { resource }: Selection, verb: string): Fault | undefined {
    if (token !== `Bearer ${this.token}`) return { status: 401, message: "Unauthorized" };
    if (resource === "") return { status: 404, message: "the server could not find the requested resource" };
    return this.faults.get(`${resource} ${verb}`);
  }

  #watch(response: ServerResponse, selection: Selection, version: string): void {
    const watcher = { selection, version, response };
    this.#watchers.add(watcher);
    response.on("close", () => this.#watchers.delete(watcher));
    // As an API server does, before there is anything to tell.
    response.writeHead(200, { "content-type": "application/json;stream=watch" });
    response.flushHeaders();
    this.#deliver(watcher);
  }

  #tell(): void {
    for (const watcher of this.#watchers) this.#deliver(watcher);
  }

  #deliver(watcher: Watcher): void {
    for (const event of this.model.since(watcher.selection, watcher.version)) {
      watcher.response.write(`${JSON.stringify(event)}\n`);
      const { metadata } = event.object as { readonly metadata?: { readonly resourceVersion?: string } };
      watcher.version = metadata?.resourceVersion ?? watcher.version;
    }
  }
}

function refuse(response: ServerResponse, { status, message = "", retryAfter }: Fault): void {
  if (retryAfter !== undefined) response.setHeader("retry-after", retryAfter);
  answer(response, status, { kind: "Status", apiVersion: "v1", status: "Failure", message, code: status });
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
