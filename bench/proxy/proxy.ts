/**
 * `npm run bench -- proxy [rounds] [seconds]`: CPU per proxied request against nginx and HAProxy.
 *
 * A 1 KB chat completion in, 300 B out, keep-alive everywhere, one worker or thread each. The proxies are pinned to
 * core 0, wrk and the fixed upstream to core 1. Rounds are interleaved (A B C A B C ...), since shared machines drift;
 * what is compared is utime + stime over requests: the ratio to a peer is the median of the ratios within each round. infermesh does more
 * than its peers here: it reads the model in the body, scores, counts in-flight load and writes its histograms.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { report } from "../report.ts";
import { compileC, cpuSeconds, freePort, haproxy, infermesh, listening, nginx, rssMb, startOn } from "./peers.ts";
import type { Peer } from "./peers.ts";
import { load, LOAD_CORE, writeScript } from "./wrk.ts";
import type { Figures } from "./wrk.ts";

const ROUNDS = Number(process.argv[2] ?? 5);
const SECONDS = Number(process.argv[3] ?? 4);
const CONNECTIONS = [32, 256];
const PROXY_CORE = 0;

interface Round extends Figures {
  readonly cpuUs: number;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const folder = mkdtempSync(join(tmpdir(), "infermesh-bench-"));
const script = writeScript(folder);
const upstreamPort = freePort();
const started = [startOn(LOAD_CORE, [compileC("upstream.c", folder), String(upstreamPort)], folder, "upstream")];
try {
  await listening(upstreamPort, "upstream");
  const peers: Peer[] = [infermesh(upstreamPort)];
  for (const peer of [haproxy, nginx]) {
    const made = peer(folder, upstreamPort);
    if (Bun.which(made.command[0] ?? "") === null) console.log(`${made.name} is not installed: left out`);
    else peers.push(made);
  }
  const pids = new Map<string, number>();
  for (const peer of peers) {
    const child = startOn(PROXY_CORE, peer.command, folder, peer.name);
    started.push(child);
    pids.set(peer.name, child.pid);
    await listening(peer.port, peer.name);
    load(peer.port, 64, 3, script);
  }
  const rounds = new Map<string, Round[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const connections of CONNECTIONS) {
      for (const peer of peers) {
        const pid = pids.get(peer.name) ?? 0;
        const before = cpuSeconds(pid);
        const figures = load(peer.port, connections, SECONDS, script);
        const cpuUs = ((cpuSeconds(pid) - before) * 1e6) / figures.requests;
        if (figures.errors > 0) console.log(`${peer.name}: ${figures.errors} errors of ${figures.requests}`);
        const name = `${peer.name}/${connections}`;
        rounds.set(name, [...(rounds.get(name) ?? []), { ...figures, cpuUs }]);
        console.log(`round ${round + 1}/${ROUNDS} ${name}: ${cpuUs.toFixed(2)} us a request`);
      }
    }
  }
  const cpuOf = (name: string): number => median((rounds.get(name) ?? []).map(({ cpuUs }) => cpuUs));
  const rows = CONNECTIONS.flatMap((connections) =>
    peers.map((peer) => {
      const of = rounds.get(`${peer.name}/${connections}`) ?? [];
      const cpu = cpuOf(`${peer.name}/${connections}`);
      const ratio = (other: string): number | null => {
        const theirs = rounds.get(`${other}/${connections}`);
        if (theirs === undefined) return null;
        return Number(median(of.map(({ cpuUs }, round) => cpuUs / (theirs[round]?.cpuUs ?? Number.NaN))).toFixed(3));
      };
      return {
        proxy: peer.name,
        connections,
        cpuUsPerRequest: Number(cpu.toFixed(2)),
        ofHaproxy: ratio("haproxy"),
        ofNginx: ratio("nginx"),
        requestsPerSecond: Math.round(median(of.map(({ requests, us }) => (requests * 1e6) / us))),
        p50Us: median(of.map(({ p50 }) => p50)),
        p99Us: median(of.map(({ p99 }) => p99)),
        errors: of.reduce((sum, { errors }) => sum + errors, 0),
        rssMb: Math.round(rssMb(pids.get(peer.name) ?? 0)),
      };
    }),
  );
  await report("proxy", { rounds: ROUNDS, secondsPerRound: SECONDS, rows });
} finally {
  for (const child of started.toReversed()) child.kill();
  await Promise.all(started.map(({ exited }) => exited));
  rmSync(folder, { recursive: true, force: true });
}
