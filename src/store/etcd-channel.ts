/** One endpoint of an etcd: unary calls and the stream of a watch, by @grpc/grpc-js, in bytes. */
import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type ClientUnaryCall,
  Metadata,
  type ServiceError,
  credentials,
} from "@grpc/grpc-js";
import { type Address, formatAddress } from "../base/units.ts";
import type { TlsClientOptions } from "../net/tls-streams.ts";
import { type EtcdFailure, failureOf } from "./etcd-failure.ts";

/** A page of the largest items and something on top. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;
/** etcd drops clients that ping more often than every 5 s. */
const PING_INTERVAL_MS = 6000;
const PING_TIMEOUT_MS = 3000;

/** How requests are framed: each message has its own. */
export interface Method<Request, Response> {
  readonly path: string;
  readonly encode: (request: Request) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => Response;
}

export interface CallOptions {
  readonly timeoutMs: number;
  readonly token: string;
}

export class EtcdChannel {
  readonly name: string;
  readonly #client: Client;
  readonly #calls = new Set<ClientUnaryCall>();

  constructor(endpoint: Address, tls: TlsClientOptions | null) {
    this.name = formatAddress(endpoint);
    this.#client = new Client(this.name, credentialsOf(endpoint.host, tls), {
      "grpc.enable_http_proxy": 0,
      "grpc.enable_retries": 0,
      "grpc.service_config_disable_resolution": 1,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1000,
      "grpc.keepalive_time_ms": PING_INTERVAL_MS,
      "grpc.keepalive_timeout_ms": PING_TIMEOUT_MS,
      "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
      "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
      // An IP address is no name that a server can be asked for; the certificate is still checked to be for it.
      ...(tls !== null && isIP(endpoint.host) > 0 ? { "grpc.ssl_target_name_override": "etcd" } : {}),
    });
  }

  call<Request, Response>(
    { path, encode, decode }: Method<Request, Response>,
    request: Request,
    options: CallOptions,
  ): Promise<Response | EtcdFailure> {
    return new Promise((resolve) => {
      const answered = (error: ServiceError | null, response?: Response): void => {
        this.#calls.delete(call);
        resolve(error === null ? response! : failureOf(error, this.name));
      };
      const deadline = Date.now() + options.timeoutMs;
      const call = this.#client.makeUnaryRequest(
        path,
        (message: Request) => bufferOf(encode(message)),
        decode,
        request,
        metadataOf(options.token),
        { deadline },
        answered,
      );
      this.#calls.add(call);
    });
  }

  /** A stream that lasts until either side ends it. Its errors come as `error` events, as grpc-js tells them. */
  stream<Request, Response>(
    { path, encode, decode }: Method<Request, Response>,
    token: string,
  ): ClientDuplexStream<Request, Response> {
    const serialize = (message: Request): Buffer => bufferOf(encode(message));
    return this.#client.makeBidiStreamRequest(path, serialize, decode, metadataOf(token));
  }

  /** Calls under way end as cancelled. */
  close(): void {
    for (const call of this.#calls) call.cancel();
    this.#client.close();
  }
}

/** `hasleader`: a member that knows no leader answers at once, rather than when it gives up. */
function metadataOf(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set("hasleader", "true");
  if (token !== "") metadata.set("token", token);
  return metadata;
}

function credentialsOf(host: string, tls: TlsClientOptions | null): ChannelCredentials {
  if (tls === null) return credentials.createInsecure();
  const { ca, identity, verify } = tls;
  return credentials.createSsl(
    ca === undefined ? null : Buffer.from(ca),
    identity === undefined ? null : Buffer.from(identity.key),
    identity === undefined ? null : Buffer.from(identity.cert),
    { rejectUnauthorized: verify, checkServerIdentity: (_name, cert) => checkServerIdentity(host, cert) },
  );
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
