/** The processes of the proxy benchmarks: the fixed upstream, the proxies under test, and their CPU time from /proc. */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Subprocess } from "bun";

const ROOT = resolve(import.meta.dir, "..", "..");
/** Clock ticks a second: 100 on every Linux that Bun runs on. */
const TICKS = 100;

/** The proxies under test run here; what loads them, and what stands behind them, on the other core. */
export const PROXY_CORE = 0;
export const LOAD_CORE = 1;
/** The model of every benchmark's requests. */
export const MODEL = "llama-3-8b";

export interface Peer {
  readonly name: string;
  readonly port: number;
  readonly command: readonly string[];
}

/** What a peer relays: plain requests, event streams (each write sent on at once), or HTTP/2 on both sides. */
export type Traffic = "requests" | "streams" | "h2";

/** A free port on loopback, for a peer that must be told one. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

/** Compiles a program of this folder into `folder`; answers its path. */
export function compileC(source: string, folder: string): string {
  const target = join(folder, source.replace(/\.c$/, ""));
  const done = Bun.spawnSync(["cc", "-O2", "-o", target, join(import.meta.dir, source)], { stderr: "inherit" });
  if (done.exitCode !== 0) throw new Error(`cc could not compile ${source}: the proxy benchmark needs a C compiler`);
  return target;
}

/** HAProxy with one thread and http-reuse always. */
export function haproxy(folder: string, upstreamPort: number, traffic: Traffic = "requests"): Peer {
  const protocol = traffic === "h2" ? " proto h2" : "";
  const port = freePort();
  const file = join(folder, "haproxy.cfg");
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  option http-keep-alive
  http-reuse always
${traffic === "streams" ? "  option http-no-delay\n" : ""}frontend front
  bind 127.0.0.1:${port}${protocol}
  default_backend back
backend back
  server one 127.0.0.1:${upstreamPort}${protocol} pool-max-conn 2048 pool-purge-delay 300s
`,
  );
  return { name: "haproxy", port, command: ["haproxy", "-f", file] };
}

const NGINX_WAY: Readonly<Record<Traffic, string>> = {
  requests: 'proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection "";',
  streams: 'proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;',
  h2: "grpc_pass grpc://back;",
};

/** nginx with one worker and a keep-alive pool. */
export function nginx(folder: string, upstreamPort: number, traffic: Traffic = "requests"): Peer {
  const port = freePort();
  const file = join(folder, "nginx.conf");
  mkdirSync(join(folder, "nginx"), { recursive: true });
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `  ${kind}_temp_path ${folder}/nginx/${kind};`)
    .join("\n");
  writeFileSync(
    file,
    `worker_processes 1;
daemon off;
pid ${folder}/nginx/pid;
error_log ${folder}/nginx/error.log;
events { worker_connections 8192; multi_accept on; }
http {
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 300;
  tcp_nodelay on;
${temporary}
  upstream back { server 127.0.0.1:${upstreamPort}; keepalive 1024; keepalive_requests 100000000; keepalive_timeout 300; }
  server {
    listen 127.0.0.1:${port} backlog=4096${traffic === "h2" ? " http2" : ""};
    location / { ${NGINX_WAY[traffic]} }
  }
}
`,
  );
  return { name: "nginx", port, command: ["nginx", "-c", file] };
}

/** The bare relay in C: what the wire work alone costs. */
export function floor(folder: string, upstreamPort: number): Peer {
  const port = freePort();
  return { name: "floor", port, command: [compileC("floor.c", folder), String(port), String(upstreamPort)] };
}

/** The built executable. */
export function executable(): string {
  return join(ROOT, "dist", "infermesh");
}

/** A router, with one worker unless told otherwise. */
export function infermesh(upstreamPort: number, traffic: Traffic = "requests", workers = 1, ...more: string[]): Peer {
  const port = freePort();
  const scheme = traffic === "h2" ? "grpc" : "http";
  return {
    name: "infermesh",
    port,
    command: [
      executable(),
      "router",
      "--listen",
      `127.0.0.1:${port}`,
      "--api",
      "127.0.0.1:0",
      "--metrics",
      "127.0.0.1:0",
      "--gossip",
      "127.0.0.1:0",
      "--workers",
      String(workers),
      "--upstream",
      `${MODEL}=${scheme}://127.0.0.1:${upstreamPort}`,
      "--log-level",
      "warn",
      ...more,
    ],
  };
}

/** Starts a process on one core, or on several ("0,1"); its output goes to a file in `folder`. */
export function startOn(core: number | string, command: readonly string[], folder: string, name: string): Subprocess {
  return Bun.spawn(["taskset", "-c", String(core), ...command], {
    stdin: "ignore",
    stdout: Bun.file(join(folder, `${name}.out`)),
    stderr: Bun.file(join(folder, `${name}.err`)),
  });
}

/** Waits until something accepts on the port. */
export async function listening(port: number, name: string, timeoutMs = 10_000): Promise<void> {
  const until = performance.now() + timeoutMs;
  while (performance.now() < until) {
    try {
      const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
      socket.end();
      return;
    } catch {
      await Bun.sleep(50);
    }
  }
  throw new Error(`${name} does not listen on port ${port} after ${timeoutMs} ms`);
}

/** utime + stime in seconds of a process and its children. */
export function cpuSeconds(pid: number): number {
  let ticks = 0;
  for (const entry of [pid, ...childrenOf(pid)]) {
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // It ended since it was listed.
    }
  }
  return ticks / TICKS;
}

/** Resident memory in MB of a process and its children. */
export function rssMb(pid: number): number {
  let kib = 0;
  for (const entry of [pid, ...childrenOf(pid)]) {
    try {
      kib += Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${entry}/status`, "utf8"))?.[1] ?? 0);
    } catch {
      // It ended since it was listed.
    }
  }
  return kib / 1024;
}

function childrenOf(pid: number): number[] {
  const children: number[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      if (Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === pid) children.push(Number(name));
    } catch {
      // It ended since it was listed.
    }
  }
  return children;
}

/** A folder of its own for one run, and the processes that the run started: all of it goes when the run ends. */
export class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), "infermesh-bench-"));
  readonly #started: Subprocess[] = [];

  /** Starts a process and waits until it listens. */
  async start(core: number | string, command: readonly string[], name: string, port: number): Promise<Subprocess> {
    const child = startOn(core, command, this.folder, name);
    this.#started.push(child);
    const ended = child.exited.then((code) => {
      throw new Error(`${name} ended with ${code}: ${this.#said(name)}`);
    });
    // It ends with the run, when nobody waits for that any more.
    ended.catch(() => {});
    await Promise.race([listening(port, name), ended]);
    return child;
  }

  #said(name: string): string {
    return ["err", "out"].map((end) => readFileSync(join(this.folder, `${name}.${end}`), "utf8").trim()).join(" ");
  }

  /** Those of the peers whose program is on this machine. */
  installed(peers: readonly Peer[]): Peer[] {
    return peers.filter(({ name, command }) => {
      if (Bun.which(command[0] ?? "") !== null) return true;
      console.log(`${name} is not installed: left out`);
      return false;
    });
  }

  async end(): Promise<void> {
    for (const child of this.#started.toReversed()) child.kill();
    await Promise.all(this.#started.map(({ exited }) => exited));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
