/** A vLLM in a process of its own: `bun vllm-peer.ts MODEL [HOST]` says its port, and serves until it is killed. */
import { startVllmMock } from "./vllm-mock.ts";

const [model = "llama", hostname] = process.argv.slice(2);
const { port } = startVllmMock(model, hostname);
// Whoever started it is gone: so is it.
process.stdin.on("end", () => process.exit(0)).resume();
console.log(port);
