/**
 * Requests to an etcd of one or more endpoints: each with a deadline, a token where etcd asks for one, and another
 * endpoint when one does not answer, knows no leader, or is overloaded.
 *
 * What may have been carried out without an answer is not sent again here, unless it does no harm twice: its caller
 * has to find out (`EtcdFailure.isFateUnknown`).
 */
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { MeshError } from "../base/errors.ts";
import {
  AuthenticateRequest,
  AuthenticateResponse,
  LeaseGrantRequest,
  LeaseGrantResponse,
  MemberListRequest,
  MemberListResponse,
  RangeRequest,
  RangeResponse,
  StatusRequest,
  StatusResponse,
  TxnRequest,
  TxnResponse,
  WatchRequest,
  WatchResponse,
} from "../gen/etcd.js";
import type { TlsClientOptions } from "../net/tls-streams.ts";
import type { EtcdAddress } from "./etcd-address.ts";
import { EtcdChannel, type Method } from "./etcd-channel.ts";
import { EtcdFailure, must } from "./etcd-failure.ts";
import { type MemberIds, type StatusIds, memberIds, statusIds } from "./etcd-ids.ts";

/** One endpoint has this long; then another is asked. An election is over before. */
const ATTEMPT_TIMEOUT_MS = 2500;
const PAUSE_MS_MIN = 20;
const PAUSE_MS_MAX = 500;
/** In one request. A token is gone after five minutes without use, and when its member restarts. */
const LOGINS_MAX = 3;

function method<Request, Response>(
  path: string,
  request: { encode(message: Request): { finish(): Uint8Array } },
  decode: (bytes: Uint8Array) => Response,
): Method<Request, Response> {
  return { path: `/etcdserverpb.${path}`, encode: (message) => request.encode(message).finish(), decode };
}

const METHODS = {
  range: method<RangeRequest.$Properties, RangeResponse>("KV/Range", RangeRequest, (bytes) =>
    RangeResponse.decode(bytes),
  ),
  txn: method<TxnRequest.$Properties, TxnResponse>("KV/Txn", TxnRequest, (bytes) => TxnResponse.decode(bytes)),
  watch: method<WatchRequest.$Properties, WatchResponse>("Watch/Watch", WatchRequest, (bytes) =>
    WatchResponse.decode(bytes),
  ),
  grant: method<LeaseGrantRequest.$Properties, LeaseGrantResponse>("Lease/LeaseGrant", LeaseGrantRequest, (bytes) =>
    LeaseGrantResponse.decode(bytes),
  ),
  authenticate: method<AuthenticateRequest.$Properties, AuthenticateResponse>(
    "Auth/Authenticate",
    AuthenticateRequest,
    (bytes) => AuthenticateResponse.decode(bytes),
  ),
  members: method<MemberListRequest.$Properties, MemberIds[]>("Cluster/MemberList", MemberListRequest, (bytes) =>
    memberIds(bytes, MemberListResponse.decode(bytes)),
  ),
  status: method<StatusRequest.$Properties, StatusIds>("Maintenance/Status", StatusRequest, (bytes) =>
    statusIds(bytes, StatusResponse.decode(bytes)),
  ),
};

export interface WatchStream {
  readonly stream: ClientDuplexStream<WatchRequest.$Properties, WatchResponse>;
  readonly endpoint: string;
}

export class EtcdClient {
  readonly #channels: readonly EtcdChannel[];
  readonly #login: EtcdAddress["login"];
  /** The endpoint that answered last. */
  #current = 0;
  #token = "";
  #loggingIn: Promise<string | EtcdFailure> | null = null;
  #isClosed = false;
  #trouble: MeshError | null = null;

  constructor({ endpoints, login }: EtcdAddress, tls: TlsClientOptions | null) {
    this.#channels = endpoints.map((endpoint) => new EtcdChannel(endpoint, tls));
    this.#login = login;
  }

  get endpoints(): readonly string[] {
    return this.#channels.map(({ name }) => name);
  }

  /** What an endpoint failed with last; null once one has answered again. */
  get trouble(): MeshError | null {
    return this.#trouble;
  }

  range(request: RangeRequest.$Properties, timeoutMs: number): Promise<RangeResponse | EtcdFailure> {
    return this.#call(METHODS.range, request, timeoutMs, true);
  }

  /** `isRepeatable`: it does no harm to carry it out twice. */
  txn(request: TxnRequest.$Properties, timeoutMs: number, isRepeatable: boolean): Promise<TxnResponse | EtcdFailure> {
    return this.#call(METHODS.txn, request, timeoutMs, isRepeatable);
  }

  /** A lease of that number; one that is there already is as good, since numbers are drawn at random. */
  async grant(lease: number, ttlSeconds: number, timeoutMs: number): Promise<EtcdFailure | undefined> {
    const reply = await this.#call(METHODS.grant, { ID: lease, TTL: ttlSeconds }, timeoutMs, true);
    return reply instanceof EtcdFailure && reply.next !== "lease" ? reply : undefined;
  }

  async members(timeoutMs: number): Promise<readonly MemberIds[]> {
    return must(await this.#call(METHODS.members, {}, timeoutMs, true));
  }

  /** Of each endpoint by itself; never throws. */
  status(timeoutMs: number): Promise<(StatusIds | EtcdFailure)[]> {
    return Promise.all(
      this.#channels.map(async (channel) => {
        const token = await this.#tokenFor(channel, timeoutMs);
        if (token instanceof EtcdFailure) return token;
        return channel.call(METHODS.status, {}, { timeoutMs, token });
      }),
    );
  }

  /** A stream of watches at the endpoint in use; the caller looks after it. */
  async openWatch(timeoutMs: number): Promise<WatchStream | EtcdFailure> {
    const channel = this.#channels[this.#current]!;
    const token = await this.#tokenFor(channel, timeoutMs);
    if (this.#isClosed) return closed();
    if (token instanceof EtcdFailure) return token;
    return { stream: channel.stream(METHODS.watch, token), endpoint: channel.name };
  }

  /** That endpoint did not do; the next one may, unless another is in use already. */
  turnAway(endpoint: string): void {
    if (this.#channels[this.#current]!.name === endpoint) this.#current = (this.#current + 1) % this.#channels.length;
  }

  /** The token at hand is no longer taken. */
  logOut(): void {
    this.#token = "";
  }

  /** Calls under way end with `draining`. */
  close(): void {
    this.#isClosed = true;
    for (const channel of this.#channels) channel.close();
  }

  async #call<Request, Response>(
    how: Method<Request, Response>,
    request: Request,
    timeoutMs: number,
    isRepeatable: boolean,
  ): Promise<Response | EtcdFailure> {
    const startedAtMs = performance.now();
    const saidBy = new Map<string, string>();
    let pauseMs = PAUSE_MS_MIN;
    let logins = 0;
    for (let attempt = 1; ; attempt++) {
      if (this.#isClosed) return closed();
      const channel = this.#channels[this.#current]!;
      const leftMs = Math.max(1, timeoutMs - (performance.now() - startedAtMs));
      const attemptMs = Math.min(ATTEMPT_TIMEOUT_MS, leftMs);
      const token = await this.#tokenFor(channel, attemptMs);
      const reply =
        token instanceof EtcdFailure ? token : await channel.call(how, request, { timeoutMs: attemptMs, token });
      this.#trouble = reply instanceof EtcdFailure ? reply.error : null;
      if (!(reply instanceof EtcdFailure)) return reply;
      if (this.#isClosed) return closed(reply.isFateUnknown);
      saidBy.set(channel.name, reply.error.message);
      if (reply.next === "login" && logins++ < LOGINS_MAX) {
        if (this.#token === token) this.logOut();
        continue;
      }
      if (reply.next !== "elsewhere") return reply;
      this.turnAway(channel.name);
      if (reply.isFateUnknown && !isRepeatable) return reply;
      if (performance.now() - startedAtMs + pauseMs >= timeoutMs) return exhausted(saidBy, timeoutMs, reply);
      if (attempt % this.#channels.length === 0) {
        await Bun.sleep(pauseMs);
        pauseMs = Math.min(PAUSE_MS_MAX, pauseMs * 2);
      }
    }
  }

  /** "" where no login is needed. */
  async #tokenFor(channel: EtcdChannel, timeoutMs: number): Promise<string | EtcdFailure> {
    if (this.#login === null || this.#token !== "") return this.#token;
    this.#loggingIn ??= this.#authenticate(channel, timeoutMs).finally(() => {
      this.#loggingIn = null;
    });
    return this.#loggingIn;
  }

  async #authenticate(channel: EtcdChannel, timeoutMs: number): Promise<string | EtcdFailure> {
    const { user, password } = this.#login!;
    const reply = await channel.call(METHODS.authenticate, { name: user, password }, { timeoutMs, token: "" });
    if (!(reply instanceof EtcdFailure)) {
      this.#token = reply.token;
      return reply.token;
    }
    // Whoever gave a login to an etcd without users is let in by it, as everybody is.
    if (reply.next === "no-login") return "";
    // Asking twice for a token does no harm.
    return new EtcdFailure(reply.next, false, reply.error);
  }
}

function closed(isFateUnknown = false): EtcdFailure {
  return new EtcdFailure("hopeless", isFateUnknown, new MeshError("draining", "the store is being closed"));
}

function exhausted(saidBy: ReadonlyMap<string, string>, timeoutMs: number, last: EtcdFailure): EtcdFailure {
  const what = `no endpoint of etcd took the request within ${timeoutMs} ms`;
  const error = new MeshError("no_quorum", `${what} (${[...saidBy.values()].join("; ")})`, { cause: last.error });
  return new EtcdFailure("elsewhere", last.isFateUnknown, error);
}
