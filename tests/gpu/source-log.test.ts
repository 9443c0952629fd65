/** What the log says of where GPUs are read from. */
import { expect, test } from "bun:test";
import { SourceLog } from "../../src/gpu/source-log.ts";
import type { SourceState } from "../../src/health/source-state.ts";
import type { Log } from "../../src/obs/log.ts";

const stack = { backend: "nvml", source: "/usr/lib/libnvidia-ml.so.1", driverVersion: "570.1" };

test("each state of a source is told once, whatever its message does meanwhile", () => {
  const lines: string[] = [];
  const write = (level: string) => (message: string, fields?: object) =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const log = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  const news = new SourceLog({ ...log, with: () => log as Log });
  const state = (name: SourceState["state"], message = ""): SourceState => ({
    state: name,
    message,
    sinceMs: 0,
    ...(name === "ok" ? { stack } : {}),
  });
  const take = (...states: readonly SourceState[]): string[] => {
    news.look(states);
    return lines.splice(0);
  };
  expect(take(state("starting", "the first reading is on its way"))).toEqual([]);
  const read = 'info GPUs are read {"backend":"nvml","driver":"570.1"}';
  expect(take(state("ok"))).toEqual([read]);
  expect(take(state("ok"))).toEqual([]);
  expect(take(state("unresponsive", "since 1"))).toEqual([
    `warn GPUs can't be read: the driver does not answer {"reason":"since 1"}`,
  ]);
  expect(take(state("unresponsive", "its process 7 is ended"))).toEqual([]);
  expect(take(state("unresponsive"), state("absent", "no driver"))).toEqual([
    'info no GPU is read {"reason":"no driver"}',
  ]);
  expect(take(state("ok"), state("absent"))).toEqual([read]);
  expect(take(state("ok", "1 of 8 can't be read"), state("absent"))).toEqual([
    `warn GPUs are read {"reason":"1 of 8 can't be read","backend":"nvml","driver":"570.1"}`,
  ]);
  // dcgm-exporter's page need not tell the driver's version.
  news.look([state("absent"), { ...state("ok"), stack: { backend: "dcgm", source: "http://host:9400/metrics" } }]);
  expect(lines.splice(0)).toContain('info GPUs are read {"backend":"dcgm"}');
});
