/** A proxy that the environment names for all of HTTP, as company networks set it for every process of a machine. */

const NAMES = ["HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"] as const;

/** Does it with such a proxy set; what it was asked for, which it answers with 502. */
export async function withHttpProxy(action: () => Promise<void>): Promise<string[]> {
  const asked: string[] = [];
  const proxy = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      asked.push(request.url);
      return new Response("from the proxy", { status: 502 });
    },
  });
  const before = NAMES.map((name) => [name, process.env[name]] as const);
  for (const name of NAMES) delete process.env[name];
  process.env["HTTP_PROXY"] = `http://127.0.0.1:${proxy.port}`;
  try {
    await action();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    await proxy.stop(true);
  }
  return asked;
}
