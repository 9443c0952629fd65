/** What clients of the open inference protocol (KServe v2) ask a server, by HTTP and gRPC. */
import { Client, credentials } from "@grpc/grpc-js";

const text = (data: string) => ({ inputs: [{ name: "text", shape: [1], datatype: "BYTES", data: [data] }] });

export async function post(url: string, body: unknown): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(20_000),
  });
}

export const infer = (url: string, model: string, data: string) => post(`${url}/v2/models/${model}/infer`, text(data));

/** The state of each model in the repository. */
export async function index(url: string): Promise<Record<string, string>> {
  const models = (await (await post(`${url}/v2/repository/index`, {})).json()) as { name: string; state?: string }[];
  return Object.fromEntries(models.map(({ name, state }) => [name, state ?? ""]));
}

export const repository = (url: string, model: string, what: "load" | "unload") =>
  post(`${url}/v2/repository/models/${model}/${what}`, {});

/** The data of each event of an answer. */
export async function events(answer: Response): Promise<unknown[]> {
  const parts = (await answer.text()).split("\n\n").filter((part) => part !== "");
  return parts.map((part) => JSON.parse(part.replace(/^data: /, "")) as unknown);
}

/** A call without a description of its messages: bytes go in, bytes come back. */
export function call(address: string, method: string, message: Uint8Array): Promise<Uint8Array> {
  const client = new Client(address, credentials.createInsecure());
  const path = `/inference.GRPCInferenceService/${method}`;
  return new Promise<Uint8Array>((resolve, reject) => {
    const deadline = Date.now() + 20_000;
    const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
    client.makeUnaryRequest(
      path,
      asBuffer,
      (bytes: Buffer) => bytes,
      message,
      { deadline },
      (error, answer) => {
        if (error !== null || answer === undefined) reject(error ?? new Error("no answer"));
        else resolve(answer);
      },
    );
  }).finally(() => client.close());
}
