/** An admin port with services on it, and grpc-js clients made from the same schema. */
import * as grpc from "@grpc/grpc-js";
import { newApp } from "../../src/admin/app.ts";
import { connectRoutes } from "../../src/admin/connect-api.ts";
import { type Front, serveApi } from "../../src/admin/front.ts";
import { HealthService } from "../../src/admin/health-service.ts";
import { type Call, Services } from "../../src/admin/services.ts";
import type { AdminConfig } from "../../src/admin/settings.ts";
import { SCHEMA } from "../../src/gen/services.js";
import { decodeMessage } from "../../src/wire/proto-reader.ts";
import { type Message, ProtoTypes } from "../../src/wire/proto-schema.ts";
import { encodeMessage } from "../../src/wire/proto-writer.ts";

export const types = new ProtoTypes(SCHEMA);

export interface Bed {
  readonly front: Front;
  readonly services: Services;
  readonly errors: unknown[];
  readonly notices: string[];
  url(path: string): string;
  client(options?: grpc.ClientOptions): grpc.Client;
}

export interface BedOptions {
  readonly implementations: Readonly<Record<string, object>>;
  readonly readOnly?: boolean;
  readonly limits?: Partial<AdminConfig>;
  readonly isStopping?: () => boolean;
}

export class Beds {
  readonly #fronts: Front[] = [];
  readonly #clients: grpc.Client[] = [];

  open({ implementations, readOnly = false, limits, isStopping = () => false }: BedOptions): Bed {
    const errors: unknown[] = [];
    const notices: string[] = [];
    const onError = (error: unknown): void => void errors.push(error);
    const services = new Services({ schema: SCHEMA, readOnly, isStopping, onError });
    for (const [name, implementation] of Object.entries(implementations)) services.add(name, implementation);
    services.add("grpc.health.v1.Health", new HealthService(services));
    const app = newApp(onError);
    connectRoutes(app, services);
    const front = serveApi({
      hostname: "127.0.0.1",
      port: 0,
      app,
      services,
      onError,
      onNotice: (message) => void notices.push(message),
      ...(limits === undefined ? {} : { limits }),
    });
    this.#fronts.push(front);
    return {
      front,
      services,
      errors,
      notices,
      url: (path) => `http://127.0.0.1:${front.port}${path}`,
      client: (options = {}) => {
        const client = new grpc.Client(`127.0.0.1:${front.port}`, grpc.credentials.createInsecure(), options);
        this.#clients.push(client);
        return client;
      },
    };
  }

  async close(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    await Promise.all(this.#fronts.splice(0).map((front) => front.stop(0)));
  }
}

/** An implementation of every method of a service: what is given, and nothing else. */
export function only(service: string, methods: Record<string, unknown>): object {
  const info = SCHEMA.services.find(({ name }) => name === service);
  const names = (info?.methods ?? []).map(({ name }) => name.charAt(0).toLowerCase() + name.slice(1));
  const missing = async (): Promise<object> => ({});
  return Object.fromEntries(names.map((name) => [name, methods[name] ?? missing]));
}

function method(path: string) {
  const [, service = "", name = ""] = path.split("/");
  const info = SCHEMA.services.find((one) => one.name === service)?.methods.find((one) => one.name === name);
  const input = types.message(info?.input ?? "infermesh.control.v1.GetNodeRequest");
  const output = types.message(info?.output ?? "infermesh.control.v1.GetNodeRequest");
  return {
    path,
    serialize: (message: Message): Buffer => Buffer.from(encodeMessage(input, message)),
    deserialize: (bytes: Buffer): Message => {
      const decoded = decodeMessage(output, bytes);
      if ("bad" in decoded) throw new Error(decoded.bad);
      return decoded.message;
    },
  };
}

/** A unary call; rejects with grpc-js's error. */
export async function unary(
  client: grpc.Client,
  path: string,
  request: Message,
  options: grpc.CallOptions & { metadata?: grpc.Metadata } = {},
): Promise<Message> {
  const { serialize, deserialize } = method(path);
  const { metadata = new grpc.Metadata(), ...rest } = options;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, serialize, deserialize, request, metadata, rest, (error, response) => {
      if (error === null) resolve(response as Message);
      else reject(error);
    });
  });
}

/** As grpc-js has it. */
interface Failure {
  readonly code: number;
  readonly details: string;
  readonly metadata: grpc.Metadata;
}

/** What a call fails with. */
export async function failureOf(call: Promise<unknown>): Promise<Failure> {
  try {
    await call;
  } catch (error) {
    return error as Failure;
  }
  throw new Error("the call did not fail");
}

export function serverStream(client: grpc.Client, path: string, request: Message): grpc.ClientReadableStream<Message> {
  const { serialize, deserialize } = method(path);
  return client.makeServerStreamRequest(path, serialize, deserialize, request);
}

export function bidi(client: grpc.Client, path: string): grpc.ClientDuplexStream<Message, Message> {
  const { serialize, deserialize } = method(path);
  return client.makeBidiStreamRequest(path, serialize, deserialize);
}

export type { Call };
