/** wrk as the load of the proxy benchmarks: a 1 KB chat completion, again and again. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { LOAD_CORE, MODEL } from "./peers.ts";

const WRK_SCRIPT = `
wrk.method = "POST"
wrk.body = '{"messages":[{"role":"system","content":"You are a helpful assistant."},{"role":"user","content":"' ..
  string.rep("x", 850) .. '"}],"model":"${MODEL}","temperature":0.7,"max_tokens":128}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer sk-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
wrk.headers["User-Agent"] = "OpenAI/Python 1.54.0"
wrk.headers["Accept"] = "application/json"
wrk.headers["X-Stainless-Lang"] = "python"
wrk.headers["X-Stainless-Package-Version"] = "1.54.0"
wrk.headers["X-Stainless-OS"] = "Linux"
wrk.headers["X-Stainless-Runtime"] = "CPython"
function init(args)
  local longest = tonumber(args[1])
  if longest > 0 then delay = function() return math.random(0, longest) end end
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('FIGURES {"requests":%d,"us":%d,"p50":%.1f,"p99":%.1f,"errors":%d}\\n', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.timeout + e.status))
end
`;

export interface Figures {
  readonly requests: number;
  readonly us: number;
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
}

/** Writes wrk's script into `folder`; answers its path. */
export function writeScript(folder: string): string {
  const path = join(folder, "post.lua");
  writeFileSync(path, WRK_SCRIPT);
  return path;
}

/**
 * One run of wrk. Each connection sends its next request when the last is answered and it has thought, for 0 to
 * `thinkMs`, all equally likely: 0 is as much as it can, which is more for the faster proxy.
 */
export function load(
  port: number,
  connections: number,
  seconds: number,
  script: string,
  thinkMs = 0,
  core: number | string = LOAD_CORE,
): Figures {
  const url = `http://127.0.0.1:${port}/v1/chat/completions`;
  const wrk = ["wrk", "-t1", `-c${connections}`, `-d${seconds}s`, "-s", script, url, "--", String(thinkMs)];
  const done = Bun.spawnSync(["taskset", "-c", String(core), ...wrk]);
  const line = /^FIGURES (.+)$/m.exec(done.stdout.toString())?.[1];
  if (line === undefined) throw new Error(`wrk printed no figures: ${done.stderr.toString()}`);
  return JSON.parse(line) as Figures;
}
