/**
 * The clients and the target of a router whose main thread is held up, in a process of their own: a target that takes
 * one long prompt, then another request, which arrives there or does not. Told of the router's port by standard input.
 */
import { createInterface } from "node:readline";

const arrived: Promise<number> = new Promise((resolve) => {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const text = await request.text();
      if (!text.includes('"long')) {
        resolve(Date.now());
        return new Response("data: [DONE]\n\n", { headers: { "content-type": "text/event-stream" } });
      }
      console.log("long");
      const events = async function* (): AsyncGenerator<string> {
        await new Promise<void>((go) => (first = go));
        yield "data: first\n\n";
        await arrived;
        yield "data: [DONE]\n\n";
      };
      return new Response(events(), { headers: { "content-type": "text/event-stream" } });
    },
  });
  console.log(`port ${server.port}`);
});
let first = (): void => {};
let router = "";

function send(content: string): Promise<Response> {
  return fetch(`http://127.0.0.1:${router}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content }] }),
  });
}

const answers: Promise<Response>[] = [];
for await (const line of createInterface({ input: process.stdin })) {
  const [word = "", value = ""] = line.split(" ");
  if (word === "router") router = value;
  if (word === "long") answers.push(send(`long ${"x".repeat(400_000)}`));
  if (word === "held") answers.push(send("held"));
  // The target has computed the long one, while nobody decides.
  if (word === "first") {
    setTimeout(() => first(), 200);
    console.log(`arrived ${await arrived}`);
    for (const answer of answers) console.log(`answered ${(await (await answer).text()).includes("[DONE]")}`);
    process.exit(0);
  }
}
