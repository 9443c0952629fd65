/** Loading and unloading of models: who is asked, and what is refused before anybody is. */
import { describe, expect, test } from "bun:test";
import { MeshError } from "../src/base/errors.ts";
import { type LocalRuntime, modelCalls } from "../src/model-calls.ts";

const call = { signal: new AbortController().signal, deadlineMs: Infinity, remoteAddress: "" };
const refusalOf = async (work: Promise<unknown>): Promise<[string, string]> =>
  work.then(
    () => ["", ""],
    (error: unknown) => (error instanceof MeshError ? [error.code, error.message] : ["stranger", String(error)]),
  );

function local(): { asked: unknown[]; runtime: LocalRuntime } {
  const asked: unknown[] = [];
  return {
    asked,
    runtime: {
      load: async (model) => ({ changed: true, models: [model] }),
      async unload(model, drainMs) {
        asked.push([model, drainMs]);
        return { changed: true, models: [] };
      },
    },
  };
}

describe("unloading", () => {
  const request = { node: "", model: "m", runtime: "" };

  test("is done by the node's own runtime, within a minute by default", async () => {
    const { asked, runtime } = local();
    const calls = modelCalls({ id: () => "n1", node: () => null, runtime });
    expect(await calls.unload({ ...request, drainMs: undefined }, call)).toMatchObject({ node: "n1", changed: true });
    await calls.unload({ ...request, node: "n1", drainMs: 0 }, call);
    await calls.unload({ ...request, drainMs: 599_999 }, call);
    expect(asked).toEqual([
      ["m", 60_000],
      ["m", 0],
      ["m", 599_999],
    ]);
  });

  test.each([Infinity, Number.NaN, -1, 600_000, 1e300])(
    "within %p milliseconds is refused, wherever the node is",
    async (drainMs) => {
      const { asked, runtime } = local();
      const calls = modelCalls({ id: () => "n1", node: () => null, runtime });
      for (const node of ["", "elsewhere"]) {
        expect(await refusalOf(calls.unload({ ...request, node, drainMs }, call))).toEqual([
          "bad_request",
          `drainMs is ${drainMs}; expected 0 to 599999`,
        ]);
      }
      expect(asked).toEqual([]);
    },
  );

  test("by a router, or before the mesh is joined, tells what to do", async () => {
    const calls = modelCalls({ id: () => "r1", node: () => null, runtime: null });
    const loading = { node: "", model: "m", revision: "", source: "", parent: "", runtime: "" };
    expect(await refusalOf(calls.load(loading, call))).toEqual([
      "not_supported",
      "r1 is a router, which serves no models; name a node (node: ID)",
    ]);
    expect((await refusalOf(calls.load({ ...loading, node: "n1" }, call)))[0]).toBe("starting");
  });
});
