/**
 * A network of containers in namespaces of its own, as an engine makes one for a compose file: a bridge, and for each
 * service a network namespace with an address and the names of all. Nothing of it can be reached from outside, nor the
 * outside from it.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { run } from "./checkers.ts";
import { endContainer, TOOLS } from "./image.ts";

const SUBNET = "10.89.0";

/** Holds the namespaces: it ends when its standard input does, and all that is in them with it. */
const HOLDER = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
ip link set lo up
ip link add mesh type bridge
ip addr add ${SUBNET}.1/24 dev mesh
ip link set mesh up
number=10
for name in "$@"; do
  ip netns add "$name"
  ip link add "v$number" type veth peer name eth0 netns "$name"
  ip link set "v$number" master mesh up
  ip -n "$name" addr add "${SUBNET}.$number/24" dev eth0
  ip -n "$name" link set eth0 up
  ip -n "$name" link set lo up
  number=$((number + 1))
done
echo up
exec cat >/dev/null`;

export class MeshNetwork {
  readonly hosts: string;
  readonly #holder: Subprocess<"pipe", "pipe", "inherit">;
  readonly #names: readonly string[];
  readonly #started: Subprocess[] = [];

  private constructor(names: readonly string[], holder: Subprocess<"pipe", "pipe", "inherit">, folder: string) {
    this.#names = names;
    this.#holder = holder;
    this.hosts = join(folder, "hosts");
    mkdirSync(folder, { recursive: true });
    const lines = names.map((name) => `${this.address(name)} ${name}\n`);
    writeFileSync(this.hosts, `127.0.0.1 localhost\n${lines.join("")}`);
  }

  static async make(names: readonly string[], folder: string): Promise<MeshNetwork> {
    const holder = Bun.spawn(["unshare", "--mount", "--net", "sh", "-c", HOLDER, "sh", ...names], {
      env: { PATH: TOOLS },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    const { value } = await holder.stdout.getReader().read();
    if (new TextDecoder().decode(value) !== "up\n") throw new Error("the network could not be made");
    return new MeshNetwork(names, holder, folder);
  }

  address(name: string): string {
    return `${SUBNET}.${10 + this.#names.indexOf(name)}`;
  }

  /** The command that runs one as the service of that name, or as the machine that the bridge belongs to. */
  at(name: string, command: readonly string[]): string[] {
    const enter = ["nsenter", "--net", "--mount", "-t", String(this.#holder.pid), "--"];
    return name === "" ? [...enter, ...command] : [...enter, "ip", "netns", "exec", name, ...command];
  }

  start(name: string, command: readonly string[], env: Record<string, string>, log: string): Subprocess {
    const child = Bun.spawn(this.at(name, command), {
      env,
      stdin: "ignore",
      stdout: Bun.file(log),
      stderr: Bun.file(`${log}.err`),
    });
    this.#started.push(child);
    return child;
  }

  /** What is answered there, asked from the bridge; "" if nothing is. */
  ask(url: string, init: object = {}): { readonly status: number; readonly body: string } {
    const script = `try { const r = await fetch(process.argv[1], { ...JSON.parse(process.argv[2]), signal: AbortSignal.timeout(10000) }); console.log(r.status); console.log(await r.text()); } catch { console.log(0); }`;
    const { out } = run(this.at("", [process.execPath, "-e", script, url, JSON.stringify(init)]), {
      env: { PATH: TOOLS },
    });
    const [status = "", ...body] = out.split("\n");
    return { status: Number(status), body: body.join("\n") };
  }

  async end(): Promise<void> {
    await Promise.all(this.#started.map(endContainer));
    void this.#holder.stdin.end();
    this.#holder.kill("SIGKILL");
    await this.#holder.exited;
  }
}
