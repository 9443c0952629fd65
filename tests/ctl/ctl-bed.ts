/** A server that answers by path, and a command that is run against it. */
import type { CtlConfig } from "../../src/ctl/settings.ts";
import type { Terminal } from "../../src/ctl/terminal.ts";

export type Routes = Readonly<Record<string, () => unknown>>;

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** What is said further where nobody listens. */
export const NOBODY_SAYS =
  "infermesh ctl: start a router or an agent there, or say whom to ask: --endpoint URL, INFERMESH_ENDPOINT, or --profile (`infermesh ctl profiles`)\n";

export class CtlBed {
  readonly #server: ReturnType<typeof Bun.serve>;

  /** Routes by `/BASE/path`; what they give is JSON unless it is a response. What has none is 404. */
  constructor(routes: Routes) {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch(request) {
        const answer = routes[new URL(request.url).pathname]?.();
        if (answer === undefined) return Response.json({ error: { message: "no such path" } }, { status: 404 });
        return answer instanceof Response ? answer : Response.json(answer);
      },
    });
  }

  /** A command against the routes under `/base`. */
  async run(
    command: (config: CtlConfig, terminal: Terminal, operand: string) => Promise<number>,
    base: string,
    { operand = "", color = false, ...config }: Partial<CtlConfig> & { operand?: string; color?: boolean } = {},
  ): Promise<Ran> {
    let [out, err] = ["", ""];
    const endpoint = `http://127.0.0.1:${this.#server.port}/${base}`;
    const terminal = { out: (text: string) => void (out += text), err: (text: string) => void (err += text), color };
    const code = await command({ endpoint, output: "table", timeoutMs: 2000, ...config }, terminal, operand);
    return { code, out, err: err.replaceAll(String(this.#server.port), "PORT") };
  }

  stop(): Promise<void> {
    return this.#server.stop(true);
  }
}
