/**
 * A node that is a process of its own, so that it can be killed: an HTTP/1.1 upstream that writes the id of every request
 * to its standard output before it runs it, so that a test learns afterwards what ran where, also where it never ended.
 *
 * usage: bun recording-node.ts DELAY_MS    prints `listening PORT`, then `ran ID` for each request
 */
import { writeSync } from "node:fs";

const EVENTS = 6;
const DELAY_MS = Number(process.argv[2]);

/** At once, and not when the buffer is full: what was written stands when the process is killed. */
const say = (line: string): number => writeSync(1, `${line}\n`);

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0,
  async fetch(request) {
    const body = await request.text();
    say(`ran ${request.headers.get("x-request-id") ?? ""}`);
    await Bun.sleep(DELAY_MS);
    if (!body.includes('"stream":true')) return Response.json({ ok: true });
    const events = async function* (): AsyncGenerator<string> {
      for (let i = 0; i < EVENTS; i++) {
        yield `data: {"event":${i}}\n\n`;
        await Bun.sleep(DELAY_MS);
      }
      yield "data: [DONE]\n\n";
    };
    return new Response(events(), { headers: { "content-type": "text/event-stream" } });
  },
});
say(`listening ${server.port}`);
