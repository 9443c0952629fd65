/** A run whose threads fail is no run: it ends with an error, and leaves none of them behind. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { driveTogether } from "../../src/client/crew.ts";
import type { DriveCounts, DrivePart } from "../../src/client/drive.ts";
import { Flight } from "../../src/load/flight.ts";
import { Tally } from "../../src/load/tally.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-crew-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const seen = new Tally();
seen.start(0, 0);
const flight = new Flight(0, { dueMs: 0, promptTokens: 1, outputTokens: 1, hashes: [] }, 0, false);
flight.endMs = 5;
seen.ended(flight);

/** What a thread does on each message. */
async function driven(code: string, ended = new AbortController().signal) {
  const file = join(folder, `thread-${Bun.hash(code)}.js`);
  writeFileSync(file, `self.onmessage = ({ data }) => { ${code} };\n`);
  const parts = [0, 1].map((index) => ({ share: { index, of: 2 }, tally: seen.state() }) as unknown as DrivePart);
  const tally = new Tally();
  const heard: [number, DriveCounts][] = [];
  const work = { parts, workerEntry: pathToFileURL(file), tally, warmUpMs: 0, ended };
  const isStopped = await driveTogether(work, (...told) => void heard.push(told));
  return { isStopped, tally, heard };
}

const WELL = `
  if (data.part) { self.tally = data.part.tally; postMessage("ready"); }
  else if (data.startAtMs) postMessage({ counts: { sent: 1 } }), postMessage({ tally: self.tally, isStopped: false });
`;

test("what all threads saw is added up", async () => {
  const { isStopped, tally, heard } = await driven(WELL);
  expect(isStopped).toBe(false);
  expect(tally).toMatchObject({ rows: 2, okCount: 2 });
  expect(new Set(heard.map(([index]) => index))).toEqual(new Set([0, 1]));
});

test("who is stopped before all have begun is stopped as they have", async () => {
  const ended = new AbortController();
  ended.abort();
  const { isStopped } = await driven(
    `if (data.part) { self.tally = data.part.tally; postMessage("ready"); }
     else if (data === "stop") postMessage({ tally: self.tally, isStopped: true });`,
    ended.signal,
  );
  expect(isStopped).toBe(true);
});

test("a thread that throws, or ends, ends the run with an error", async () => {
  const failure = async (code: string): Promise<string> =>
    driven(code).then(
      () => "none",
      (error: Error) => error.message,
    );
  expect(await failure("throw new Error('no sockets left')")).toStartWith("a sending thread failed");
  expect(await failure(`if (data.part) postMessage("ready"); else process.exit(0);`)).toContain(
    "before its requests had",
  );
});
