/**
 * A session of the `ws` package against the address given, in Node: Bun would put its own client in its place. Prints
 * what came back as one line of JSON.
 */
import { once } from "node:events";
import { WebSocket } from "ws";

const socket = new WebSocket(process.argv[2], ["chat.v2", "chat.v1"], { handshakeTimeout: 5000 });
await once(socket, "open");
const told = { protocol: socket.protocol, extensions: socket.extensions, messages: [], pong: "" };

async function ask(message) {
  socket.send(message);
  const [data, isBinary] = await once(socket, "message");
  told.messages.push(isBinary ? `${data.length} bytes` : String(data).slice(0, 20));
}

await ask("hello");
await ask(new Uint8Array(100_000));
await ask("x".repeat(70_000));
socket.ping("are you there");
const [pong] = await once(socket, "pong");
told.pong = String(pong);
socket.send("close");
const [code, reason] = await once(socket, "close");
console.log(JSON.stringify({ ...told, code, reason: String(reason) }));
