import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { promises as dns } from "node:dns";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { SeedFile } from "../../src/mesh/seed-file.ts";
import { type Resolver, SeedNames, systemResolver } from "../../src/mesh/seed-names.ts";
import { formatSeed, parseSeed, type Seed, seedHint } from "../../src/mesh/seed.ts";
import { eventually } from "../admin/raw-client.ts";
import { nameServer } from "../../src/trial/name-server.ts";

const seedsOf = (...texts: string[]): Seed[] => texts.map((text) => parseSeed(text)!);

describe("a seed", () => {
  test.each([
    ["10.0.0.5", "10.0.0.5:7946"],
    ["10.0.0.5:1", "10.0.0.5:1"],
    ["gpu-1", "gpu-1:7946"],
    ["gpu-1.example.com.:65535", "gpu-1.example.com.:65535"],
    ["[::1]", "[::1]:7946"],
    ["[2001:DB8:0:0::1]:99", "[2001:db8::1]:99"],
    ["[fe80::1%eth0]:7946", "[fe80::1%eth0]:7946"],
    ["srv:_gossip._tcp.mesh.example", "srv:_gossip._tcp.mesh.example"],
    ["_gossip._tcp.mesh.example", "srv:_gossip._tcp.mesh.example"],
    ["srv:plain.example", "srv:plain.example"],
  ])("%s is %s", (text, plain) => {
    expect(formatSeed(parseSeed(text)!)).toBe(plain);
    expect(parseSeed(plain)).toEqual(parseSeed(text));
  });

  test.each([
    ["", ""],
    [":7946", "name a host"],
    ["::1", "put brackets around an IPv6 address"],
    ["fd00::1:7946", "put brackets around an IPv6 address"],
    ["[10.0.0.1]:1", ""],
    ["[::1", ""],
    ["a:0", ""],
    ["a:65536", ""],
    ["a:b", ""],
    ["a b", ""],
    ["7946", ""],
    ["10.0.5:7946", ""],
    ["http://a:1", "leave the scheme out: it is no URL"],
    ["_gossip._tcp.a:7946", "leave the port out: the SRV records have it"],
    ["srv:", ""],
    ["srv:a..b", ""],
    ["a..b", ""],
    ["-a", ""],
    ["é", ""],
    [`${"a.".repeat(140)}a`, ""],
  ])("%j is none", (text, hint) => {
    expect(parseSeed(text)).toBeUndefined();
    expect(seedHint(text)).toBe(hint);
  });

  test("no text throws, and what is one reads back", () => {
    const texts = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[a-z0-9_.:[\]%-]{0,40}$/),
      fc.ipV4(),
      fc.ipV6().map((ip) => `[${ip}]`),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const seed = parseSeed(text);
        if (seed !== undefined) expect(parseSeed(formatSeed(seed))).toEqual(seed);
        seedHint(text);
      }),
    );
  });
});

describe("names", () => {
  const cleanups: (() => void)[] = [];
  afterEach(() => {
    for (const cleanup of cleanups.splice(0)) cleanup();
  });

  /** The resolver of this process, asking a server of the test's own: as --join's names are resolved but for hosts files. */
  async function resolverOf(records: Parameters<typeof nameServer>[0]): Promise<Resolver> {
    const server = await nameServer(records);
    const before = dns.getServers();
    dns.setServers([server.at]);
    cleanups.push(() => {
      dns.setServers(before);
      server.stop();
    });
    const some = (looking: Promise<string[]>): Promise<string[]> => looking.catch(() => []);
    const addresses = async (name: string): Promise<string[]> => {
      const first = await dns.resolve4(name);
      return [...first, ...(await some(dns.resolve6(name)))];
    };
    return { addresses, services: (name) => systemResolver.services(name) };
  }

  test("stand for all their addresses, with the port of the seed", async () => {
    const many = Array.from({ length: 20 }, (_, index) => `10.0.0.${index + 1}`);
    const resolver = await resolverOf({ "mesh.test": [...many, "fd00::1", "fd00::2"] });
    const names = new SeedNames(resolver, new Prng(1));
    const seeds = seedsOf("mesh.test:99", "10.0.0.1:99", "[fd00::9]");
    expect(names.found(seeds).addresses).toEqual(["10.0.0.1:99", "[fd00::9]:7946"]);
    await names.look(seeds, 5000);
    const { addresses, failures } = names.found(seeds);
    expect(failures).toEqual([]);
    const expected = [...many.map((host) => `${host}:99`), "[fd00::1]:99", "[fd00::2]:99", "[fd00::9]:7946"];
    expect(addresses.toSorted()).toEqual(expected.toSorted());
  });

  test("of services stand for their targets' addresses and ports", async () => {
    const resolver = await resolverOf({
      "_gossip._tcp.mesh.test": ["a.test:7001", "b.test:7002", "gone.test:7003"],
      "a.test": ["10.0.0.1", "10.0.0.2"],
      "b.test": ["10.0.0.3"],
    });
    const names = new SeedNames(resolver, new Prng(1));
    const seeds = seedsOf("srv:_gossip._tcp.mesh.test");
    await names.look(seeds, 5000);
    const { addresses, failures } = names.found(seeds);
    expect(addresses.toSorted()).toEqual(["10.0.0.1:7001", "10.0.0.2:7001", "10.0.0.3:7002"]);
    expect(failures).toEqual([]);
  });

  test("that can't be resolved say why, and keep what they had", async () => {
    const records: Record<string, readonly string[]> = {
      "mesh.test": ["10.0.0.1"],
      "_far._tcp.test": ["gone.test:1"],
    };
    const resolver = await resolverOf(records);
    const names = new SeedNames(resolver, new Prng(1));
    const seeds = seedsOf("mesh.test", "none.test", "_far._tcp.test", "_none._tcp.test");
    await names.look(seeds, 5000);
    expect(names.found(seeds).addresses).toEqual(["10.0.0.1:7946"]);
    expect(names.found(seeds).failures).toEqual([
      { seed: "none.test:7946", why: "no such name" },
      { seed: "srv:_far._tcp.test", why: "gone.test, one of its targets: no such name" },
      { seed: "srv:_none._tcp.test", why: "no such name" },
    ]);
    delete records["mesh.test"];
    records["none.test"] = ["10.0.0.2"];
    await names.look(seeds, 5000);
    expect(names.found(seeds).addresses.toSorted()).toEqual(["10.0.0.1:7946", "10.0.0.2:7946"]);
    expect(names.found(seeds).failures[0]).toEqual({ seed: "mesh.test:7946", why: "no such name" });
    // A name that is no seed any more is forgotten.
    await names.look([], 5000);
    expect(names.found(seedsOf("mesh.test")).addresses).toEqual([]);
  });

  test("are asked for once, however long it takes, and sixteen at a time", async () => {
    const pending: (() => void)[] = [];
    const asked: string[] = [];
    const addresses = (name: string): Promise<string[]> => {
      asked.push(name);
      return new Promise((resolve) => pending.push(() => resolve(["10.0.0.1"])));
    };
    const names = new SeedNames({ addresses, services: async () => [] }, new Prng(1));
    const seeds = seedsOf(...Array.from({ length: 40 }, (_, index) => `n${index}.test:${index + 1}`));
    await names.look(seeds, 10);
    expect(asked).toHaveLength(16);
    expect(names.found(seeds).failures[0]).toEqual({ seed: "n0.test:1", why: "DNS takes long" });
    const second = names.look(seeds, 10_000);
    await eventually(() => {
      for (const answer of pending.splice(0)) answer();
      return asked.length === 40;
    });
    for (const answer of pending.splice(0)) answer();
    await second;
    expect(new Set(asked).size).toBe(40);
    expect(names.found(seeds)).toMatchObject({ failures: [] });
    expect(names.found(seeds).addresses).toHaveLength(40);
  });

  test("of services with more targets than fit into a datagram", async () => {
    const pods = Array.from({ length: 60 }, (_, index) => `pod-${index}.mesh.default.svc.cluster.test`);
    const resolver = await resolverOf({
      "_gossip._tcp.mesh.test": pods.map((pod) => `${pod}:7946`),
      ...Object.fromEntries(pods.map((pod, index) => [pod, [`10.0.0.${index + 1}`]])),
    });
    const names = new SeedNames(resolver, new Prng(1));
    await names.look(seedsOf("_gossip._tcp.mesh.test"), 5000);
    expect(names.found(seedsOf("_gossip._tcp.mesh.test")).addresses).toHaveLength(60);
  });

  test("of services with many targets: some, others each time", async () => {
    const services = async () =>
      Array.from({ length: 500 }, (_, index) => ({ name: `10.0.${index >> 8}.${index & 255}`, port: 1 }));
    const names = new SeedNames({ addresses: async (name) => [name], services }, new Prng(1));
    const seeds = seedsOf("_a._tcp.test");
    await names.look(seeds, 5000);
    const first = names.found(seeds).addresses;
    await names.look(seeds, 5000);
    expect(first).toHaveLength(64);
    expect(names.found(seeds).addresses).not.toEqual(first);
  });

  test("of this machine are found as the system finds them", async () => {
    const found = await systemResolver.addresses("localhost");
    expect(found.length).toBeGreaterThan(0);
    for (const address of found) expect(["127.0.0.1", "::1"]).toContain(address);
  });
});

describe("a seeds file", () => {
  let base = "";
  const files: SeedFile[] = [];
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), "infermesh-seeds-"));
  });
  afterEach(() => {
    for (const file of files.splice(0)) file.stop();
    rmSync(base, { recursive: true, force: true });
  });

  function open(path: string): { file: SeedFile; warnings: string[]; changes: string[][] } {
    const warnings: string[] = [];
    const changes: string[][] = [];
    const onChange = (): void => void changes.push(file.seeds.map(formatSeed));
    const file: SeedFile = new SeedFile({ path, onChange, onWarning: (text) => void warnings.push(text), pollMs: 10 });
    files.push(file);
    return { file, warnings, changes };
  }

  test("has comments and blank lines; a wrong line is named and the rest is used", async () => {
    const path = join(base, "seeds");
    writeFileSync(path, "\uFEFF# nodes\n\n  gpu-1 # the first\r\n::1\n10.0.0.5:99\nsrv:_a._tcp.b\na:b\n");
    const { file, warnings } = open(path);
    await file.look();
    expect(file.seeds.map(formatSeed)).toEqual(["gpu-1:7946", "10.0.0.5:99", "srv:_a._tcp.b"]);
    expect(warnings).toEqual([
      `the seeds file ${path}, line 4: found "::1"; expected a member such as gpu-1:7946, 10.0.0.5, [::1]:7946 or srv:_gossip._tcp.NAME; put brackets around an IPv6 address; 1 more of its lines are wrong; the rest is used`,
    ]);
    await file.look();
    expect(warnings).toHaveLength(1);
  });

  test("may come later, be written over, replaced, swapped by a link, and go", async () => {
    const path = join(base, "mounted", "seeds");
    const { file, warnings, changes } = open(path);
    await file.start();
    expect(warnings).toEqual([`can't read the seeds file ${path}: no such file; trying on`]);
    const version = (name: string, text: string): void => {
      const at = join(base, name);
      mkdirSync(at);
      writeFileSync(join(at, "seeds"), text);
    };
    // As a config map is mounted: a link to the present version, replaced by a rename.
    version("v1", "a\n");
    symlinkSync(join(base, "v1"), join(base, "mounted"));
    await eventually(() => changes.length === 1);
    version("v2", "b\n");
    symlinkSync(join(base, "v2"), join(base, "next"));
    renameSync(join(base, "next"), join(base, "mounted"));
    await eventually(() => changes.length === 2);
    writeFileSync(path, "b\nc\n");
    await eventually(() => changes.length === 3);
    writeFileSync(`${path}.new`, "d\n");
    renameSync(`${path}.new`, path);
    await eventually(() => changes.length === 4);
    rmSync(path);
    await eventually(() => warnings.length === 2);
    expect(file.fault).toBe("no such file");
    expect(file.seeds.map(formatSeed)).toEqual(["d:7946"]);
    // The same as before is no change, but it is there again.
    writeFileSync(path, "d\n");
    await eventually(() => file.fault === "");
    writeFileSync(path, "");
    await eventually(() => changes.length === 5);
    expect(changes).toEqual([["a:7946"], ["b:7946"], ["b:7946", "c:7946"], ["d:7946"], []]);
  });

  test("must be a file, and not huge", async () => {
    const one = open(base);
    await one.file.look();
    await one.file.look();
    expect(one.warnings).toEqual([`can't read the seeds file ${base}: it is no file; trying on`]);
    writeFileSync(join(base, "big"), "a\n".repeat(600_000));
    const other = open(join(base, "big"));
    await other.file.look();
    expect(other.warnings[0]).toContain("at most 1048576 are read");
  });
});
