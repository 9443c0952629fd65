/** What a node says of itself in its metadata, and what is made of bytes that are none. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { decodeMeta, encodeMeta, NODE_ROLES, type NodeMeta } from "../../src/swim/meta.ts";
import { META_BYTES_MAX } from "../../src/swim/wire.ts";

const SEED = Number(process.env["SEED"] ?? 20_261_124);

const PLAIN: Omit<NodeMeta, "cut"> = {
  role: "agent",
  zone: "west",
  labels: { tier: "gold", rack: "7" },
  apiAddress: "10.0.0.1:9090",
  servingAddress: "10.0.0.1:8000",
  models: ["llama-3.1-8b-instruct", "embed"],
  endpoints: [],
  version: "1.2.3",
  controlAddress: "10.0.0.1:7950",
  isControlNode: true,
  healthy: true,
  draining: false,
};

describe("metadata", () => {
  const text = fc.string({ maxLength: 40 });
  const arbitrary: fc.Arbitrary<Omit<NodeMeta, "cut">> = fc.record({
    role: fc.constantFrom("agent" as const, "router" as const, "client" as const),
    zone: text,
    labels: fc.dictionary(text, text, { maxKeys: 6, noNullPrototype: true }),
    apiAddress: text,
    servingAddress: text,
    models: fc.uniqueArray(text, { maxLength: 20 }),
    endpoints: fc.constant([]),
    version: text,
    controlAddress: text,
    isControlNode: fc.boolean(),
    healthy: fc.boolean(),
    draining: fc.boolean(),
  });

  test("goes out and comes back, or says that it was cut", () => {
    fc.assert(
      fc.property(arbitrary, (meta) => {
        const bytes = encodeMeta(meta, META_BYTES_MAX);
        expect(bytes.length).toBeLessThanOrEqual(META_BYTES_MAX);
        const read = decodeMeta(bytes)!;
        if (!read.cut) expect(read).toEqual({ ...meta, cut: false });
        expect(read.role).toBe(meta.role);
        expect(meta.models.slice(0, read.models.length)).toEqual([...read.models]);
      }),
    );
  });

  test("a long list of models is cut, and leaves room for the version", () => {
    const models = Array.from({ length: 100 }, (_, index) => `a-model-with-a-long-name-${index}`);
    const read = decodeMeta(encodeMeta({ ...PLAIN, models }, META_BYTES_MAX))!;
    expect(read).toMatchObject({ cut: true, version: "1.2.3" });
    expect(read.models.length).toBeGreaterThan(10);
  });

  test("of a node from before it could be a control node names no control address", () => {
    const bytes = encodeMeta({ ...PLAIN, controlAddress: "" }, META_BYTES_MAX);
    expect(decodeMeta(bytes.subarray(0, -1))).toEqual({ ...PLAIN, controlAddress: "", cut: false });
  });

  test("says where it stands: role, flags, places", () => {
    for (const role of NODE_ROLES) {
      for (const [healthy, draining] of [
        [true, false],
        [false, true],
      ] as const) {
        const meta = { ...PLAIN, role, healthy, draining };
        expect(decodeMeta(encodeMeta(meta, META_BYTES_MAX))).toEqual({ ...meta, cut: false });
      }
    }
  });

  test("keeps what fits from the beginning of each list, and leaves out texts that are too long", () => {
    const labels = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`label-${index}`, "v".repeat(30)]));
    const crowded = decodeMeta(encodeMeta({ ...PLAIN, labels, models: ["m"] }, META_BYTES_MAX))!;
    expect(crowded).toMatchObject({ cut: true, apiAddress: PLAIN.apiAddress, models: ["m"] });
    expect(Object.keys(crowded.labels).length).toBeGreaterThan(8);
    expect(Object.keys(crowded.labels)).toEqual(Object.keys(labels).slice(0, Object.keys(crowded.labels).length));
    const long = decodeMeta(encodeMeta({ ...PLAIN, zone: "z".repeat(256) }, META_BYTES_MAX))!;
    expect(long).toMatchObject({ zone: "", models: PLAIN.models });
    const odd = { ...PLAIN, models: ["ä".repeat(128), "m"], labels: { a: "v".repeat(256), b: "c" } };
    expect(decodeMeta(encodeMeta(odd, META_BYTES_MAX))).toMatchObject({ cut: true, models: ["m"], labels: { b: "c" } });
    const least = decodeMeta(encodeMeta(PLAIN, 15 + PLAIN.controlAddress.length))!;
    expect(least).toMatchObject({ cut: true, zone: "", apiAddress: "", servingAddress: "", models: [] });
  });

  test("of a later version, an unknown role, cut short or not UTF-8 is none; what follows it is skipped", () => {
    const bytes = encodeMeta(PLAIN, META_BYTES_MAX);
    const changed = (at: number, value: number): Uint8Array => bytes.with(at, value);
    expect(decodeMeta(changed(0, 2))).toBeUndefined();
    expect(decodeMeta(changed(1, NODE_ROLES.length))).toBeUndefined();
    expect(decodeMeta(changed(4, 0xff))).toBeUndefined();
    // Without the last field it is what a node said before there was that field.
    const older = bytes.length - 1 - PLAIN.controlAddress.length;
    for (let end = 0; end < bytes.length; end += 1) {
      if (end !== older) expect(decodeMeta(bytes.subarray(0, end))).toBeUndefined();
    }
    // No endpoints, then what a later version tells.
    expect(decodeMeta(new Uint8Array([...bytes, 0, 0, 1, 2, 3]))).toEqual({ ...PLAIN, cut: false });
  });

  test(`mutated 100,000 times is read or refused, and says no more than there was (SEED=${SEED})`, () => {
    const prng = new Prng(SEED);
    const metas = [
      PLAIN,
      { ...PLAIN, zone: "zürich-ぁ", labels: {}, models: [] },
      { ...PLAIN, models: Array.from({ length: 40 }, (_, index) => `model-${index}`) },
    ].map((meta) => encodeMeta(meta, META_BYTES_MAX));
    let read = 0;
    for (let count = 0; count < 100_000; count += 1) {
      let bytes = metas[prng.int(metas.length)]!.slice();
      for (let changes = 1 + prng.int(2); changes > 0; changes -= 1) {
        const at = prng.int(Math.max(1, bytes.length));
        const kind = prng.int(4);
        if (kind === 0) bytes[at] = prng.int(256);
        else if (kind === 1) bytes[at] = 0xff;
        else if (kind === 2) bytes = bytes.slice(0, at);
        else bytes = new Uint8Array([...bytes.subarray(0, at), ...bytes.subarray(prng.int(bytes.length + 1))]);
      }
      const meta = decodeMeta(bytes);
      if (meta === undefined) continue;
      read += 1;
      const { zone, apiAddress, servingAddress, labels, models } = meta;
      const texts = [zone, apiAddress, servingAddress, ...models, ...Object.entries(labels).flat()];
      const length = texts.reduce((sum, one) => sum + 1 + Buffer.byteLength(one), 0);
      if (length > bytes.length) throw new Error(`${length} bytes of text from ${bytes.length}: SEED=${SEED}`);
    }
    expect(read).toBeGreaterThan(5_000);
  });
});
