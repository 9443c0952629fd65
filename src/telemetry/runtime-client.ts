/**
 * Asks one runtime, on each of its ports over a connection that is kept (http-connection.ts): its adapter says what and
 * at which port, this adds where that is and who asks. Whatever the other side does, an ask ends within its deadline and
 * limit, and with a result.
 *
 * Looks share the kept connections and never overlap on one of them. What takes longer, such as loading a model, has a
 * connection of its own, so that looks go on beside it.
 */
import { version } from "../base/version.ts";
import { BunTransport } from "../net/bun-streams.ts";
import { formatAddress } from "../base/units.ts";
import type { Answer, Ask, Port } from "../runtimes/adapter.ts";
import { HttpConnection, type HttpFault, type HttpRequest, type HttpResult } from "./http-connection.ts";
import { type RuntimeCredentials, type RuntimeDialers, withoutSecrets } from "./runtime-credentials.ts";
import type { RuntimeUrl } from "./runtime-url.ts";

export type AskFault = HttpFault | "secret";

export type Asked =
  | { readonly ok: true; readonly answer: Answer; readonly isFromMesh: boolean }
  | { readonly ok: false; readonly kind: AskFault; readonly message: string };

export interface AskLimits {
  readonly timeoutMs: number;
  readonly bytesMax: number;
}

export interface ClientOptions {
  /** Undefined for a port that the runtime does not have. */
  readonly urls: Readonly<Partial<Record<Port, RuntimeUrl>>>;
  readonly credentials: RuntimeCredentials;
  readonly dialers: RuntimeDialers;
  /** A kept connection has ended that had served before. */
  readonly closed?: () => void;
}

/** What ends a line, or the request's target, early. */
// eslint-disable-next-line no-control-regex
const UNFIT = /[\u0000-\u0020\u007f-\uffff]/;
const encoder = new TextEncoder();

/** One for all runtimes: it keeps nothing. */
export const transport = new BunTransport();

export class RuntimeClient {
  readonly #options: ClientOptions;
  /** Ports that are one have one. */
  readonly #kept = new Map<RuntimeUrl, HttpConnection>();
  readonly #own = new Set<HttpConnection>();
  /** What was sent for an ask without a body, which may be asked again and again. */
  readonly #sent = new WeakMap<
    Ask,
    { readonly url: RuntimeUrl; readonly secrets: string; readonly bytes: Uint8Array }
  >();
  #isStopped = false;
  /** Grows whenever what is asked on kept connections is called off. */
  #round = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** On the port's kept connection, which must be free. The body is the caller's until the next ask of this port. */
  async ask(ask: Ask, limits: AskLimits): Promise<Asked> {
    const url = this.#options.urls[ask.port];
    if (url === undefined) return failed("unreachable", `it has no ${ask.port} port`);
    return this.#carryOut(this.#keptFor(url), ask, url, limits);
  }

  /** On a connection of its own. Ends early when `signal` does. */
  async askApart(ask: Ask, limits: AskLimits & Pick<HttpRequest, "piece">, signal: AbortSignal): Promise<Asked> {
    const url = this.#options.urls[ask.port];
    if (url === undefined) return failed("unreachable", `it has no ${ask.port} port`);
    const connection = new HttpConnection({ dialer: () => this.#options.dialers.current(), place: url });
    this.#own.add(connection);
    const callOff = (): void => connection.close();
    signal.addEventListener("abort", callOff);
    try {
      if (signal.aborted || this.#isStopped) return failed("broken", "it was called off");
      return await this.#carryOut(connection, ask, url, limits);
    } finally {
      signal.removeEventListener("abort", callOff);
      this.#own.delete(connection);
      connection.close();
    }
  }

  /** Asks nothing: "" where somebody listens at a port, else why it can't be connected to. */
  async connect(port: Port, timeoutMs: number): Promise<string> {
    const url = this.#options.urls[port];
    if (url === undefined || this.#isStopped) return "it was called off";
    return this.#keptFor(url).connect(timeoutMs);
  }

  /** What is asked on kept connections ends unanswered: nobody waits for it any more. */
  callOff(): void {
    this.#round += 1;
    for (const connection of this.#kept.values()) connection.close();
  }

  stop(): void {
    this.#isStopped = true;
    for (const connection of [...this.#kept.values(), ...this.#own]) connection.close();
  }

  #keptFor(url: RuntimeUrl): HttpConnection {
    const known = this.#kept.get(url);
    if (known !== undefined) return known;
    const { dialers, closed } = this.#options;
    const connection = new HttpConnection({
      dialer: () => dialers.current(),
      place: url,
      ...(closed === undefined ? {} : { closed }),
    });
    this.#kept.set(url, connection);
    return connection;
  }

  async #carryOut(
    connection: HttpConnection,
    ask: Ask,
    url: RuntimeUrl,
    limits: AskLimits & Pick<HttpRequest, "piece">,
  ): Promise<Asked> {
    const round = this.#round;
    const head = await this.#options.credentials.headers(ask.port);
    if ("fault" in head) return failed("secret", head.fault);
    const isCalledOff = this.#isStopped || (round !== this.#round && !this.#own.has(connection));
    if (isCalledOff) return failed("broken", "it was called off");
    const { method } = ask;
    const bytes = this.#bytesOf(ask, url, head.lines);
    if (bytes === undefined) return failed("broken", "its path is none that can be asked");
    const result: HttpResult = await connection.ask({ method, bytes, ...limits });
    if (!result.ok) return result;
    const { isFromMesh, ...answer } = result.answer;
    // What is refused is told on, to logs and other nodes.
    if (answer.status < 300) return { ok: true, answer, isFromMesh };
    const body = withoutSecrets(answer.body, head.secrets);
    return { ok: true, answer: { ...answer, body }, isFromMesh };
  }

  /** Undefined where the path can't be sent. */
  #bytesOf(ask: Ask, url: RuntimeUrl, secrets: string): Uint8Array | undefined {
    const before = this.#sent.get(ask);
    if (before?.url === url && before.secrets === secrets) return before.bytes;
    if (UNFIT.test(ask.path) || !ask.path.startsWith("/")) return undefined;
    const bytes = requestBytes(ask, url, secrets);
    if (ask.body === undefined) this.#sent.set(ask, { url, secrets, bytes });
    return bytes;
  }
}

function requestBytes(
  { method, path, body, contentType, accept = "*/*" }: Ask,
  url: RuntimeUrl,
  secrets: string,
): Uint8Array {
  const content = body === undefined ? undefined : encoder.encode(body);
  const usual = url.port === (url.tls ? 443 : 80);
  const host = url.host.startsWith("/") ? "localhost" : formatAddress(url).replace(usual ? /:\d+$/ : /$^/, "");
  // Not compressed: it comes from the same machine.
  const lines = [
    `${method} ${url.base}${path} HTTP/1.1`,
    `host: ${host}`,
    `user-agent: infermesh-agent/${version}`,
    `accept: ${accept}`,
    "accept-encoding: identity",
    ...(content === undefined && method === "GET" ? [] : [`content-length: ${content?.length ?? 0}`]),
    ...(content === undefined ? [] : [`content-type: ${contentType ?? "application/json"}`]),
  ];
  const head = Buffer.from(`${lines.join("\r\n")}\r\n${secrets}\r\n`, "latin1");
  return content === undefined ? head : Buffer.concat([head, content]);
}

function failed(kind: AskFault, message: string): Asked {
  return { ok: false, kind, message };
}
