/** Routers that find their runtimes in Kubernetes: an API server on loopback, and servers of vLLM's kind as pods. */
import { KubeServer } from "../kube/kube-server.ts";
import { type Bench, nodes, ownEnvironment, type Started } from "./harness.ts";
import { startVllmMock } from "./vllm-mock.ts";

const PORTS = ["--listen", "--api", "--metrics", "--gossip"].flatMap((name) => [name, "127.0.0.1:0"]);

export class KubeBed {
  readonly #bench: Bench;
  readonly #ends: { stop(): Promise<unknown> }[] = [];

  constructor(bench: Bench) {
    this.#bench = bench;
  }

  async kubernetes(): Promise<KubeServer> {
    const server = new KubeServer();
    this.#ends.push(server);
    return server.open();
  }

  vllm(model: string): { readonly port: number; stop(): Promise<void> } {
    const mock = startVllmMock(model);
    this.#ends.push(mock);
    return mock;
  }

  router(server: KubeServer, ...args: string[]): Promise<Started> {
    const env = { ...ownEnvironment(), XDG_STATE_HOME: this.#bench.dataDir, ...server.env };
    const account = ["--discover-service-account", server.serviceAccount];
    const fast = ["--workers", "1", "--fleet-poll-interval", "300ms"];
    return this.#bench.launch(["router", ...PORTS, ...fast, ...account, ...args], { env });
  }

  async end(): Promise<void> {
    await this.#bench.end();
    await Promise.all(this.#ends.map((each) => each.stop()));
  }
}

export async function ask(started: Started, model: string): Promise<{ status: number; node: string | null }> {
  const response = await fetch(`http://${started.address("listen")}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model, max_tokens: 1, messages: [{ role: "user", content: "hello" }] }),
    keepalive: false,
  });
  await response.arrayBuffer();
  return { status: response.status, node: response.headers.get("x-infermesh-node") };
}

export async function metric(started: Started, name: string): Promise<number> {
  const text = await (await fetch(`http://${started.address("metrics")}/telemetry`, { keepalive: false })).text();
  const line = text.split("\n").find((each) => each.startsWith(`${name}{`) || each.startsWith(`${name} `));
  return Number(line?.split(" ").at(-1));
}

export async function ids(started: Started): Promise<string[]> {
  return (await nodes(started)).map(({ id }) => id).toSorted();
}

export function logged(started: Started, part: string): Record<string, unknown> | undefined {
  return started.lines.find((line) => JSON.stringify(line).includes(part));
}
