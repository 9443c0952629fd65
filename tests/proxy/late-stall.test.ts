/** A router whose main thread is held up, where its desk is: workers in threads of their own go on. */
import { afterEach, expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { lateSettings } from "../../src/flow/late-settings.ts";
import { flowSettings } from "../../src/flow/settings.ts";
import { WorkerStats } from "../../src/obs/worker-stats.ts";
import { Crew, indexesFor } from "../../src/proxy/crew.ts";
import { proxySettings } from "../../src/proxy/settings.ts";
import { costSettings, rowValues, UNROUTABLE } from "../../src/score/cost.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { apiSettings } from "../../src/wire/api-access.ts";
import { CONTENT, until } from "./harness.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** Long enough for whatever else the machine does, since nobody waits for it. */
const HELD_UP_MS = 4000;

test("what waits is bound by its worker, and the desk goes on where that was", async () => {
  const peer = Bun.spawn([process.execPath, new URL("stall-peer.ts", import.meta.url).pathname], {
    stdin: "pipe",
    stdout: "pipe",
  });
  ends.push(() => peer.kill());
  const said: string[] = [];
  void (async () => {
    let text = "";
    for await (const bytes of peer.stdout) {
      text += Buffer.from(bytes).toString();
      said.push(...text.split("\n").slice(0, -1));
      text = text.slice(text.lastIndexOf("\n") + 1);
    }
  })();
  const tell = (line: string): void => {
    void peer.stdin.write(`${line}\n`);
    void peer.stdin.flush();
  };
  const heard = async (word: string): Promise<string> => {
    await until(() => said.some((line) => line.startsWith(word)), 20_000);
    return said.find((line) => line.startsWith(word))!.split(" ")[1] ?? "";
  };

  const sizes = { targetsMax: 64, modelsMax: 2, workersMax: indexesFor(1) };
  const table = ScoreTable.create(sizes);
  const stats = WorkerStats.create(sizes);
  const writer = new TableWriter(table);
  const model = writer.addModel();
  const row = writer.addRow(model);
  writer.write(row, rowValues(null, { ...UNROUTABLE, ready: true }, defaultsOf(costSettings)));
  const late = { ...defaultsOf(lateSettings), untold: true, silenceMs: 100 };
  const port = Number(await heard("port"));
  const target = { row, model, protocol: "http" as const, node: "up", host: "127.0.0.1", port };
  const crew = await Crew.start(
    {
      entry: new URL("../../src/proxy/worker.ts", import.meta.url),
      listen: { host: "127.0.0.1", port: 0 },
      workers: 1,
      settings: {
        maxBodyBytes: 1 << 20,
        allowRegister: false,
        proxy: defaultsOf(proxySettings),
        flow: { ...defaultsOf(flowSettings), late },
        paths: defaultsOf(apiSettings),
        ...CONTENT,
      },
      tls: null,
      upstreamTls: { verify: true },
      table,
      stats,
      control: () => Promise.resolve({ status: 500, body: "{}" }),
      routed: () => {},
      restarted: () => {},
      failed(error) {
        throw error;
      },
    },
    {
      version: 1,
      models: [{ id: model, name: "m", protocol: "http", created: 1 }],
      rows: [{ ...target, tls: false, weight: 1, tellsLoad: false }],
    },
  );
  ends.push(() => void crew.drain(0));
  tell(`router ${crew.port}`);
  tell("long");
  await heard("long");
  tell("held");
  await until(() => crew.late.waiting.get(model) === 1);

  // Nothing of this thread runs from here on: no message is heard, and no timer.
  tell("first");
  await peer.stdin.flush();
  Bun.sleepSync(HELD_UP_MS);
  const goesOnMs = Date.now();

  expect(Number(await heard("arrived"))).toBeLessThan(goesOnMs);
  await until(() => said.filter((line) => line === "answered true").length === 2);
  expect(stats.count("lateAlone")).toBe(1);
  // What the desk claimed for it meanwhile, as it worked off what it was told, is given back.
  await until(() => crew.late.waiting.get(model) === 0 && table.inFlight(row) === 0 && table.inFlightTokens(row) === 0);
  expect(await crew.drain(5000)).toBe(true);
}, 60_000);
