/** Clients of a Kubernetes service: each request goes to one of its endpoints, and must be answered whole. */
import type { Pod } from "./kube-cluster.ts";

const MODEL = "llama-3.1-8b-instruct";
const END = "data: [DONE]\n\n";

export class ServiceLoad {
  readonly failures: string[] = [];
  /** By the pod that took them. */
  readonly answers = new Map<string, number>();
  #endpoints: readonly Pod[];
  readonly #clients: Promise<void>[];
  #stopped = false;

  constructor(endpoints: readonly Pod[], clients: number) {
    this.#endpoints = endpoints;
    this.#clients = Array.from({ length: clients }, (_, at) => this.#client(at));
  }

  /** From now on its endpoints are these. */
  set endpoints(pods: readonly Pod[]) {
    this.#endpoints = pods;
  }

  get total(): number {
    return [...this.answers.values()].reduce((sum, one) => sum + one, 0);
  }

  async end(): Promise<readonly string[]> {
    this.#stopped = true;
    await Promise.all(this.#clients);
    return this.failures;
  }

  async #client(at: number): Promise<void> {
    for (let turn = at; !this.#stopped; turn++) {
      const pod = this.#endpoints[turn % this.#endpoints.length];
      if (pod !== undefined) await this.#ask(pod);
    }
  }

  async #ask({ name, ip, container }: Pod): Promise<void> {
    const port = container.ports.find((one) => one.name === "api")?.containerPort;
    const body = { model: MODEL, messages: [{ role: "user", content: "hi" }], max_tokens: 24, stream: true };
    try {
      const url = `http://${ip}:${port}/v1/chat/completions`;
      const response = await fetch(url, { method: "POST", body: JSON.stringify(body), keepalive: false });
      const text = await response.text();
      if (response.status === 200 && text.endsWith(END)) this.answers.set(name, (this.answers.get(name) ?? 0) + 1);
      else this.failures.push(`${name}: ${response.status} ${text.slice(-200)}`);
    } catch (error) {
      this.failures.push(`${name}: ${String(error)}`);
    }
  }
}
