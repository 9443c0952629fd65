/** Members over real sockets on loopback: they meet, lose one another, and part. */
import { afterAll, describe, expect, test } from "bun:test";
import { Keyring } from "../../src/mesh/keyring.ts";
import { type Node, open, stopAll, until } from "./member-bed.ts";

// They wait for the clock most of the time, and do so together.
afterAll(stopAll);

async function mesh(count: number): Promise<Node[]> {
  const first = await open("n0", []);
  const rest = await Promise.all(
    Array.from({ length: count - 1 }, (_, i) => open(`n${i + 1}`, [first.member.address])),
  );
  const nodes = [first, ...rest];
  await until(() => nodes.every(({ member }) => member.size === count));
  return nodes;
}

const kinds = (node: Node, id: string): string[] =>
  node.events.filter((event) => event.id === id).map(({ kind }) => kind);

describe.concurrent("members on loopback", () => {
  test("meet through one seed, and know each other's metadata", async () => {
    const nodes = await mesh(5);
    for (const { member } of nodes) {
      expect(
        member
          .members()
          .map(({ id }) => id)
          .toSorted(),
      ).toEqual(["n0", "n1", "n2", "n3", "n4"]);
      expect(new TextDecoder().decode(member.member("n3")?.meta)).toBe("meta of n3");
    }
  });

  test("notice one that fell silent, and say so", async () => {
    const nodes = await mesh(4);
    const [dead, ...living] = nodes as [Node, ...Node[]];
    dead.stop();
    await until(() => living.every(({ member }) => member.member("n0")?.status === "failed"));
    for (const node of living) expect(kinds(node, "n0")).toContain("failed");
  });

  test("hear at once of one that takes leave", async () => {
    const nodes = await mesh(4);
    const [leaver, ...rest] = nodes as [Node, ...Node[]];
    await leaver.member.leave(3000);
    await until(() => rest.every(({ member }) => member.member("n0")?.status !== "alive"));
    for (const node of rest) {
      expect(kinds(node, "n0")).toContain("left");
      expect(kinds(node, "n0")).not.toContain("failed");
    }
  });

  test("learn of new metadata", async () => {
    const nodes = await mesh(3);
    nodes[1]?.member.setMeta(new TextEncoder().encode("new"));
    await until(() => nodes.every(({ member }) => new TextDecoder().decode(member.member("n1")?.meta) === "new"));
    expect(kinds(nodes[2] as Node, "n1")).toContain("updated");
  });

  test("measure round trips, and from them how far apart two are", async () => {
    const nodes = await mesh(3);
    await until(() => nodes[0]?.member.member("n1")?.rttMs !== undefined);
    await until(() => nodes[0]?.member.distance("n1", "n2") !== undefined);
    expect(nodes[0]?.member.distance("n1", "n2")).toBeGreaterThanOrEqual(0);
  });

  test("tell their figures", async () => {
    const [first, , third] = (await mesh(3)) as [Node, Node, Node];
    await until(() => first.member.figures().members.some(({ rttMs }) => rttMs !== undefined));
    third.member.stop();
    await until(() => first.member.member("n2")?.status === "failed");
    const { events, drops, health, news, transport, ...rest } = first.member.figures();
    expect(events).toMatchObject({ joined: 2, left: 0, refused: 0, replaced: 0 });
    for (const kind of ["suspect", "failed"] as const) {
      expect(events[kind]).toBe(first.events.filter((event) => event.kind === kind).length);
      expect(events[kind]).toBeGreaterThanOrEqual(1);
    }
    expect(drops.malformed + drops.otherVersion).toBe(0);
    expect(health).toBeGreaterThanOrEqual(0);
    expect(rest.incarnation).toBe(first.member.member("n0")?.incarnation ?? 0);
    expect(news).toBeGreaterThanOrEqual(0);
    expect(transport.packetsOut).toBeGreaterThan(0);
    expect(transport.requestsServed).toBeGreaterThanOrEqual(2);
  });

  test("one that finds nobody goes on trying, says so once, and joins when its seed comes", async () => {
    const placeholder = await open("early", []);
    const { address } = placeholder.member;
    const port = Number(address.slice(address.lastIndexOf(":") + 1));
    placeholder.stop();
    const lonely = await open("lonely", [address]);
    await until(() => lonely.warnings.length > 0);
    const seed = await open("seed", [], { port });
    await until(() => lonely.member.size === 2 && seed.member.size === 2);
    expect(lonely.warnings.filter((warning) => warning.includes("trying on"))).toHaveLength(1);
  });

  test("a mesh of another name, or without the key, is not heard", async () => {
    const [seed] = (await mesh(2)) as [Node, ...Node[]];
    const foreign = await open("foreign", [seed.member.address], { cluster: "elsewhere" });
    const keyring = new Keyring([Buffer.alloc(32, 7)]);
    const sealed = await open("sealed", [seed.member.address], { keyring });
    await until(() => foreign.warnings.length > 0 && sealed.warnings.length > 0);
    expect([seed.member.size, foreign.member.size, sealed.member.size]).toEqual([2, 1, 1]);
  });

  test("a second node of the same id is refused while the first one answers", async () => {
    const nodes = await mesh(3);
    const twin = await open("n1", [nodes[0]?.member.address ?? ""]);
    await until(() => twin.events.some(({ kind, id }) => id === "n1" && (kind === "refused" || kind === "conflict")));
    expect(nodes[0]?.member.member("n1")?.address).toBe(nodes[1]?.member.address ?? "");
  });
});
