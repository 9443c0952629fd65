/**
 * `npm run bench -- decision [seconds]`: how long a worker under load takes to choose among 1,024 targets.
 *
 * One worker pinned to a core, with 1,024 targets (one process on as many addresses of 127.0.0.0/8) and as many
 * requests as wrk can send: what the worker itself measured, from the ready request to the claimed row.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { report } from "../report.ts";
import { compileC, executable, freePort, listening, LOAD_CORE, startOn } from "./peers.ts";
import { load, writeScript } from "./wrk.ts";

const SECONDS = Number(process.argv[2] ?? 10);
const TARGETS = 1024;
const CONNECTIONS = 64;

const folder = mkdtempSync(join(tmpdir(), "infermesh-bench-"));
const [upstreamPort, listen, api] = [freePort(), freePort(), freePort()];
const upstreams = Array.from(
  { length: TARGETS },
  (_, i) => `llama-3-8b=http://127.0.${1 + (i >> 8)}.${i & 255}:${upstreamPort}`,
);
const config = join(folder, "router.json");
writeFileSync(config, JSON.stringify({ upstreams, fleet: { pollInterval: "10m" } }));
const started = [
  startOn(LOAD_CORE, [compileC("upstream.c", folder), String(upstreamPort), "0.0.0.0"], folder, "upstream"),
  startOn(
    0,
    [
      executable(),
      "router",
      "--config",
      config,
      "--workers=1",
      `--listen=127.0.0.1:${listen}`,
      `--api=127.0.0.1:${api}`,
      "--metrics=127.0.0.1:0",
      "--gossip=127.0.0.1:0",
    ],
    folder,
    "router",
  ),
];
try {
  await Promise.all([listening(upstreamPort, "upstream"), listening(listen, "router"), listening(api, "router's API")]);
  const script = writeScript(folder);
  const { requests } = load(listen, CONNECTIONS, SECONDS, script);
  const stats = (await (await fetch(`http://127.0.0.1:${api}/stats`)).json()) as {
    scorer: string;
    decision: { p50us: number; p99us: number };
  };
  await report("decision", {
    targets: TARGETS,
    scorer: stats.scorer,
    requests,
    p50Us: Number(stats.decision.p50us.toFixed(2)),
    p99Us: Number(stats.decision.p99us.toFixed(2)),
    targetP99Us: 20,
  });
} finally {
  for (const child of started.toReversed()) child.kill();
  await Promise.all(started.map(({ exited }) => exited));
  rmSync(folder, { recursive: true, force: true });
}
