/**
 * A router on another machine, as far as the kernel is concerned: it runs in a network namespace of its own, and reaches a
 * runtime that listens on its machine's loopback alone by the port that the agent opens for it. Another address of that
 * machine, where no router is, is refused; with `--runtime-forward off` nobody gets through.
 *
 * What is tested is in forward-nodes.ts, which runs in a namespace that this one makes, with rights to make another one.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { ownEnvironment } from "./harness.ts";

const NAMESPACE = ["unshare", "-Urn"];

/** Making namespaces and links between them is forbidden here and there. */
function canLink(): boolean {
  if (Bun.which("unshare") === null || Bun.which("nsenter") === null || Bun.which("ip") === null) return false;
  const made = "ip link set lo up && ip link add one type veth peer name two && unshare -n true";
  return Bun.spawnSync([...NAMESPACE, "sh", "-c", made]).exitCode === 0;
}

interface Outcome {
  readonly status: number;
  readonly address: string;
  readonly kind: string;
  readonly from: string;
  readonly stranger: string;
}

async function outcomeOf(mode: string): Promise<Outcome> {
  const script = join(import.meta.dir, "forward-nodes.ts");
  const child = Bun.spawn([...NAMESPACE, process.execPath, script, mode], {
    env: ownEnvironment(),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(err);
  return JSON.parse(out) as Outcome;
}

test.skipIf(!canLink())(
  "routers on another machine get through to a runtime on loopback, and nobody else does",
  async () => {
    const outcome = await outcomeOf("routers");
    expect(outcome).toMatchObject({ status: 200, kind: "relayed", stranger: "refused" });
    expect(outcome.from).toMatch(/^10\.77\.0\.1:\d+$/);
    expect(outcome.address).toBe(outcome.from);
  },
  90_000,
);

test.skipIf(!canLink())(
  "anyone does where that is wanted",
  async () => {
    expect(await outcomeOf("anyone")).toMatchObject({ status: 200, kind: "relayed", stranger: "200" });
  },
  90_000,
);

test.skipIf(!canLink())(
  "nobody does where it is off, which the agent tells",
  async () => {
    const outcome = await outcomeOf("off");
    expect(outcome).toMatchObject({ kind: "closed", from: "" });
    // The router takes it for ready, and reaches nobody.
    expect(outcome.address).not.toBe("");
    expect(outcome.status).toBeWithin(500, 600);
  },
  90_000,
);
