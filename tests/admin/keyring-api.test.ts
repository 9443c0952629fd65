/** /keyring of both roles: what gets through, what is answered, and that keys never are. */
import { describe, expect, test } from "bun:test";
import { agentApi, type AgentApiOptions } from "../../src/admin/agent-api.ts";
import { routerApi, type RouterApiOptions } from "../../src/admin/router-api.ts";
import { MeshError } from "../../src/base/errors.ts";

const KEY = Buffer.alloc(32, 201).toString("base64");

interface Heard {
  readonly changes: unknown[];
  readonly errors: string[];
}

const roles = {
  agent(heard: Heard, keyring: AgentApiOptions["keyring"]) {
    const unused = (): never => {
      throw new Error("not asked for here");
    };
    const onError = (error: unknown, request: string) => void heard.errors.push(`${request}: ${String(error)}`);
    const options = { sample: unused, state: unused, metricsText: unused, status: unused, onError };
    return agentApi(keyring === undefined ? options : { ...options, keyring });
  },
  router(heard: Heard, keyring: RouterApiOptions["keyring"]) {
    const onError = (error: unknown, request: string) => void heard.errors.push(`${request}: ${String(error)}`);
    const options = { targets: () => [], config: () => ({}), onError } as unknown as RouterApiOptions;
    return routerApi(keyring === undefined ? { ...options, readOnly: true } : { ...options, keyring });
  },
};

describe.each(["agent", "router"] as const)("of the %s", (role) => {
  function api(change: (json: unknown) => Promise<object> = async () => ({ op: "use" })) {
    const heard: Heard = { changes: [], errors: [] };
    const app = roles[role](heard, () => ({
      list: async () => ({ keys: [], members: [] }),
      async change(json) {
        heard.changes.push(json);
        return change(json);
      },
    }));
    const post = (body: string, headers: Record<string, string> = {}) =>
      app.request("/keyring", { method: "POST", body, headers });
    return { heard, app, post };
  }

  test("lists, and hands a change on as it came", async () => {
    const { app, post, heard } = api();
    const listed = await app.request("/keyring");
    expect([listed.status, await listed.json()]).toEqual([200, { keys: [], members: [] }]);
    const changed = await post('{"op":"use","fingerprint":"3f2a9c","force":true}');
    expect([changed.status, await changed.json()]).toEqual([200, { op: "use" }]);
    expect(heard.changes).toEqual([{ op: "use", fingerprint: "3f2a9c", force: true }]);
  });

  test("answers a refusal with its status and words", async () => {
    const { post, heard } = api(async () => {
      throw new MeshError("conflict", "refused, and nothing was changed: n1 without the key");
    });
    const response = await post("{}");
    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({
      error: { code: "conflict", message: expect.stringContaining("n1 without the key") },
    });
    expect(heard.errors).toEqual([]);
  });

  test("never repeats a key, wherever it was put", async () => {
    const { post, heard } = api(async () => {
      throw new Error("a fault of ours");
    });
    for (const body of [KEY, `{"op": ${KEY}}`, `{"op":"add","key":"${KEY}"`, `{"op":"add","key":"${KEY}"}`]) {
      const text = await (await post(body)).text();
      expect(text).toContain('"error"');
      for (const part of [KEY.slice(0, 10), KEY.slice(-10)]) {
        expect(text).not.toContain(part);
        expect(heard.errors.join()).not.toContain(part);
      }
    }
  });

  test("a web page can't change it, and other methods are told what is allowed", async () => {
    const { post, app, heard } = api();
    expect((await post('{"op":"use"}', { origin: "http://evil.example", host: "127.0.0.1" })).status).toBe(400);
    expect(heard.changes).toEqual([]);
    const put = await app.request("/keyring", { method: "PUT", body: "{}" });
    expect([put.status, put.headers.get("allow")]).toEqual([405, "GET, HEAD, POST"]);
  });

  test("is not there on the metrics port", async () => {
    const app = roles[role]({ changes: [], errors: [] }, undefined);
    for (const method of ["GET", "POST"]) expect((await app.request("/keyring", { method })).status).toBe(404);
  });
});
