/** How members over real sockets on loopback find each other: names, files, and what they say when nobody is there. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAddress } from "../../src/base/units.ts";
import { Keyring } from "../../src/mesh/keyring.ts";
import { announcedHost, isOwnAddress } from "../../src/mesh/own-address.ts";
import type { Resolver } from "../../src/mesh/seed-names.ts";
import { type Node, open, stopAll, until } from "./member-bed.ts";

// They wait for the clock most of the time, and do so together.
afterAll(stopAll);

/** DNS as the test has it: addresses by name, which may change. */
function dns(records: Readonly<Record<string, readonly string[]>>): Resolver {
  const noSuchName = Object.assign(new Error("no"), { code: "ENOTFOUND" });
  return {
    addresses: async (name) => records[name] ?? Promise.reject(noSuchName),
    services: async (name) =>
      (records[name] ?? []).map((text) => ({ name: text.split(":")[0] ?? "", port: Number(text.split(":")[1]) })),
  };
}

const portOf = ({ member }: Node): number => parseAddress(member.address)?.port ?? 0;

describe.concurrent("members", () => {
  test("that resolved their names too early grow together into one mesh when DNS knows them all", async () => {
    const early: string[] = ["127.0.1.1", "127.0.1.2"];
    const late: string[] = ["127.0.1.3", "127.0.1.4"];
    const first = await open("a", [], { host: "127.0.1.1" });
    const port = portOf(first);
    first.stop();
    const start = (id: string, host: string, names: readonly string[]): Promise<Node> =>
      open(id, [`mesh.test:${port}`], { host, port, resolver: dns({ "mesh.test": names }) });
    const nodes = [
      await start("a", "127.0.1.1", early),
      await start("b", "127.0.1.2", early),
      await start("c", "127.0.1.3", late),
      await start("d", "127.0.1.4", late),
    ];
    await until(() => nodes.every(({ member }) => member.size === 2));
    // One of the four learns of all.
    early.push(...late);
    await until(() => nodes.every(({ member }) => member.size === 4), 30_000);
    // That nobody answers yet may be said on a slow machine; nothing else may.
    const others = nodes
      .flatMap(({ warnings }) => warnings)
      .filter((text) => !text.startsWith("no member of the mesh"));
    expect(others).toEqual([]);
  });

  test("find each other by services, whose targets have ports of their own", async () => {
    const one = await open("one", []);
    const records = { "_gossip._tcp.test": [`a.test:${portOf(one)}`, "none.test:1"], "a.test": ["127.0.0.1"] };
    const two = await open("two", ["srv:_gossip._tcp.test"], { resolver: dns(records) });
    await until(() => one.member.size === 2 && two.member.size === 2);
  });

  test("read seeds from a file that is written after they have started", async () => {
    const directory = mkdtempSync(join(tmpdir(), "infermesh-discovery-"));
    const joinFile = join(directory, "seeds");
    const one = await open("one", []);
    const two = await open("two", [], { joinFile });
    await until(() => two.warnings.length === 2);
    expect(two.warnings.map((warning) => warning.replace(/ for (\d+m)?\d+s;/, " for a while;"))).toEqual([
      `can't read the seeds file ${joinFile}: no such file; trying on`,
      `no member of the mesh answers at ${joinFile} (no such file), for a while; trying on`,
    ]);
    writeFileSync(joinFile, "# none yet\n");
    writeFileSync(joinFile, `${one.member.address}\n`);
    await until(() => two.member.size === 2 && two.infos.length === 1);
    expect(two.infos[0]).toMatch(/^found the mesh after \d+s$/);
    rmSync(directory, { recursive: true });
  });

  test("that find nobody say why, once", async () => {
    const mesh = await open("mesh", []);
    const taken = await open("taken", [mesh.member.address], { identity: 1 });
    await until(() => taken.member.size === 2);
    const sealed = await open("sealed", [], { keyring: new Keyring([Buffer.alloc(32, 7)]) });
    const gone = await open("gone", []);
    gone.stop();
    const lonely = await open("lonely", [gone.member.address, sealed.member.address, "none.test"], {
      resolver: dns({}),
    });
    const twin = await open("taken", [mesh.member.address], { identity: 2 });
    // The first of a mesh is its own seed.
    const self = await open("self", [], { host: "127.0.2.1" });
    self.stop();
    const alone = await open("self", [`mesh.test:${portOf(self)}`], {
      host: "127.0.2.1",
      port: portOf(self),
      resolver: dns({ "mesh.test": ["127.0.2.1"] }),
    });
    await until(() => [lonely, twin].every(({ warnings }) => warnings.length > 0));
    expect(lonely.warnings).toHaveLength(1);
    expect(lonely.warnings[0]).toContain(`${gone.member.address} (connection refused)`);
    expect(lonely.warnings[0]).toContain(
      `${sealed.member.address} (closed without an answer; is its key or cluster name another?)`,
    );
    expect(lonely.warnings[0]).toContain("none.test:7946 (no such name)");
    expect(twin.warnings[0]).toContain(
      `${mesh.member.address} (the id taken belongs to the node at ${taken.member.address})`,
    );
    expect(alone.warnings).toEqual([]);
    expect([lonely, twin, alone].map(({ member }) => member.size)).toEqual([1, 1, 1]);
  });

  test("one that has joined leaves its seeds alone, and goes back to them when it has lost all others", async () => {
    const one = await open("one", []);
    const two = await open("two", [one.member.address]);
    await until(() => two.member.size === 2);
    one.stop();
    await until(() => two.member.size === 1);
    const again = await open("again", [], { port: portOf(one) });
    await until(() => two.member.size === 2 && again.member.size === 2);
  });
});

describe.concurrent("the address that a node announces", () => {
  const never = (): Promise<readonly string[]> => Promise.reject(new Error("not to be asked for"));
  const seeds =
    (...addresses: string[]) =>
    async (): Promise<readonly string[]> =>
      addresses;

  test("is what it was told, or what it is bound to", async () => {
    expect(await announcedHost("::", 7946, "10.0.0.7", never)).toBe("10.0.0.7");
    expect(await announcedHost("0.0.0.0", 7946, "localhost", never)).toBe("127.0.0.1");
    const nowhere = await announcedHost("::", 7946, "no-such-host.invalid", never).catch((error: unknown) => error);
    expect(String(nowhere)).toContain('can\'t advertise "no-such-host.invalid": no such host');
    expect(await announcedHost("10.0.0.8", 7946, "", never)).toBe("10.0.0.8");
  });

  test("is one from which the seeds are reached", async () => {
    expect(await announcedHost("::", 7946, "", seeds("127.0.0.1:1", "[::1]:1"))).toBe("127.0.0.1");
    const outward = await announcedHost("0.0.0.0", 7946, "", seeds());
    // A machine that reaches others does so from an address of its own; one that does not has none to tell.
    expect(await announcedHost("::", 7946, "", seeds("127.0.0.1:1", `${outward}:1`))).toBe(outward);
    // Its own name, which the hosts file of many machines maps to loopback.
    expect(await announcedHost("::", 7946, "", seeds("127.0.1.1:7946"))).toBe(outward);
    expect(await announcedHost("::", 7946, "", seeds("127.0.1.1:7946", "127.0.0.1:7947"))).toBe("127.0.0.1");
  });

  test("and others that lead to it are its own", () => {
    expect(isOwnAddress("gpu-1:7946", "", 7946, "gpu-1:7946")).toBe(true);
    expect(isOwnAddress("127.0.0.9:7946", "", 7946, "10.0.0.1:7946")).toBe(true);
    expect(isOwnAddress("127.0.0.1:7947", "", 7946, "10.0.0.1:7946")).toBe(false);
    expect(isOwnAddress("127.0.0.1:7946", "10.0.0.1", 7946, "10.0.0.9:7946")).toBe(false);
    expect(isOwnAddress("10.0.0.1:7946", "10.0.0.1", 7946, "10.0.0.9:7946")).toBe(true);
    expect(isOwnAddress("[::1]:7946", "::", 7946, "10.0.0.1:7946")).toBe(true);
    expect(isOwnAddress("203.0.113.9:7946", "::", 7946, "10.0.0.1:7946")).toBe(false);
  });
});
