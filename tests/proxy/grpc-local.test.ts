/** The gRPC services that the router answers itself. */
import { describe, expect, test } from "bun:test";
import { DESCRIPTORS } from "../../src/gen/descriptors.js";
import { H2_ERROR } from "../../src/wire/http2-frames.ts";
import { ProtoField } from "../../src/wire/proto-field.ts";
import { by, fixtures, until } from "./harness.ts";
import { echo, framed, http2Fixtures, proto } from "./http2-bed.ts";

const { relay } = fixtures();
const { target, client } = http2Fixtures();

const CHECK = "/grpc.health.v1.Health/Check";
const WATCH = "/grpc.health.v1.Health/Watch";
const ask = (service: string): Buffer => framed(service === "" ? "" : proto({ 1: service }));

async function bed() {
  const up = target(echo);
  const router = relay([by("grpc", up.port), by("http", up.port, "h")]);
  return { up, router, one: await client(router.port) };
}

describe("health", () => {
  test("of the router, of its models, and of nobody", async () => {
    const { router, one } = await bed();
    const check = async (service: string): Promise<[number, string[]]> => {
      const call = await one.call(CHECK).send(ask(service), true).over();
      return [call.status, call.messages];
    };
    expect(await check("")).toEqual([0, ["\x08\x01"]]);
    expect(await check("m")).toEqual([0, ["\x08\x01"]]);
    expect(await check("h")).toEqual([0, ["\x08\x01"]]);
    expect(await check("zz")).toEqual([5, []]);
    const { table } = router;
    for (const row of router.rows) table.eject(row, table.nowDeciseconds(Date.now() + 60_000));
    expect(await check("m")).toEqual([0, ["\x08\x02"]]);
    expect(await check("")).toEqual([0, ["\x08\x01"]]);
  });

  test("a watch tells each change, and ends when the router drains", async () => {
    const { router, one } = await bed();
    const watch = one.call(WATCH).send(ask("m"), true);
    const unknown = one.call(WATCH).send(ask("zz"), true);
    await until(() => watch.messages.length === 1 && unknown.messages.length === 1);
    expect([watch.messages, unknown.messages]).toEqual([["\x08\x01"], ["\x08\x03"]]);
    const { table } = router;
    table.eject(router.rows[0]!, table.nowDeciseconds(Date.now() + 60_000));
    await until(() => watch.messages.length === 2);
    table.clearEject(router.rows[0]!);
    await until(() => watch.messages.length === 3);
    expect(watch.messages).toEqual(["\x08\x01", "\x08\x02", "\x08\x01"]);
    router.context.draining = true;
    expect((await watch.over()).status).toBe(14);
    await until(() => one.closed);
  });

  test("a watch that is cancelled", async () => {
    const { router, one } = await bed();
    const watch = one.call(WATCH).send(ask(""), true);
    await until(() => watch.messages.length === 1);
    watch.reset();
    await until(() => router.stats.requests(-1).get("499") === 1);
  });

  test("many watches of a service cost one look a turn, and all are told", async () => {
    const { router, one } = await bed();
    const { context, table } = router;
    const watches = ["m", "m", "m", "m", "h", ""].map((service) => one.call(WATCH).send(ask(service), true));
    await until(() => watches.every(({ messages }) => messages.length === 1));
    expect([context.watches.count, context.watches.services]).toEqual([6, 3]);
    const { picker } = context;
    const pick = picker.pick.bind(picker);
    let picks = 0;
    picker.pick = (request) => {
      picks++;
      return pick(request);
    };
    context.watches.look();
    // One for each model; "" needs none.
    expect(picks).toBe(2);
    table.eject(router.rows[0]!, table.nowDeciseconds(Date.now() + 60_000));
    await until(() => watches.slice(0, 4).every(({ messages }) => messages.length === 2));
    expect(watches.map(({ messages }) => messages.at(-1))).toEqual([
      ...Array<string>(4).fill("\x08\x02"),
      "\x08\x01",
      "\x08\x01",
    ]);
    for (const call of watches.slice(1)) call.reset();
    await until(() => context.watches.count === 1);
    expect(context.watches.services).toBe(1);
    one.cut();
    await until(() => context.watches.count === 0);
    expect(context.watches.services).toBe(0);
  });

  test("watches have a limit, and one that ends makes room", async () => {
    const up = target(echo);
    const router = relay([by("grpc", up.port)], { watchesMax: 2 });
    const [one, two] = [await client(router.port), await client(router.port)];
    const first = one.call(WATCH).send(ask("m"), true);
    const second = two.call(WATCH).send(ask("zz"), true);
    await until(() => router.context.watches.count === 2);
    const third = await two.call(WATCH).send(ask("m"), true).over();
    expect([third.status, third.messages]).toEqual([8, []]);
    expect(third.message).toContain("2");
    // A check is none.
    expect((await two.call(CHECK).send(ask("m"), true).over()).status).toBe(0);
    first.reset();
    await until(() => router.context.watches.count === 1);
    const fourth = two.call(WATCH).send(ask("m"), true);
    await until(() => fourth.messages.length === 1);
    expect(second.messages).toEqual(["\x08\x03"]);
  });

  test("a call that asks for another watch ends the one before; a name that nothing can have is refused", async () => {
    const { router, one } = await bed();
    const call = one.call(WATCH).send(ask("zz"));
    await until(() => call.messages.length === 1);
    call.send(ask("m"));
    await until(() => call.messages.length === 2);
    expect([router.context.watches.count, router.context.watches.services]).toEqual([1, 1]);
    const length = Buffer.from([0x0a, 0x81, 0x04]);
    const long = framed(Buffer.concat([length, Buffer.alloc(513, "x")]));
    expect((await one.call(WATCH).send(long, true).over()).status).toBe(3);
    expect((await call.send(long).over()).status).toBe(3);
    expect(router.context.watches.count).toBe(0);
  });

  test("who takes nothing meanwhile is told the last of what changed, and nothing twice", async () => {
    const { router } = await bed();
    // Room for the first answer alone.
    const one = await client(router.port, { streamWindowBytes: 7 });
    const call = one.call(WATCH);
    call.consumes = false;
    call.send(ask("m"), true);
    await until(() => call.messages.length === 1);
    const { table, context } = router;
    const [row] = router.rows;
    const far = table.nowDeciseconds(Date.now() + 60_000);
    for (const isWell of [false, true, false]) {
      if (isWell) table.clearEject(row!);
      else table.eject(row!, far);
      context.watches.look();
    }
    call.consumes = true;
    call.consume(7);
    await until(() => call.messages.length >= 2);
    table.clearEject(row!);
    await until(() => call.messages.at(-1) === "\x08\x01");
    expect(call.messages).toEqual(["\x08\x01", "\x08\x02", "\x08\x01"]);
  });

  test("methods that there are not, messages that are compressed or too large", async () => {
    const { one } = await bed();
    expect((await one.call("/grpc.health.v1.Health/List").send(ask(""), true).over()).status).toBe(12);
    expect((await one.call(CHECK).send(framed("", 1), true).over()).status).toBe(12);
    expect(
      (
        await one
          .call(CHECK)
          .send(framed("x".repeat(20_000)), true)
          .over()
      ).status,
    ).toBe(8);
  });

  test("with a model in the metadata it is the target's", async () => {
    const { up, one } = await bed();
    await one.call(CHECK, { "x-infermesh-model": "m" }).send(ask(""), true).over();
    expect(up.calls[0]?.head[":path"]).toBe(CHECK);
  });
});

describe("reflection", () => {
  const read = (bytes: Buffer, number: number): Buffer | null => {
    const field = new ProtoField(number, 0);
    if (field.read(bytes, bytes.length, bytes.length) !== "found") return null;
    return bytes.subarray(field.start, field.end);
  };

  const INFO = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const fileAsked = framed(proto({ 3: "grpc/health/v1/health.proto" }));

  test("who does not take the answers is not read on, and gets all of them later", async () => {
    const up = target(echo);
    // A window as small as may be: each answer is many times its question.
    const one = await client(relay([by("grpc", up.port)], { http2StreamBytes: 65_536 }).port);
    const call = one.call(INFO);
    call.consumes = false;
    const many = Buffer.concat(Array.from({ length: 1000 }, () => fileAsked));
    for (let i = 0; call.isWritable && i < 40; i++) {
      call.send(many);
      await Bun.sleep(1);
    }
    expect(call.isWritable).toBe(false);
    call.consumes = true;
    call.consume(call.bytes.length);
    await until(() => call.isWritable);
    call.send(new Uint8Array(0), true);
    expect((await call.over()).status).toBe(0);
    expect(new Set(call.messages).size).toBe(1);
  });

  test("who never takes the answers is left after a while", async () => {
    const up = target(echo);
    const one = await client(relay([by("grpc", up.port)], { streamTimeoutMs: 100 }).port, { streamWindowBytes: 100 });
    const call = one.call(INFO);
    call.consumes = false;
    call.send(fileAsked, true);
    await until(() => call.code !== null);
    expect(call.code).toBe(H2_ERROR.cancel);
  });

  test("a stream that its client keeps open ends when the router drains", async () => {
    const { router, one } = await bed();
    const call = one.call(INFO).send(fileAsked);
    await until(() => call.messages.length === 1);
    router.context.draining = true;
    expect((await call.over()).status).toBe(14);
    await until(() => one.closed);
  });

  test("a message in pieces of one byte", async () => {
    const { one } = await bed();
    const call = one.call(CHECK);
    for (const byte of ask("m")) call.send(Uint8Array.of(byte));
    expect((await call.send(new Uint8Array(0), true).over()).messages).toEqual(["\x08\x01"]);
  });

  for (const version of ["v1", "v1alpha"]) {
    test(`${version}: services, files by name and symbol, and what there is not`, async () => {
      const { one } = await bed();
      const call = one.call(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`);
      const say = async (fields: Readonly<Record<number, string>>): Promise<Buffer> => {
        const before = call.messages.length;
        call.send(framed(proto(fields)));
        await until(() => call.messages.length > before);
        return Buffer.from(call.messages.at(-1)!, "latin1");
      };
      const list = await say({ 1: "host", 7: "" });
      expect(read(list, 1)?.toString()).toBe("host");
      expect(read(list, 2)?.equals(proto({ 1: "host", 7: "" }))).toBe(true);
      const services = read(list, 6)!.toString();
      for (const service of DESCRIPTORS.flatMap((file) => file.services)) expect(services).toContain(service);
      for (const question of [
        { 3: "grpc/health/v1/health.proto" },
        { 4: "grpc.health.v1.Health.Check" },
        { 4: "grpc.health.v1.HealthCheckResponse" },
      ]) {
        const answer = await say(question);
        const file = read(read(answer, 4)!, 1)!;
        expect(file.toString("base64")).toBe(DESCRIPTORS[0]!.bytes);
      }
      for (const question of [{ 3: "no.proto" }, { 4: "no.Symbol" }, { 5: "x" }, { 6: "x" }]) {
        const answer = await say(question);
        expect([...read(answer, 7)!.subarray(0, 2)]).toEqual([8, 5]);
      }
      call.send(new Uint8Array(0), true);
      expect((await call.over()).status).toBe(0);
      expect(
        (
          await one
            .call(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`)
            .send(framed("\x0a"), true)
            .over()
        ).status,
      ).toBe(3);
    });
  }
});
