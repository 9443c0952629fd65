/** Calls from member to member: answers, errors with their codes, and what is no call. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { MeshError } from "../../src/base/errors.ts";
import { MemberCalls } from "../../src/mesh/calls.ts";

/** Two members and the way between them. */
function pair(way?: (bytes: Uint8Array) => Promise<Uint8Array | undefined>) {
  const b: MemberCalls = new MemberCalls({ address: () => undefined, request: async () => new Uint8Array() });
  const a = new MemberCalls({
    address: (id) => (id === "b" ? "10.0.0.2:7946" : undefined),
    async request(_to, bytes) {
      const answer = await (way === undefined ? b.answer(bytes) : way(bytes));
      if (answer === undefined) throw new MeshError("upstream_failed", "the connection was closed");
      return answer;
    },
  });
  return { a, b };
}

test("a call has the answer of the member that was asked", async () => {
  const { a, b } = pair();
  b.serve(async (path, request) => Uint8Array.of(path.length, ...request));
  expect(await a.ask("b", "/x/Y", Uint8Array.of(7, 8), 1000)).toEqual(Uint8Array.of(4, 7, 8));
  expect(await a.ask("b", "/x/Y", new Uint8Array(), 1000)).toEqual(Uint8Array.of(4));
});

test("errors keep their code, and say who speaks", async () => {
  const { a, b } = pair();
  expect(await a.ask("b", "/x", new Uint8Array(), 1).catch((error: unknown) => error)).toMatchObject({
    code: "upstream_failed",
    message: "b at 10.0.0.2:7946: the connection was closed",
  });
  expect(await a.ask("c", "/x", new Uint8Array(), 1).catch((error: unknown) => error)).toMatchObject({
    code: "not_found",
  });
  b.serve(async () => {
    throw new MeshError("over_capacity", "full");
  });
  expect(await a.ask("b", "/x", new Uint8Array(), 1).catch((error: unknown) => error)).toMatchObject({
    code: "over_capacity",
    message: "b: full",
  });
  b.serve(async () => {
    throw new Error("secret");
  });
  expect(await a.ask("b", "/x", new Uint8Array(), 1).catch((error: unknown) => error)).toMatchObject({
    code: "internal",
    message: "b: internal error",
  });
});

test("whatever comes, nothing breaks", async () => {
  const { b } = pair();
  b.serve(async () => new Uint8Array());
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      const { a } = pair(async () => bytes);
      await b.answer(bytes);
      const answer = await a.ask("b", "/x", new Uint8Array(), 1).catch((error: unknown) => error);
      expect(answer instanceof Uint8Array || answer instanceof MeshError).toBe(true);
    }),
    { numRuns: 200 },
  );
});
