/** What is refused of an agent's runtime before anything is started. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MeshError } from "../src/base/errors.ts";
import { defaultsOf } from "../src/base/settings-reading.ts";
import { execSettings } from "../src/exec/settings.ts";
import { type ExecPlane, type ExecPlaneOptions, openExecPlane } from "../src/exec-plane.ts";
import { createLog } from "../src/obs/log.ts";

const made: string[] = [];
afterEach(() => {
  for (const one of made.splice(0)) rmSync(one, { recursive: true, force: true });
});

function plane(config: object = {}, more: Partial<ExecPlaneOptions> = {}): ExecPlane {
  const dataDir = mkdtempSync(join(tmpdir(), "infermesh-exec-plane-"));
  made.push(dataDir);
  const opened = openExecPlane({
    config: { ...defaultsOf(execSettings), command: "sleep 100", ...config },
    id: "n",
    dataDir,
    tell() {},
    changed() {},
    isStopping: () => false,
    log: createLog({ format: "json", level: "silent" }),
    ...more,
  });
  if (opened === null) throw new Error("it has a command");
  return opened;
}

const codeOf = (action: () => unknown): string => {
  try {
    action();
    return "done";
  } catch (error) {
    return error instanceof MeshError ? `${error.code}: ${error.message}` : String(error);
  }
};

describe("an agent's runtime", () => {
  test("can't be detached where the next agent would not know it again", async () => {
    expect(codeOf(() => plane({ detach: true }, { place: "" }))).toStartWith(
      "config_invalid: --exec-detach needs /proc/sys/kernel/random/boot_id",
    );
    await plane({ detach: true }, { place: "b pid:[1]" }).end();
    await plane({}, { place: "" }).end();
  });

  test("is neither started nor stopped by hand before it was seen whether one was left", async () => {
    const one = plane();
    for (const action of ["start", "restart", "stop"] as const) {
      expect(codeOf(() => one[action]())).toBe(
        "starting: this agent is starting and looks whether a runtime was left to it: ask again in a moment",
      );
    }
    expect(one.summary.state).toBe("stopped");
    await one.end();
  });

  test("is not started by hand while its agent stops", async () => {
    let isStopping = true;
    const one = plane({}, { isStopping: () => isStopping });
    for (const action of ["start", "restart"] as const) {
      expect(codeOf(() => one[action]())).toBe(
        "draining: this agent is stopping and starts no runtime any more: ask the one that comes after it",
      );
    }
    isStopping = false;
    await one.end();
    expect(codeOf(() => one.start())).toStartWith("draining: ");
    expect(codeOf(() => one.stop())).toStartWith("draining: ");
    expect(one.summary.state).toBe("stopped");
  });
});
