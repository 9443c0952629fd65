/** A probe process for tests: `bun probe-child.ts COURSE SPEC`, whose backend takes the course that it is told. */
import { writeSync } from "node:fs";
import { BackendError } from "../../src/gpu/backend.ts";
import { probeProcess } from "../../src/gpu/probe-process.ts";
import { FakeBackend } from "./fake-backend.ts";
import { fakeGpu } from "./fake-gpu.ts";

const [course = "", spec = ""] = process.argv.slice(2);
/** Longer than any test. */
const FOREVER_MS = 600_000;

function hang(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FOREVER_MS);
}

class Backend extends FakeBackend {
  override gpus = [fakeGpu(0), fakeGpu(1)];
  #looks = 0;

  override read(groups: Parameters<FakeBackend["read"]>[0]): ReturnType<FakeBackend["read"]> {
    this.#looks += 1;
    const isLater = this.#looks > 1;
    if (course === "hang" || (course === "hang-later" && isLater)) hang();
    if (course === "crash-later" && isLater) process.kill(process.pid, "SIGSEGV");
    if (course === "throw") throw new TypeError("a bug of ours");
    if (course === "lost" && isLater) throw new BackendError("lost", "GPU 1 fell off the bus");
    if (course === "fault" && isLater) this.fail({ uuid: "GPU-0", xid: 79 });
    return super.read(groups);
  }
}

if (course === "garbage") writeSync(1, '{"type":"open","stack":{"backend":"x","source":"y"}}\nSegmentation fault\n');
if (course === "endless") {
  const noise = new Uint8Array(2 ** 16).fill(120);
  for (;;) writeSync(1, noise);
}
if (course === "last-words") {
  writeSync(2, "first\nlibrary \u001b[31mnot\u001b[0m understood\n\n");
  process.exit(3);
}
if (course === "deaf") {
  // Neither a signal nor the end of its input is heard; only SIGKILL ends it.
  process.on("SIGTERM", () => {});
  writeSync(1, '{"type":"alive"}\n');
  setInterval(() => {}, FOREVER_MS);
} else {
  await probeProcess([spec], {
    nvml: () => {
      if (course === "denied") throw new BackendError("denied", "no permission for /dev/nvidiactl");
      return new Backend();
    },
  });
}
