import { expect, test } from "bun:test";
import { newApp } from "../../src/admin/app.ts";
import { probeRoutes } from "../../src/admin/probes.ts";

function probed(whyNot: () => string | Promise<string>) {
  const errors: unknown[] = [];
  const app = newApp((error) => errors.push(error));
  probeRoutes(app, whyNot);
  const ask = async (path: string, method = "GET") => {
    const response = await app.request(path, { method });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : (JSON.parse(text) as unknown) };
  };
  return { ask, errors };
}

test("readiness goes by what is said, and liveness by nothing", async () => {
  let reason = "";
  const { ask } = probed(async () => reason);
  expect(await ask("/readyz")).toEqual({ status: 200, body: { status: "ready" } });
  reason = "it is stopping";
  expect(await ask("/readyz")).toEqual({ status: 503, body: { status: "unready", reason } });
  expect(await ask("/readyz", "HEAD")).toEqual({ status: 503, body: null });
  expect(await ask("/livez")).toEqual({ status: 200, body: { status: "alive" } });
});

test("a fault in looking is no readiness, and no death", async () => {
  const { ask, errors } = probed(() => Promise.reject(new Error("broken")));
  expect((await ask("/readyz")).status).toBe(500);
  expect(errors).toHaveLength(1);
  expect((await ask("/livez")).status).toBe(200);
});

test("nothing but reading", async () => {
  const { ask } = probed(() => "");
  for (const path of ["/livez", "/readyz"]) expect((await ask(path, "POST")).status).toBe(405);
});
