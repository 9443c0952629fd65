import { expect, test } from "bun:test";
import { Addresses } from "../../src/mesh/addresses.ts";

/** Names with a clock and an answer that the test sets. */
function bed(families: "ipv4" | "ipv6" | "both" = "both") {
  const made = { nowMs: 0, answer: ["10.0.0.1"] as readonly string[] | Error, asked: [] as string[] };
  const addresses = new Addresses(families, {
    nowMs: () => made.nowMs,
    async lookup(name) {
      made.asked.push(name);
      if (made.answer instanceof Error) throw made.answer;
      return made.answer;
    },
  });
  return { addresses, made };
}

test("addresses are themselves", () => {
  const { addresses, made } = bed();
  expect(addresses.find("10.1.2.3:7946")).toEqual({ host: "10.1.2.3", port: 7946 });
  expect(addresses.find("[fe80::1%eth0]:1")).toEqual({ host: "fe80::1%eth0", port: 1 });
  for (const bad of ["", "10.1.2.3", "10.1.2.3:0", ":7946", "::1:7946", "a b:1", "host:99999", "\0:1"]) {
    expect(addresses.find(bad)).toBe("bad");
  }
  expect(made.asked).toEqual([]);
});

test("a socket of one family reaches only that", async () => {
  const { addresses, made } = bed("ipv4");
  expect(addresses.find("[::1]:1")).toBe("bad");
  made.answer = ["fd00::1", "10.0.0.2"];
  expect(await addresses.resolve("node:1", 5000)).toEqual({ host: "10.0.0.2", port: 1 });
  made.answer = ["fd00::1"];
  expect(await addresses.resolve("other:1", 5000)).toBe("bad");
  expect(bed("ipv6").addresses.find("10.0.0.1:1")).toBe("bad");
});

test("names are asked for once, kept, and renewed behind the scenes", async () => {
  const { addresses, made } = bed();
  expect(addresses.find("node:1")).toBe("later");
  expect(addresses.find("node:2")).toBe("later");
  expect(await addresses.resolve("node:1", 5000)).toEqual({ host: "10.0.0.1", port: 1 });
  expect(made.asked).toEqual(["node"]);
  made.nowMs = 60_000;
  made.answer = ["10.0.0.9"];
  expect(addresses.find("node:1")).toEqual({ host: "10.0.0.1", port: 1 });
  await Promise.resolve();
  await Promise.resolve();
  expect(addresses.find("node:1")).toEqual({ host: "10.0.0.9", port: 1 });
  // DNS is down: the last answer serves on.
  made.nowMs = 120_000;
  made.answer = new Error("SERVFAIL");
  addresses.find("node:1");
  await Promise.resolve();
  await Promise.resolve();
  expect(addresses.find("node:1")).toEqual({ host: "10.0.0.9", port: 1 });
  expect(made.asked).toHaveLength(3);
});

test("a name that does not exist is asked for again only after a while", async () => {
  const { addresses, made } = bed();
  made.answer = new Error("ENOTFOUND");
  expect(await addresses.resolve("node:1", 5000)).toBe("bad");
  expect(await addresses.resolve("node:1", 5000)).toBe("bad");
  expect(made.asked).toHaveLength(1);
  made.nowMs = 10_000;
  made.answer = ["not an address", "10.0.0.3"];
  addresses.find("node:1");
  await Promise.resolve();
  await Promise.resolve();
  expect(addresses.find("node:1")).toEqual({ host: "10.0.0.3", port: 1 });
});

test("a resolver that does not answer is not waited for", async () => {
  const addresses = new Addresses("both", { lookup: () => new Promise(() => {}) });
  expect(await addresses.resolve("node:1", 5)).toBe("bad");
  expect(addresses.find("node:1")).toBe("later");
});

test("tables have an end", async () => {
  const { addresses, made } = bed();
  for (let n = 0; n < 40_000; n++) addresses.find(`10.0.${n >> 8}.${n & 255}:1`);
  for (let n = 0; n < 3000; n++) addresses.find(`node-${n}:1`);
  expect(await addresses.resolve("node-2999:1", 5000)).toEqual({ host: "10.0.0.1", port: 1 });
  const before = made.asked.length;
  expect(addresses.find("node-0:1")).toBe("later");
  expect(made.asked.length).toBe(before + 1);
});
