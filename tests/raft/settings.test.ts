/** The consensus' settings: the defaults hold together, and what does not is refused. */
import { expect, test } from "bun:test";
import { parseSection } from "../../src/base/settings-reading.ts";
import { PAYLOAD_BYTES_MAX } from "../../src/raft/codec.ts";
import { raftSettings } from "../../src/raft/settings.ts";
import { DEFAULTS } from "./lab.ts";

const faultsOf = (raw: unknown): string[] => {
  const parsed = parseSection(raftSettings, raw);
  return "faults" in parsed ? parsed.faults.map(({ path, expected }) => `${path}: ${expected}`) : [];
};

test("the defaults stand", () => {
  expect(faultsOf({})).toEqual([]);
  expect(DEFAULTS.electionTimeoutMinMs).toBe(500);
  // A message holds what may be put into one.
  expect(DEFAULTS.appendBytesMax + DEFAULTS.entryBytesMax).toBeLessThanOrEqual(PAYLOAD_BYTES_MAX);
});

test("timeouts have to leave room for one another, and pieces have to fit their window", () => {
  expect(faultsOf({ heartbeatInterval: "300ms" })).toEqual([
    "electionTimeoutMin: at least twice heartbeatInterval, which is 300ms",
  ]);
  expect(faultsOf({ electionTimeoutMin: "900ms" })).toEqual([
    "electionTimeoutMax: at least 1.2 times electionTimeoutMin, which is 900ms",
  ]);
  expect(faultsOf({ snapshotWindow: "64KiB" })).toEqual(["snapshotWindow: at least snapshotChunk, which is 256KiB"]);
});
