/** A real browser's EventSource and fetch through the compiled router; skipped where no Chromium is installed. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Bench, inFlight, until } from "./harness.ts";
import type { Started } from "./harness.ts";

const CHROMIUM = Bun.which("chromium") ?? Bun.which("chromium-browser") ?? Bun.which("google-chrome");
if (CHROMIUM === null) console.log("skipped: no Chromium is installed");

const folder = mkdtempSync(join(tmpdir(), "infermesh-browser-"));
const bench = new Bench();
let upstream: ReturnType<typeof Bun.serve>;
let router: Started;

/** A page that writes what it hears into its body, and stays open until it has heard all. */
const page = (url: string): string => `<!doctype html><title>events</title><body><script>
  const heard = [];
  const show = () => { document.body.textContent = JSON.stringify(heard); };
  const source = new EventSource("${url}");
  source.onopen = () => heard.push("open");
  source.onmessage = ({ data, lastEventId }) => { heard.push([data, lastEventId]); show(); };
  source.addEventListener("token", ({ data }) => heard.push(["token", data]));
  source.onerror = () => {
    heard.push("again");
    if (heard.filter((one) => one === "again").length === 2) { source.close(); show(); }
  };
</script>`;

beforeAll(async () => {
  upstream = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const from = Number(request.headers.get("last-event-id") ?? 0);
      const events = [1, 2].map((n) => `id: ${from + n}\ndata: event ${from + n}\ndata: of two lines\n\n`);
      const body = new ReadableStream({
        async start(controller) {
          controller.enqueue("retry: 10\n\n: a comment\n\nevent: token\ndata: named\n\n");
          for (const event of events) {
            await Bun.sleep(20);
            controller.enqueue(event);
          }
          controller.close();
        },
      });
      return new Response(body, {
        headers: { "content-type": "text/event-stream", "access-control-allow-origin": "*" },
      });
    },
  });
  router = await bench.router("--workers", "1", "--upstream", `m=http://127.0.0.1:${upstream.port}`);
});

afterAll(async () => {
  await upstream.stop(true);
  await bench.end();
  rmSync(folder, { recursive: true, force: true });
});

test.skipIf(CHROMIUM === null)("an EventSource hears every event, and goes on where it was cut off", async () => {
  const file = join(folder, "page.html");
  writeFileSync(file, page(`http://${router.address("listen")}/v1/events`));
  const flags = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    `--user-data-dir=${folder}/profile`,
  ];
  // The page's own clock runs on until it has nothing to wait for: the network is waited for.
  const command = [CHROMIUM!, ...flags, "--virtual-time-budget=8000", "--dump-dom", `file://${file}`];
  const browser = Bun.spawn(command, { stdout: "pipe", stderr: "ignore" });
  const dom = await browser.stdout.text();
  const heard: unknown = JSON.parse(/<body>(\[.*\])<\/body>/.exec(dom)?.[1] ?? "null");
  const said = (n: number): unknown => [`event ${n}\nof two lines`, String(n)];
  const round = (n: number): unknown[] => ["open", ["token", "named"], said(n), said(n + 1), "again"];
  expect(heard).toEqual([...round(1), ...round(3)]);
  await until(async () => (await inFlight(router)) === 0);
});
