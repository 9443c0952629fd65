/** One worker's data plane inside the test's own thread, between scripted upstreams and raw clients. */
import { afterEach } from "bun:test";
import type { Socket } from "bun";
import type { SplitRole } from "../../src/fleet/role.ts";
import type { Protocol } from "../../src/base/settings-urls.ts";
import { BunTransport } from "../../src/net/bun-streams.ts";
import { Dialer } from "../../src/net/dialer.ts";
import { EpollTransport } from "../../src/net/epoll.ts";
import { openListeners } from "../../src/net/listen.ts";
import { alarmsOf } from "../../src/net/stream.ts";
import type { Transport } from "../../src/net/stream.ts";
import { WorkerStats } from "../../src/obs/worker-stats.ts";
import { aliasSettings } from "../../src/flow/aliases.ts";
import { cacheSettings } from "../../src/flow/response-cache.ts";
import { clientHandlers } from "../../src/proxy/client.ts";
import type { FrontConnection } from "../../src/proxy/client.ts";
import { shareReadings, tick } from "../../src/proxy/clock.ts";
import { Content } from "../../src/proxy/content.ts";
import type { ContentSettings } from "../../src/proxy/content.ts";
import type { WorkerContext } from "../../src/proxy/context.ts";
import { Deadlines } from "../../src/proxy/deadlines.ts";
import { Enforcement } from "../../src/proxy/enforcement.ts";
import { healthOf } from "../../src/proxy/grpc-health.ts";
import { HealthWatches } from "../../src/proxy/health-watches.ts";
import { Http2Front } from "../../src/proxy/http2-front.ts";
import { Wires } from "../../src/proxy/http2-wire.ts";
import { poolOf } from "../../src/proxy/pairs.ts";
import type { RouteModel, RouteRow } from "../../src/proxy/protocol.ts";
import { KnownHeads } from "../../src/proxy/known-heads.ts";
import type { LateDesk } from "../../src/proxy/late-desk.ts";
import { LateLine } from "../../src/proxy/late-line.ts";
import type { LateNews } from "../../src/proxy/late-news.ts";
import { LateService } from "../../src/proxy/late-service.ts";
import { LoadReports, type RowReport, unpackReports } from "../../src/proxy/load-reports.ts";
import { RestlessClients } from "../../src/proxy/restless.ts";
import { type PrefixNote, PrefixNotes, unpackNotes } from "../../src/proxy/prefix-notes.ts";
import type { PrefixStart } from "../../src/proxy/prefixes.ts";
import { Routes } from "../../src/proxy/routes.ts";
import { type Ask, Shares } from "../../src/proxy/shares.ts";
import type { ProxyConfig } from "../../src/proxy/settings.ts";
import { Shadows } from "../../src/proxy/shadows.ts";
import { openChoosing } from "../../src/proxy/strategies.ts";
import { proxySettings } from "../../src/proxy/settings.ts";
import { revisionPool } from "../../src/proxy/splits.ts";
import type { Tracer } from "../../src/proxy/tracing.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { Decisions } from "../../src/proxy/decisions.ts";
import { Dispatch, type ModelFlow } from "../../src/proxy/dispatch.ts";
import { flowSettings, type FlowConfig } from "../../src/flow/settings.ts";
import { RateLimit } from "../../src/flow/rate-limit.ts";
import { type ApiConfig, apiSettings } from "../../src/wire/api-access.ts";
import { forwardedSettings } from "../../src/wire/forwarded.ts";
import { rewriteSettings } from "../../src/wire/rewrite-settings.ts";
import { securitySettings } from "../../src/wire/security-headers.ts";
import { costSettings, rowValues, UNROUTABLE } from "../../src/score/cost.ts";
import { FirstTokens } from "../../src/score/first-tokens.ts";
import { PrefixIndex } from "../../src/score/prefix-index.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import type { Item } from "../../src/policy/item.ts";
import type { Put } from "../../src/policy/write.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { TableWriter } from "../../src/score/table-writer.ts";

/** The defaults of failure handling, for tests that change a part of them. */
export const FLOW: FlowConfig = defaultsOf(flowSettings);

/** What is done to requests and answers by default: nothing. */
export const CONTENT: ContentSettings = {
  aliases: defaultsOf(aliasSettings),
  rewrite: defaultsOf(rewriteSettings),
  upstreamKeys: [],
  cache: defaultsOf(cacheSettings),
  forwarded: defaultsOf(forwardedSettings),
  security: defaultsOf(securitySettings),
};

export interface RelayConfig extends Partial<ProxyConfig> {
  readonly flow?: Partial<FlowConfig>;
  readonly content?: Partial<ContentSettings>;
  readonly paths?: Partial<ApiConfig>;
  readonly prefixes?: PrefixStart;
}

const SIZES = { targetsMax: 256, modelsMax: 8, workersMax: 2 };

/** An upstream, the model that it serves, and how. */
export interface Serves {
  readonly port: number;
  readonly name: string;
  readonly protocol: Protocol;
  readonly tellsLoad?: boolean;
  readonly role?: SplitRole;
  /** One that a split or a shadow names; there must be another target of the model as well. */
  readonly revision?: string;
}

export function by(protocol: Protocol, port: number, name = "m"): Serves {
  return { port, name, protocol };
}

let transportKind: Transport["kind"] = "epoll";

/** What carries the streams of the relays that are made from now on. */
export function useTransport(kind: Transport["kind"]): void {
  transportKind = kind;
}

function transportOf(): Transport {
  if (transportKind === "bun") return new BunTransport();
  // Clients and upstreams of a test share its thread, and their timers.
  const lane = EpollTransport.open(shareReadings, 1);
  if ("reason" in lane) throw new Error(lane.reason);
  return lane;
}

export class Relay {
  readonly context: WorkerContext;
  readonly connections = new Set<FrontConnection>();
  readonly stats = WorkerStats.create(SIZES);
  readonly rows: number[] = [];
  readonly table = ScoreTable.create(SIZES);
  /** What it notes of first tokens. */
  readonly firstTokens = FirstTokens.create(this.table);
  readonly port: number;
  /** What its shares of quotas ask for. */
  readonly asked: Parameters<Ask>[] = [];
  /** What its worker told people. */
  readonly notices: string[] = [];
  /** What its targets told of their load. */
  readonly loads: RowReport[] = [];
  /** Which prompts it sent where, for other routers. */
  readonly notes: PrefixNote[] = [];
  /** Where its requests wait that are bound late. */
  readonly late: LateDesk;
  readonly shares: Shares;
  readonly enforcement: Enforcement;
  readonly #lateService: LateService;
  /** What its desk has not heard while its thread is held up; null: it is not. */
  #unheard: LateNews[] | null = null;
  readonly #transport: Transport;
  readonly #stopAccepting: () => void;
  readonly #sweep: ReturnType<typeof setInterval>;

  /** A relay in front of these upstreams; those that are only a port serve model "m" by HTTP. */
  constructor(
    upstreams: readonly (number | Serves)[],
    config: RelayConfig = {},
    maxBodyBytes = 1 << 20,
    tracer: Tracer | null = null,
  ) {
    const proxy: ProxyConfig = { ...defaultsOf(proxySettings), ...config };
    const flow: FlowConfig = { ...FLOW, ...config.flow };
    const cost = defaultsOf(costSettings);
    const writer = new TableWriter(this.table);
    this.#transport = transportOf();
    const wires = new Wires((tell) => this.#transport.later(tell));
    const alarm = alarmsOf(this.#transport);
    const routes = new Routes(new Dialer(this.#transport, { verify: true }), wires);
    const models = new Map<string, RouteModel>();
    const rows: RouteRow[] = upstreams.map((upstream, index) => {
      const serves = typeof upstream === "number" ? by("http", upstream) : upstream;
      const { port, name, protocol, tellsLoad = false, role, revision = "" } = serves;
      // One with a role, or of a revision, is of a model all the same, and of a pool of it besides.
      const modelOf = (pool: string): number => {
        const key = `${protocol} ${name} ${pool}`;
        const id = models.get(key)?.id ?? writer.addModel();
        models.set(key, { id, name, protocol, created: 1, ...(pool === "" ? {} : { pool }) });
        return id;
      };
      const whole = modelOf("");
      const pool = role === undefined ? revisionPool(revision) : poolOf(role);
      const model = pool === "" ? whole : modelOf(pool);
      const row = writer.addRow(model);
      this.rows.push(row);
      writer.write(row, rowValues(null, { ...UNROUTABLE, ready: true }, cost));
      return {
        row,
        model,
        protocol,
        node: `up${index + 1}`,
        host: "127.0.0.1",
        port,
        tls: false,
        weight: 1,
        tellsLoad,
        ...(role === undefined ? {} : { role }),
      };
    });
    routes.apply({ version: 1, models: [...models.values()], rows }, proxy);
    const counters = this.stats.forWorker(0);
    const content = new Content({ ...CONTENT, ...config.content }, "http", 1);
    routes.setAliases(content.aliases);
    const index = config.prefixes === undefined ? null : PrefixIndex.attach(config.prefixes.index);
    const lateService = new LateService(flow, this.table, index, (_worker, bound) =>
      queueMicrotask(() => late.bound(bound)),
    );
    this.late = lateService.desk;
    const late = new LateLine<ModelFlow>(
      flow.late,
      this.table,
      0,
      lateService.waiting,
      this.#transport,
      counters,
      (news) => this.#tellDesk(news),
    );
    const notes = new PrefixNotes(alarm(), (packed) => this.notes.push(...unpackNotes(packed)));
    this.#lateService = lateService;
    this.context = {
      index: 0,
      config: proxy,
      maxBodyBytes,
      allowRegister: false,
      routes,
      table: this.table,
      firstTokens: this.firstTokens,
      decisions: new Decisions(this.table),
      ...openChoosing(config.prefixes ?? null, notes, {
        index: 0,
        table: this.table,
        routes,
        picker: new TypeScriptPicker(this.table),
        config: proxy,
        late,
        counters,
        notice: (text) => void this.notices.push(text),
        enforcement: () => this.context.enforcement,
        patienceMs: () => flow.late.patienceMs,
      }),
      shadows: new Shadows(() => this.context),
      counters,
      heads: new KnownHeads(),
      dispatch: new Dispatch(flow, this.table, (id) => routes.rowsOf(id), alarm(), counters, late),
      late,
      deadlines: new Deadlines(alarm()),
      loads: new LoadReports(this.table, counters, alarm(), (packed) => this.loads.push(...unpackReports(packed))),
      wires,
      limits: new RateLimit(flow.limit),
      watches: new HealthWatches((service) => healthOf(this.context, service)),
      restless: new RestlessClients(),
      paths: { ...defaultsOf(apiSettings), ...config.paths },
      content,
      enforcement: null,
      tracer,
      heldBytes: 0,
      draining: false,
      ebbing: false,
      quietMs: 0,
      refuses: false,
      control: (_path, _body, reply) => reply(500, "{}"),
    };
    this.shares = new Shares("r/1/0", 1, alarm(), (...asked) => this.asked.push(asked));
    this.enforcement = new Enforcement(this.shares, counters);
    const handlers = clientHandlers(this.context, this.connections, (...of) => new Http2Front(this.context, ...of));
    const listeners = openListeners({ host: "127.0.0.1", port: 0 }, 1);
    if (listeners === null) throw new Error("these tests need a Linux libc");
    this.port = listeners.port;
    this.#stopAccepting = this.#transport.adopt(listeners.duplicate(0), handlers);
    listeners.close();
    this.#sweep = setInterval(() => {
      const now = tick();
      this.context.watches.look();
      this.context.shadows.expire(now);
      for (const connection of this.connections) connection.expire(now);
      routes.sweep(now);
      this.context.content.sweep(now);
    }, 20);
  }

  /** These are all the policies from now on. */
  obey(...policies: readonly Put[]): this {
    this.enforcement.take({ revision: 1, items: policies.map(itemOf) });
    this.context.enforcement = this.enforcement.isIdle ? null : this.enforcement;
    this.context.strategies.changed();
    this.context.late?.review();
    return this;
  }

  /** The thread of the desk is held up, until it goes on with all that it was told meanwhile. */
  stallDesk(): void {
    this.#unheard = [];
    this.#lateService.stop();
  }

  resumeDesk(): void {
    const unheard = this.#unheard ?? [];
    this.#unheard = null;
    for (const news of unheard) this.#lateService.heard(0, news);
  }

  #tellDesk(news: LateNews): void {
    queueMicrotask(() => {
      if (this.#unheard === null) this.#lateService.heard(0, news);
      else this.#unheard.push(news);
    });
  }

  /** Requests and tokens in flight, over all rows. */
  get inFlight(): number {
    return this.rows.reduce((sum, row) => sum + this.table.inFlight(row) + this.table.inFlightTokens(row), 0);
  }

  stop(): void {
    clearInterval(this.#sweep);
    this.#stopAccepting();
    for (const connection of this.connections) connection.closed();
    this.#transport.destroy();
  }
}

function itemOf(put: Put): Item {
  return { ...put, revision: 1, createdRevision: 1, updatedAtMs: 0 };
}

/** What a scripted upstream does with a request that it has read whole. */
export type Script = (socket: Socket<Incoming>, request: string, nth: number) => unknown;

export interface Incoming {
  text: string;
}

/** An upstream that hands each whole request (Content-Length or chunked) to a script. */
export class Upstream {
  readonly requests: string[] = [];
  readonly port: number;
  connections = 0;
  open = 0;
  readonly #listener: { stop(force?: boolean): void; port: number };

  constructor(script: Script, readHalf = false) {
    this.#listener = Bun.listen<Incoming>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => {
          socket.data = { text: "" };
          this.connections++;
          this.open++;
          if (readHalf) script(socket, "", 0);
        },
        data: (socket, bytes) => {
          socket.data.text += bytes.toString("latin1");
          for (;;) {
            const request = takeRequest(socket.data);
            if (request === null) return;
            this.requests.push(request);
            script(socket, request, this.requests.length);
          }
        },
        close: () => {
          this.open--;
        },
      },
    });
    this.port = this.#listener.port;
  }

  stop(): void {
    this.#listener.stop(true);
  }
}

function takeRequest(from: Incoming): string | null {
  const head = from.text.indexOf("\r\n\r\n");
  if (head < 0) return null;
  const length = /content-length: *(\d+)/i.exec(from.text.slice(0, head))?.[1];
  let end = head + 4 + Number(length ?? 0);
  if (/transfer-encoding: *chunked/i.test(from.text.slice(0, head))) {
    const last = from.text.indexOf("0\r\n\r\n", head + 4);
    if (last < 0) return null;
    end = last + 5;
  }
  if (from.text.length < end) return null;
  const request = from.text.slice(0, end);
  from.text = from.text.slice(end);
  return request;
}

/** A whole response with a Content-Length. */
export function answer(body: string, headers = "", status = "200 OK"): string {
  return `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

export const SSE_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

export function chunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

export function post(body: string, headers = "", path = "/v1/chat/completions"): string {
  return `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
}

export const CHAT = '{"messages":[{"role":"user","content":"hi"}],"model":"m"}';

/** A raw client: what it was sent, and whether its connection was closed. */
export class Client {
  readonly #socket: Socket;
  readonly #heard: { readonly text: string; readonly closed: boolean };

  private constructor(socket: Socket, heard: { readonly text: string; readonly closed: boolean }) {
    this.#socket = socket;
    this.#heard = heard;
  }

  get text(): string {
    return this.#heard.text;
  }

  get closed(): boolean {
    return this.#heard.closed;
  }

  static async open(port: number): Promise<Client> {
    const heard = { text: "", closed: false };
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data(_socket, data) {
          heard.text += data.toString("latin1");
        },
        close() {
          heard.closed = true;
        },
      },
    });
    return new Client(socket, heard);
  }

  send(bytes: string | Uint8Array): this {
    this.#socket.write(bytes);
    this.#socket.flush();
    return this;
  }

  /** Sends what the socket takes; answers how much that was. */
  write(bytes: Uint8Array): number {
    return this.#socket.write(bytes);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Waits until the text so far satisfies the condition. */
  async until(condition: (text: string) => boolean): Promise<string> {
    await until(() => condition(this.text) || this.closed);
    return this.text;
  }

  async end(): Promise<string> {
    await until(() => this.closed);
    return this.text;
  }

  leave(): void {
    this.#socket.terminate();
  }
}

export async function until(condition: () => boolean | Promise<boolean>, limitMs = 5000): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not so within ${limitMs} ms: ${condition.toString()}`);
    await Bun.sleep(2);
  }
}

export const ok: Script = (socket) => socket.write(answer('{"ok":true}'));
export const CLOSE = "connection: close\r\n";

/** Sends one request on a connection of its own and reads until that is closed. */
export async function ask(port: number, bytes: string): Promise<string> {
  return (await Client.open(port)).send(bytes).end();
}

export function statusOf(text: string): number {
  return Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);
}

/** Upstreams and relays that end with the test that made them. */
export function fixtures(): {
  upstream: (...args: ConstructorParameters<typeof Upstream>) => Upstream;
  relay: (...args: ConstructorParameters<typeof Relay>) => Relay;
} {
  const opened: { stop(): void }[] = [];
  afterEach(() => {
    for (const one of opened.splice(0)) one.stop();
  });
  const keep = <T extends { stop(): void }>(made: T): T => {
    opened.push(made);
    return made;
  };
  return { upstream: (...args) => keep(new Upstream(...args)), relay: (...args) => keep(new Relay(...args)) };
}
