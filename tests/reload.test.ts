import { describe, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultsOf, parseSection, type Parsed, settingsOf } from "../src/base/settings-reading.ts";
import { ConfigWatch } from "../src/config-watch.ts";
import { type RouterConfig, routerSettings } from "../src/config.ts";
import { createLog } from "../src/obs/log.ts";
import { isLiveAtRouter, Reloads } from "../src/reload.ts";

function bed(): {
  reloads: Reloads<typeof routerSettings>;
  readonly say: (raw: object) => void;
  lines: string[];
  applied: RouterConfig[];
} {
  let parsed: Parsed<RouterConfig> = parseSection(routerSettings, {});
  const lines: string[] = [];
  const applied: RouterConfig[] = [];
  const output = {
    write: (line: string) => void lines.push(line),
    isTerminal: false,
    color: false,
    now: () => new Date(0),
  };
  const reloads = new Reloads({
    settings: routerSettings,
    config: defaultsOf(routerSettings),
    source: { path: "router.yaml", load: () => parsed },
    isLive: isLiveAtRouter,
    apply: (config) => void applied.push(config),
    log: createLog({ format: "json", level: "info" }, output),
  });
  return { reloads, lines, applied, say: (raw) => void (parsed = parseSection(routerSettings, raw)) };
}

describe("loading a configuration anew", () => {
  test("applies what can change, and names what can't", () => {
    const { reloads, say, lines, applied } = bed();
    say({ proxy: { attemptsMax: 2 }, workers: 7, mesh: { key: "k".repeat(43) + "=" }, drainTimeout: "1s" });
    const { outcome, changes, pending } = reloads.reload("SIGHUP");
    expect(outcome).toBe("applied");
    expect(changes.map(({ path }) => path)).toEqual(["drainTimeout", "proxy.attemptsMax"]);
    expect(pending).toEqual([
      { path: "workers", from: "0", to: "7" },
      { path: "mesh.key", from: "(hidden)", to: "(hidden)" },
    ]);
    expect(applied).toEqual([reloads.config]);
    expect(reloads.config).toMatchObject({ drainTimeoutMs: 1000, workers: 0, proxy: { attemptsMax: 2 } });
    expect(lines.join("")).toContain('"changes":["drainTimeout: \\"30s\\" -> \\"1s\\"","proxy.attemptsMax: 3 -> 2"]');
    expect(lines.join("")).not.toContain("kkk");
    // What still waits is told again, and nothing is applied twice.
    expect(reloads.reload("SIGHUP")).toMatchObject({ outcome: "unchanged", pending });
    expect(applied.length).toBe(1);
  });

  test("is refused whole for one fault, and taken when that is mended", () => {
    const { reloads, say, lines, applied } = bed();
    const before = reloads.config;
    say({ proxy: { attemptsMax: 2 }, fleet: { unhealthyAfter: 9, removeAfter: 2 } });
    expect(reloads.reload("SIGHUP")).toMatchObject({ outcome: "refused", changes: [], pending: [] });
    expect(reloads.config).toBe(before);
    expect(applied).toEqual([]);
    expect(reloads.isOk).toBe(false);
    expect(lines.join("")).toContain("at least fleet.unhealthyAfter");
    say({ proxy: { attemptsMax: 2 } });
    expect(reloads.reload("SIGHUP").outcome).toBe("applied");
    expect(reloads.isOk).toBe(true);
    expect(reloads.counts).toEqual({ applied: 1, unchanged: 0, refused: 1 });
  });
});

test("every setting that a router takes on while it runs is one, and what binds or sizes is none", () => {
  const paths = settingsOf(routerSettings).map(({ path }) => path);
  const live = paths.filter(isLiveAtRouter);
  for (const path of [
    "upstreams",
    "maxBody",
    "proxy.idleTimeout",
    "fleet.pollInterval",
    "log.level",
    "admin.maxBody",
  ]) {
    expect(live).toContain(path);
  }
  for (const path of ["listen", "api", "id", "workers", "fleet.targetsMax", "table.targetsMax", "mesh.key", "join"]) {
    expect(paths).toContain(path);
    expect(live).not.toContain(path);
  }
});

describe("a watched file", () => {
  const folder = mkdtempSync(join(tmpdir(), "infermesh-watch-"));
  const path = join(folder, "router.yaml");

  test("is told of when it is at rest, once for each state, and not for being away", async () => {
    writeFileSync(path, "a");
    let changes = 0;
    const warnings: string[] = [];
    const watch = new ConfigWatch({
      path,
      lookMs: 5,
      onChange: () => void changes++,
      onWarning: (message) => void warnings.push(message),
    });
    await watch.start();
    const settled = async (count: number): Promise<void> => {
      for (let tries = 0; changes < count && tries < 400; tries++) await Bun.sleep(5);
      await Bun.sleep(30);
      expect(changes).toBe(count);
    };
    await settled(0);
    writeFileSync(path, "a longer text");
    await settled(1);
    writeFileSync(`${path}.new`, "another one");
    renameSync(`${path}.new`, path);
    await settled(2);
    rmSync(path);
    for (let tries = 0; warnings.length === 0 && tries < 400; tries++) await Bun.sleep(5);
    await settled(2);
    expect(warnings).toEqual([expect.stringContaining("what it said stays")]);
    writeFileSync(path, "back");
    await settled(3);
    watch.stop();
    writeFileSync(path, "unseen");
    await settled(3);
    rmSync(folder, { recursive: true });
  });
});
