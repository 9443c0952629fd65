/**
 * Two machines of runtime-forward.test.ts: `bun forward-nodes.ts MODE` in a network namespace of its own. This one has the
 * runtime and the agent (10.77.0.1); another namespace has the router (10.77.0.2), and an address at which there is none.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Bench, EXECUTABLE, ownEnvironment, until } from "./harness.ts";

const [NODE, ROUTER, STRANGER] = ["10.77.0.1", "10.77.0.2", "10.77.0.3"];
const PATIENCE_MS = 30_000;
const [mode = "routers"] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "infermesh-forward-"));
const bench = new Bench();

interface Target {
  readonly id: string;
  readonly address: string;
  readonly routable: boolean;
  readonly models: readonly string[];
}

function run(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
}

run("ip", "link", "set", "lo", "up");
const other = Bun.spawn(["unshare", "-n", "sh", "-c", "echo there; exec sleep 120"], { stdout: "pipe" });
await other.stdout.getReader().read();
const inside = ["nsenter", "-t", String(other.pid), "-n"];
run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there");
run("ip", "link", "set", "there", "netns", String(other.pid));
run("ip", "addr", "add", `${NODE}/24`, "dev", "here");
run("ip", "link", "set", "here", "up");
run(...inside, "ip", "link", "set", "lo", "up");
for (const address of [ROUTER, STRANGER]) run(...inside, "ip", "addr", "add", `${address}/24`, "dev", "there");
run(...inside, "ip", "link", "set", "there", "up");

const runtime = Bun.spawn([process.execPath, join(import.meta.dir, "vllm-peer.ts"), "llama"], {
  stdin: "pipe",
  stdout: "pipe",
});
try {
  const { value } = await runtime.stdout.getReader().read();
  const port = Number(new TextDecoder().decode(value));
  const elsewhere = join(folder, "router");
  writeFileSync(elsewhere, `#!/bin/sh\nexec ${inside.join(" ")} ${EXECUTABLE} "$@"\n`);
  chmodSync(elsewhere, 0o700);
  const at = (host: string, ...names: string[]): string[] => names.flatMap((name) => [name, `${host}:0`]);
  const router = await bench.launch(
    ["router", "--workers", "1", ...at(ROUTER, "--listen", "--api", "--metrics", "--gossip")],
    { executable: elsewhere, env: { ...ownEnvironment(), XDG_STATE_HOME: bench.dataDir } },
  );
  const agent = await bench.start(
    "agent",
    "--id",
    "g1",
    "--data-dir",
    bench.dataDir,
    "--register",
    "none",
    "--runtime-forward",
    mode,
    ...at("127.0.0.1", "--api"),
    ...at(NODE, "--metrics", "--gossip"),
    "--runtime",
    `vllm=http://127.0.0.1:${port}`,
    "--join",
    String(router.ready["gossip"]),
  );
  const forwards = async () => {
    const status = (await (await fetch(`http://${agent.address("api")}/status`)).json()) as {
      forwards: { kind: string; from: string }[];
    };
    return status.forwards[0];
  };
  await until(async () => (await forwards()) !== undefined, PATIENCE_MS);
  const way = (await forwards()) ?? { kind: "", from: "" };
  const target = async () => {
    const answer = await fetch(`http://${router.address("api")}/nodes`);
    const { nodes } = (await answer.json()) as { nodes: Target[] };
    // Once it would get requests: what fails then does so on the way.
    const isReady = ({ id, routable, models }: Target): boolean => id === "g1" && routable && models.includes("llama");
    return nodes.find(isReady)?.address ?? "";
  };
  const ask = async (): Promise<number> => {
    const messages = [{ role: "user", content: "hello" }];
    const answer = await fetch(`http://${router.address("listen")}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ model: "llama", max_tokens: 2, messages }),
    });
    await answer.text();
    return answer.status;
  };
  // The workers hear of a model a moment after the main thread.
  if (mode === "off") await until(async () => (await target()) !== "" && (await ask()) !== 404, PATIENCE_MS);
  else await until(async () => (await target()) === way.from && (await ask()) === 200, PATIENCE_MS);
  const address = await target();
  const status = await ask();
  const asked = ["-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "--interface", STRANGER];
  const curl = way.from === "" ? null : Bun.spawnSync([...inside, "curl", ...asked, `http://${way.from}/version`]);
  const stranger = curl === null || curl.exitCode !== 0 ? "refused" : curl.stdout.toString();
  console.log(JSON.stringify({ status, address, ...way, stranger }));
} finally {
  await bench.end();
  runtime.kill("SIGKILL");
  other.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
