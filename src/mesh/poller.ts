/**
 * Carries out the fleet's polls: GET /metrics of an agent for a sample, GET /health of a static upstream, or gRPC's
 * health service where it speaks that (grpc-probe.ts), for a sign of life. Every poll ends with a result in bounded time and memory, whatever the other side does.
 */
import type { Poll, PollResult } from "../fleet/event.ts";
import { formatHostPort } from "../fleet/registration.ts";
import { NodeState } from "../gen/state.js";
import { isUnixPath } from "../net/stream.ts";
import type { TlsClientOptions } from "../net/tls-streams.ts";
import type { NodeSample } from "../score/sample.ts";
import { probeGrpc } from "./grpc-probe.ts";
import { decodeNodeState, decodeVitalsJson } from "./node-state.ts";

export interface PollerOptions {
  /** Time for a whole poll; it is looked at for each. */
  readonly timeoutMs: number;
  /** Longest answer that is read; 1 MiB by default. */
  readonly maxBodyBytes?: number;
  /** What targets in TLS are shown, and must show; the system's authorities are trusted by default. */
  readonly tls?: TlsClientOptions;
}

const MAX_BODY_BYTES = 1024 * 1024;
const ACCEPT = "application/x-protobuf; proto=infermesh.state.v1.NodeState, application/json;q=0.9";

export class Poller {
  readonly #options: PollerOptions;
  readonly #maxBodyBytes: number;
  readonly #underWay = new Set<AbortController>();

  constructor(options: PollerOptions) {
    this.#options = options;
    this.#maxBodyBytes = options.maxBodyBytes ?? MAX_BODY_BYTES;
  }

  /** Never rejects: what goes wrong is a failed poll. */
  async poll(poll: Poll): Promise<PollResult> {
    const abort = new AbortController();
    this.#underWay.add(abort);
    const { timeoutMs } = this.#options;
    const timer = setTimeout(() => abort.abort(new Error("timed out")), timeoutMs);
    try {
      return await this.#ask(poll, abort.signal);
    } catch (error) {
      if (abort.signal.aborted) return failed(`no answer within ${timeoutMs} ms`);
      return failed(describe(error));
    } finally {
      clearTimeout(timer);
      this.#underWay.delete(abort);
    }
  }

  /** Ends the polls under way; their results say so. */
  stop(): void {
    for (const abort of this.#underWay) abort.abort();
  }

  async #ask(poll: Poll, signal: AbortSignal): Promise<PollResult> {
    const { tls = { verify: true } } = this.#options;
    if (poll.protocol === "grpc") return probeGrpc(poll, tls, signal);
    const path = poll.kind === "vitals" ? "/metrics" : "/health";
    const isUnix = isUnixPath(poll.host);
    const place = isUnix ? "localhost" : formatHostPort(poll.host, poll.port);
    const url = `${poll.tls ? "https" : "http"}://${place}${path}`;
    const startedAtMs = performance.now();
    const response = await fetch(url, {
      headers: { accept: ACCEPT },
      redirect: "manual",
      proxy: false,
      signal,
      ...(isUnix ? { unix: poll.host } : {}),
      ...(poll.tls ? { tls: fetchTls(tls) } : {}),
    });
    const rttMs = performance.now() - startedAtMs;
    if (poll.kind === "health") {
      // Any answer but a server's failure is life: an upstream need not know /health.
      await response.body?.cancel();
      if (response.status >= 500) return failed(`answered ${response.status}`);
      return { ok: true, sample: null, rttMs };
    }
    if (response.status !== 200) {
      await response.body?.cancel();
      return failed(`answered ${response.status}`);
    }
    const body = await readBody(response, this.#maxBodyBytes);
    if (body === null) return failed(`answered with more than ${this.#maxBodyBytes} bytes`);
    const sample = readSample(response.headers.get("content-type") ?? "", body, poll.models);
    if (sample === null) return failed("answered with something other than vitals");
    return { ok: true, sample, rttMs };
  }
}

/** As Bun's fetch takes it. */
function fetchTls({ ca, identity, verify }: TlsClientOptions) {
  return { rejectUnauthorized: verify, ...(ca === undefined ? {} : { ca }), ...identity };
}

function readSample(contentType: string, body: Uint8Array, models: readonly string[]): NodeSample | null {
  try {
    if (/^application\/(x-|vnd\.google\.)?protobuf\b/i.test(contentType))
      return decodeNodeState(NodeState.decode(body));
    return decodeVitalsJson(JSON.parse(new TextDecoder().decode(body)), models);
  } catch {
    return null;
  }
}

/** The whole body, or null when it is longer than allowed. */
async function readBody(response: Response, maxBytes: number): Promise<Uint8Array | null> {
  if (response.body === null) return new Uint8Array();
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(parts);
    length += value.length;
    if (length > maxBytes) {
      await reader.cancel();
      return null;
    }
    parts.push(value);
  }
}

function failed(error: string): PollResult {
  return { ok: false, error };
}

function describe(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  if (code === "ConnectionRefused" || code === "ECONNREFUSED") return "connection refused";
  return error instanceof Error ? error.message : String(error);
}
