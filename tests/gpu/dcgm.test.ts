/** A dcgm-exporter as a source, over real connections: what it says of itself when the exporter does what exporters do. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { DcgmSource } from "../../src/gpu/dcgm.ts";
import { gpuSettings } from "../../src/gpu/settings.ts";
import { GpuWatch } from "../../src/gpu/watch.ts";
import { GpuHealth } from "../../src/health/gpu-health.ts";
import { healthSettings } from "../../src/health/settings.ts";
import { GpuSources } from "../../src/gpu/sources.ts";
import type { GpuFault } from "../../src/health/reading.ts";
import { withHttpProxy } from "../net/http-proxy.ts";
import { exporter24, exporter45, UUIDS } from "./dcgm-fixtures.ts";

const CONFIG = {
  ...defaultsOf(gpuSettings),
  loadIntervalMs: 20,
  silentMaxMs: 1000,
  restartPauseMinMs: 20,
  restartPauseMaxMs: 60,
};
const WAIT_MS = 20_000;
setDefaultTimeout(60_000);

type Answer = (request: Request) => Response | Promise<Response>;

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** An exporter that answers as it is told at the moment. */
function exporter(first: Answer) {
  let answer = first;
  const seen = { requests: 0, underWay: 0, most: 0 };
  const serve = (port: number) =>
    Bun.serve({
      hostname: "127.0.0.1",
      port,
      idleTimeout: 60,
      async fetch(request) {
        seen.requests++;
        seen.underWay++;
        seen.most = Math.max(seen.most, seen.underWay);
        try {
          return await answer(request);
        } finally {
          seen.underWay--;
        }
      },
    });
  let server = serve(0);
  const { port } = server;
  closing.push(() => server.stop(true));
  return {
    seen,
    port: port!,
    url: `http://127.0.0.1:${port}/metrics`,
    answers: (next: Answer) => void (answer = next),
    stop: () => server.stop(true),
    start: () => void (server = serve(port!)),
  };
}

function watched(url: string, config: Partial<typeof CONFIG> = {}) {
  const source = new DcgmSource({ url, config: { ...CONFIG, ...config } });
  const faults: GpuFault[] = [];
  const told: string[] = [];
  source.watch({
    changed() {
      if (told.at(-1) !== source.state.state) told.push(source.state.state);
    },
    faulted: (some) => void faults.push(...some),
  });
  closing.unshift(() => source.stop());
  return { source, faults, told };
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + WAIT_MS;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await Bun.sleep(5);
  }
}

const page =
  (text: string): Answer =>
  () =>
    new Response(text, { headers: { "content-type": "text/plain; version=0.0.4" } });

describe("an exporter that answers", () => {
  test("is read again and again, and its errors are faults", async () => {
    const exported = exporter(page(exporter45({ xid: 31 })));
    const { source, faults, told } = watched(exported.url);
    expect(source.state.state).toBe("starting");
    await until("it is read", () => source.state.state === "ok");
    expect(source.state.stack).toEqual({ backend: "dcgm", source: exported.url, driverVersion: "570.86.15" });
    expect(source.readings.map(({ uuid, load }) => [uuid, load?.powerWattsMean])).toEqual([[UUIDS[0], 512.25]]);
    expect(source.figures).toMatchObject({ name: "dcgm", restarts: 0 });
    exported.answers(page(exporter45({ xid: 79 })));
    await until("the fault is told", () => faults.length > 0);
    const { requests } = exported.seen;
    await until("it was read three times more", () => exported.seen.requests > requests + 3);
    expect(faults).toEqual([{ uuid: UUIDS[0], xid: 79 }]);
    expect(told).toEqual(["ok"]);
    // GPUs come and go.
    exported.answers(page(exporter24()));
    await until("both are there", () => source.readings.length === 2);
    expect(source.readings.map(({ uuid }) => uuid)).toEqual([...UUIDS]);
  });

  test("is asked itself, whatever proxy the environment names", async () => {
    const exported = exporter(page(exporter45()));
    const asked = await withHttpProxy(async () => {
      const { source } = watched(exported.url);
      await until("it is read", () => source.state.state === "ok");
      await source.stop();
    });
    expect(asked).toEqual([]);
  });

  test("is asked once at a time, however slow it is", async () => {
    const exported = exporter(async () => {
      await Bun.sleep(100);
      return new Response(exporter45());
    });
    const { source } = watched(exported.url);
    await until("it was read thrice", () => exported.seen.requests > 3);
    expect(exported.seen.most).toBe(1);
    expect(source.state.state).toBe("ok");
  });

  test("in OpenMetrics, and behind a password, which is nowhere shown", async () => {
    const exported = exporter((request) => {
      if (request.headers.get("authorization") !== `Basic ${btoa("ada:se cret")}`)
        return new Response("", { status: 401 });
      return new Response(`${exporter45()}# EOF\n`, {
        headers: { "content-type": "application/openmetrics-text; version=1.0.0" },
      });
    });
    const { source } = watched(`${exported.url.replace("//", "//ada:se%20cret@")}?key=se%20cret`);
    await until("it is read", () => source.state.state === "ok");
    expect(JSON.stringify(source.state)).not.toContain("cret");
    expect(source.state.stack?.source).toBe(exported.url);
    const { source: stranger } = watched(exported.url.replace("//", "//%zz:%@"));
    await until("it is refused", () => stranger.state.state === "denied");
    expect(stranger.state.message).toContain("answers 401");
  });
});

describe("an exporter that does not", () => {
  test("says why, whatever it is", async () => {
    const { url } = exporter(page(""));
    const table: [Answer, string, RegExp][] = [
      [() => new Response("no", { status: 503 }), "broken", /answers 503$/],
      [
        () => Response.redirect("https://elsewhere/metrics", 302),
        "broken",
        /answers 302, leading to https:\/\/elsewhere\/metrics/,
      ],
      // A gateway may put into it what was given to it.
      [
        () => new Response("", { status: 302, headers: { location: "https://ada:se@cret@elsewhere/m?key=secret" } }),
        "broken",
        /answers 302, leading to https:\/\/elsewhere\/m: give that address$/,
      ],
      [page("<html>hello</html>\n"), "absent", /no GPU's DCGM_FI_ metrics.*is it dcgm-exporter's\?/],
      [page('DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="a} 1\n'), "absent", /1 lines are malformed/],
      [page(""), "absent", /is it dcgm-exporter's/],
      [page(exporter45().slice(0, -1)), "broken", /no whole page of metrics: the text ends within a line/],
      [page(`${"#".repeat(60_000)}\n`.repeat(150)), "broken", /longer than 8 MiB/],
      [() => new Response(null), "absent", /is it dcgm-exporter's/],
    ];
    for (const [answer, state, says] of table) {
      const exported = exporter(answer);
      const { source } = watched(exported.url);
      await until(`it is ${state}`, () => source.state.state !== "starting");
      expect([source.state.state, source.readings]).toEqual([state as never, []]);
      expect(source.state.message).toMatch(says);
      expect(source.state.message).toStartWith(exported.url);
      await source.stop();
    }
    expect(url).not.toBe("");
  });

  test("is waited for with pauses, and read again when it is back", async () => {
    const exported = exporter(page(exporter45()));
    await exported.stop();
    const { source, told } = watched(exported.url);
    await until("it is missed", () => source.state.state === "broken");
    expect(source.state.message).toContain("nothing listens there; is dcgm-exporter running?");
    exported.start();
    await until("it is back", () => source.state.state === "ok");
    expect(source.state.message).toBe("");
    const before = source.readings;
    await exported.stop();
    await until("it is missed again", () => source.state.state === "broken");
    // What was known last is still known.
    expect(source.readings.map(({ uuid }) => uuid)).toEqual(before.map(({ uuid }) => uuid));
    exported.start();
    await until("it is back again", () => source.state.state === "ok");
    expect(told).toEqual(["broken", "ok", "broken", "ok"]);
  });

  test("once or twice is no news", async () => {
    let failures = 0;
    const exported = exporter(page(exporter45()));
    const { source, told } = watched(exported.url, { silentMaxMs: 60_000 });
    await until("it is read", () => source.state.state === "ok");
    exported.answers(() => (++failures % 3 === 0 ? new Response(exporter45()) : new Response("", { status: 500 })));
    await until("it failed often", () => failures > 9);
    expect(told).toEqual(["ok"]);
    exported.answers(() => (++failures, new Response("", { status: 500 })));
    await until("it fails on end", () => source.state.state === "broken");
  });

  test("and takes the request is unresponsive", async () => {
    const exported = exporter(() => new Promise<Response>(() => {}));
    const { source } = watched(exported.url);
    await until("it is given up", () => source.state.state === "unresponsive");
    expect(source.state.message).toContain("does not answer within 1 s: it, or the driver behind it, hangs");
    expect(exported.seen.most).toBe(1);
    await source.stop();
  });

  test("or never ends its answer", async () => {
    const exported = exporter(
      () =>
        new Response(
          new ReadableStream({
            start: (controller) =>
              controller.enqueue(new TextEncoder().encode('DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="a"} 1\n')),
          }),
        ),
    );
    const { source } = watched(exported.url);
    await until("it is given up", () => source.state.state === "unresponsive");
    expect(source.readings).toEqual([]);
  });

  test("answers in a coding that was not asked for: what it inflates to is never known", async () => {
    const exported = exporter(
      () => new Response(Bun.gzipSync(exporter45()), { headers: { "content-encoding": "gzip" } }),
    );
    const { source } = watched(exported.url);
    await until("it is refused", () => source.state.state === "broken");
    expect(source.state.message).toContain("answers in gzip, though it was not asked to");
    expect(source.readings).toEqual([]);
  });

  test("show any GPU more is being started anew, then broken, and has lost them only after minutes", async () => {
    // Times 6 an empty page is no news: here 0.6 s of a minute; times 30 the GPUs are lost: 3 s of 5 minutes.
    const exported = exporter(page(exporter45()));
    const { source, told } = watched(exported.url, { silentMaxMs: 100 });
    await until("it is read", () => source.state.state === "ok");
    exported.answers(page("# HELP nothing at all\n"));
    const { requests } = exported.seen;
    const emptyMs = performance.now();
    await until("it is broken", () => source.state.state !== "ok");
    expect(source.state.state).toBe("broken");
    expect(performance.now() - emptyMs).toBeGreaterThan(500);
    // At the usual pace until then, not with pauses that grow.
    expect(exported.seen.requests - requests).toBeGreaterThan(5);
    expect(source.state.message).toContain("answers and shows no GPU any more");
    expect(source.readings).toHaveLength(1);
    await until("they are lost", () => source.state.state === "lost");
    expect(performance.now() - emptyMs).toBeGreaterThan(2900);
    expect(source.readings).toHaveLength(1);
    exported.answers(page(exporter45()));
    await until("they are back", () => source.state.state === "ok");
    expect(told).toEqual(["ok", "broken", "lost", "ok"]);
  });
});

test("an exporter that is started anew costs no GPU its health; one GPU that is missing among others is lost", async () => {
  const exported = exporter(page(exporter45()));
  const { source, told } = watched(exported.url, { silentMaxMs: 10_000 });
  const health = new GpuHealth(defaultsOf(healthSettings));
  await until("it is read", () => source.state.state === "ok");
  health.source(source.state, 0);
  health.look(source.readings, 0);
  const presence = (uuid: string): string[] =>
    health
      .verdict(uuid)
      .reasons.map(({ rule }) => rule)
      .filter((rule) => rule === "gpu_lost" || rule === "driver");
  let looks = 0;
  exported.answers(() => (looks++, new Response("")));
  await until("it was empty for long", () => looks > 30);
  health.source(source.state, 3000);
  health.look(source.readings, 60_000);
  expect(presence(UUIDS[0])).toEqual([]);
  expect(told).toEqual(["ok"]);
  exported.answers(page(exporter24()));
  await until("both are there", () => source.readings.length === 2);
  health.look(source.readings, 61_000);
  exported.answers(page(exporter45()));
  await until("one is there", () => source.readings.length === 1);
  health.look(source.readings, 62_000);
  health.wake(65_000);
  expect([presence(UUIDS[0]), presence(UUIDS[1])]).toEqual([[], ["gpu_lost"]]);
});

test("what it reads goes through the rules of health: a fatal XID quarantines, an exporter that is away degrades", async () => {
  const exported = exporter(page(exporter45({ xid: 31 })));
  const source = new DcgmSource({ url: exported.url, config: CONFIG });
  closing.unshift(() => source.stop());
  const watch = new GpuWatch({
    health: defaultsOf(healthSettings),
    runtimes: () => [{ name: "vllm", models: ["llama"], processes: undefined }],
    changed: () => {},
  });
  watch.add(source);
  await until("it is read", () => watch.all.length === 1);
  const rules = (): string[] => watch.all.flatMap(({ verdict }) => verdict.reasons.map(({ rule }) => rule));
  // What stood there at first is no news; the memory error of the fixture is.
  expect(rules()).not.toContain("xid");
  exported.answers(page(exporter45({ xid: 79 })));
  await until("it is quarantined for it", () => rules().includes("xid"));
  const xid = watch.all[0]?.verdict.reasons.find(({ rule }) => rule === "xid");
  expect(xid).toMatchObject({ severity: "quarantined", text: expect.stringContaining("XID 79") });
  expect(watch.quarantines.get("vllm")?.uuids).toEqual([UUIDS[0]]);
  expect([...(watch.all[0]?.xids.counts ?? [])]).toEqual([[79, 1]]);
  await exported.stop();
  await until("it is missed", () => rules().includes("driver"));
  expect(watch.all[0]?.isFresh).toBe(false);
  const [reason] = watch.all[0]?.verdict.reasons.filter(({ rule }) => rule === "driver") ?? [];
  expect(reason?.severity).toBe("degraded");
  expect(reason?.text).toContain("the GPU can't be read: http://127.0.0.1");
  watch.stop();
});

test("--gpu dcgm=URL opens it, and stops it", async () => {
  const exported = exporter(page(exporter45()));
  const opened: unknown[] = [];
  const sources = new GpuSources({
    config: CONFIG,
    choice: { kind: "dcgm", url: exported.url },
    probeCommand: ["/bin/false"],
    opened: (source) => void opened.push(source),
  });
  await until("it is read", () => sources.states[0]?.state === "ok");
  expect(opened).toHaveLength(1);
  await sources.stop();
  const { requests } = exported.seen;
  await Bun.sleep(100);
  expect(exported.seen.requests).toBe(requests);
});
