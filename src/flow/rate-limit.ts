/**
 * What one client may ask for: two token buckets for each, of requests and of tokens, by any key that names the client.
 * A bucket fills at its rate up to its burst; a request needs one of the first and its tokens of the second, and takes
 * both or neither.
 *
 * A request with more tokens than the burst would never pass; it passes when the bucket is full, and leaves a debt that
 * must be filled before the next one.
 *
 * At most `clientsMax` clients are remembered. The one that asked longest ago is forgotten first, and has full buckets
 * when it returns: with fewer clients than that nobody who is being refused is forgotten, since refusals count as asking.
 * Costs one lookup; allocates for a new client only while there is room, and then uses the forgotten one's object.
 */
import type { LimitConfig } from "./settings.ts";

/** What rounding may leave missing; who waited as long as told must pass. */
const ROUNDING = 1e-6;

class Client {
  key: string;
  requests: number;
  tokens: number;
  atMs: number;
  /** Neighbours in the order of the last asking. */
  older: Client | null = null;
  younger: Client | null = null;

  constructor(key: string, requests: number, tokens: number, nowMs: number) {
    this.key = key;
    this.requests = requests;
    this.tokens = tokens;
    this.atMs = nowMs;
  }
}

export class RateLimit {
  readonly #config: LimitConfig;
  readonly #clients = new Map<string, Client>();
  #oldest: Client | null = null;
  #youngest: Client | null = null;

  constructor(config: LimitConfig) {
    this.#config = config;
  }

  /** Whether anything is limited; when not, there is no need to ask. */
  get enabled(): boolean {
    return this.#config.requestsPerSecond > 0 || this.#config.tokensPerSecond > 0;
  }

  /** Clients that are remembered. */
  get clients(): number {
    return this.#clients.size;
  }

  /** 0: the request may pass, and is counted. Else the milliseconds after which it may, if nothing else is asked. */
  allow(key: string, tokens: number, nowMs: number): number {
    if (!this.enabled) return 0;
    const { requestsPerSecond, requestsBurst, tokensPerSecond, tokensBurst } = this.#config;
    const client = this.#clientOf(key, nowMs);
    const elapsedSeconds = Math.max(0, nowMs - client.atMs) / 1000;
    client.atMs = Math.max(client.atMs, nowMs);
    client.requests = Math.min(requestsBurst, client.requests + elapsedSeconds * requestsPerSecond);
    client.tokens = Math.min(tokensBurst, client.tokens + elapsedSeconds * tokensPerSecond);
    const retryAfterMs = Math.max(
      waitMs(1 - client.requests, requestsPerSecond),
      waitMs(Math.min(tokens, tokensBurst) - client.tokens, tokensPerSecond),
    );
    if (retryAfterMs > 0) return retryAfterMs;
    client.requests--;
    client.tokens -= tokens;
    return 0;
  }

  /** The client by its key, now the youngest. */
  #clientOf(key: string, nowMs: number): Client {
    const known = this.#clients.get(key);
    if (known !== undefined) {
      if (known !== this.#youngest) {
        this.#unlink(known);
        this.#append(known);
      }
      return known;
    }
    const client = this.#clients.size < this.#config.clientsMax ? null : this.#oldest;
    const { requestsBurst, tokensBurst } = this.#config;
    if (client === null) {
      const fresh = new Client(key, requestsBurst, tokensBurst, nowMs);
      this.#clients.set(key, fresh);
      this.#append(fresh);
      return fresh;
    }
    this.#unlink(client);
    this.#clients.delete(client.key);
    client.key = key;
    client.requests = requestsBurst;
    client.tokens = tokensBurst;
    client.atMs = nowMs;
    this.#clients.set(key, client);
    this.#append(client);
    return client;
  }

  #append(client: Client): void {
    client.older = this.#youngest;
    client.younger = null;
    if (this.#youngest === null) this.#oldest = client;
    else this.#youngest.younger = client;
    this.#youngest = client;
  }

  #unlink(client: Client): void {
    if (client.older === null) this.#oldest = client.younger;
    else client.older.younger = client.younger;
    if (client.younger === null) this.#youngest = client.older;
    else client.younger.older = client.older;
  }
}

/** Milliseconds until what is missing has flowed in; 0 where there is no limit. */
function waitMs(missing: number, perSecond: number): number {
  return perSecond > 0 && missing > ROUNDING ? Math.ceil((missing / perSecond) * 1000) : 0;
}
