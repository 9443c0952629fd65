/**
 * The services of the API as methods by path, one implementation of each behind both of its forms: gRPC over HTTP/2
 * (grpc-call.ts) and the Connect protocol over HTTP/1.1 (connect-api.ts). A method's errors are MeshErrors; anything
 * else is a fault of ours, which is logged and told without details.
 */
import { MeshError } from "../base/errors.ts";
import { DESCRIPTORS } from "../gen/descriptors.js";
import { Reflection } from "../wire/grpc-reflection.ts";
import { decodeMessage } from "../wire/proto-reader.ts";
import {
  type Message,
  type MessageType,
  type MethodInfo,
  type ProtoFile,
  type ProtoSchema,
  ProtoTypes,
} from "../wire/proto-schema.ts";
import type { Watchers } from "./events.ts";

/** A copy of all policies, of up to 32 MiB, in base64 where it comes as JSON. */
const LARGE = "/infermesh.control.v1.ControlPlane/RestoreSnapshot";
const LARGE_BYTES_MAX = 64 * 1024 * 1024;

/** What a method knows of the call beside its request. */
export interface Call {
  /** Aborted when the caller is gone, its deadline is over or the server stops; the reason is a MeshError. */
  readonly signal: AbortSignal;
  /** On performance.now()'s clock; Infinity without one. */
  readonly deadlineMs: number;
  /** The caller's IP address; "" when it is gone. */
  readonly remoteAddress: string;
}

/** A service's methods, whatever else implements them. */
export type ServiceOf<T> = { readonly [K in keyof T]: T[K] };

type Streaming = AsyncIterable<object>;
type Handler = (request: Message | AsyncIterable<Message>, call: Call) => Promise<object> | Streaming;

export interface Method {
  /** "/infermesh.control.v1.ControlPlane/PinModel". */
  readonly path: string;
  readonly service: string;
  readonly info: MethodInfo;
  readonly input: MessageType;
  readonly output: MessageType;
  readonly handler: Handler;
}

export interface ServicesOptions {
  readonly schema: ProtoSchema;
  /** Refuses methods that change something: for ports that others can reach. */
  readonly readOnly: boolean;
  /** Whether the process takes leave: what is open ends, and health says so. */
  isStopping(): boolean;
  /** Errors that are not the caller's. */
  onError(error: unknown, request: string): void;
}

export class Services {
  readonly types: ProtoTypes;
  readonly options: ServicesOptions;
  /** Those of the port's events, whatever they speak. */
  readonly watchers: Watchers = { count: 0 };
  readonly #methods = new Map<string, Method>();
  readonly #names = new Set<string>();
  /** Why a service that the contract has is not here, by its name. */
  readonly #absent = new Map<string, string>();
  #reflection: Reflection | null = null;

  constructor(options: ServicesOptions) {
    this.options = options;
    this.types = new ProtoTypes(options.schema);
  }

  /** Serves a service; `implementation` has its methods, in lowerCamel. */
  add(service: string, implementation: object): void {
    const info = this.types.schema.services.find(({ name }) => name === service);
    if (info === undefined) throw new Error(`no service is called ${service}`);
    this.#names.add(service);
    for (const method of info.methods) {
      const key = method.name.charAt(0).toLowerCase() + method.name.slice(1);
      const handler = (implementation as Record<string, Handler | undefined>)[key];
      if (handler === undefined) throw new Error(`${service} lacks ${key}`);
      this.#methods.set(`/${service}/${method.name}`, {
        path: `/${service}/${method.name}`,
        service,
        info: method,
        input: this.types.message(method.input),
        output: this.types.message(method.output),
        handler: handler.bind(implementation),
      });
    }
  }

  /** Says why a service is not served here. */
  leaveOut(service: string, why: string): void {
    this.#absent.set(service, why);
  }

  get methods(): readonly Method[] {
    return [...this.#methods.values()];
  }

  has(service: string): boolean {
    return this.#names.has(service);
  }

  /** The method at a path; throws a MeshError where there is none, or none that this port serves. */
  method(path: string): Method {
    const method = this.#methods.get(path);
    if (method === undefined) {
      const [, service = "", name = ""] = path.split("/");
      const absent = this.#absent.get(service);
      const why = absent ?? (this.#names.has(service) ? `${service} has no method ${name}` : `there is no ${path}`);
      throw new MeshError("not_supported", why.slice(0, 300));
    }
    if (this.options.readOnly && method.info.reads !== true) {
      throw new MeshError("forbidden", `this port is read-only; call ${method.info.name} on the --api port`);
    }
    return method;
  }

  /** For what may be longer than usual: the most that a request at this path may be; 0 where it may not. */
  requestBytesMax(path: string): number {
    return path === LARGE && !this.options.readOnly ? LARGE_BYTES_MAX : 0;
  }

  /** Files of what is served, and what they import. */
  get files(): readonly ProtoFile[] {
    const { files } = this.types.schema;
    const needed = new Set<string>();
    const need = (file: ProtoFile): void => {
      if (needed.has(file.file)) return;
      needed.add(file.file);
      for (const name of file.dependencies) {
        const imported = files.find((one) => one.file === name);
        if (imported !== undefined) need(imported);
      }
    };
    for (const file of files) if (file.services.some((name) => this.#names.has(name))) need(file);
    return files.filter((file) => needed.has(file.file));
  }

  /** Of what is served, its own service among it. */
  reflection(): Reflection {
    const own = DESCRIPTORS.filter(({ services }) => services.some((name) => name.startsWith("grpc.reflection.")));
    return (this.#reflection ??= new Reflection([...this.files, ...own]));
  }

  /** A whole unary call, from message to message; what it throws is to be told as `asMeshError` has it. */
  async unary(method: Method, request: Message, call: Call): Promise<object> {
    const { promise: ended, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(reasonOf(call.signal));
    if (call.signal.aborted) throw reasonOf(call.signal);
    // What is too late already must not be done.
    if (performance.now() >= call.deadlineMs) throw new MeshError("request_timeout", "the call's deadline is over");
    call.signal.addEventListener("abort", onAbort);
    try {
      // A method that does not look at its signal must not keep the caller waiting beyond its deadline.
      return await Promise.race([method.handler(request, call) as Promise<object>, ended]);
    } finally {
      call.signal.removeEventListener("abort", onAbort);
    }
  }

  /** Of streams that are no gRPC: ended when the process stops. */
  readonly streams = new Set<AbortController>();

  endStreams(why: MeshError): void {
    for (const stream of this.streams) stream.abort(why);
  }

  /** Whatever a method threw, fit to be told. */
  asMeshError(thrown: unknown, path: string): MeshError {
    if (thrown instanceof MeshError && thrown.code !== "internal") {
      if (thrown.source === "self") this.options.onError(thrown, path);
      return thrown;
    }
    this.options.onError(thrown, path);
    return new MeshError("internal", "internal error; its cause is in the log of the process that was asked");
  }
}

export function decodeRequest(type: MessageType, bytes: Uint8Array): Message {
  const decoded = decodeMessage(type, bytes);
  if ("bad" in decoded) throw new MeshError("bad_request", `the request can't be read: ${decoded.bad}`);
  return decoded.message;
}

export function reasonOf(signal: AbortSignal): MeshError {
  const reason: unknown = signal.reason;
  return reason instanceof MeshError ? reason : new MeshError("request_timeout", "the caller is gone");
}
