/** A server for tests that answers as it is told, byte for byte, and whose connections can be looked at and cut. */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";

export interface ScriptedServer {
  readonly port: number;
  /** The heads and bodies that came, in order. */
  readonly requests: string[];
  /** Those that are open. */
  readonly sockets: Set<Socket>;
  /** How many were accepted. */
  accepted(): number;
  stop(): Promise<void>;
}

/** Answers a request; what it writes to the socket is what the client gets. */
export type Script = (request: string, socket: Socket, count: number) => void;

export async function scriptedServer(
  script: Script,
  listen: { port?: number; path?: string } = {},
): Promise<ScriptedServer> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  let accepted = 0;
  const server: Server = createServer((socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    let held = "";
    socket.on("data", (bytes) => {
      held += bytes.toString("latin1");
      for (;;) {
        const end = held.indexOf("\r\n\r\n");
        const length = Number(/content-length: (\d+)/.exec(held)?.[1] ?? 0);
        if (end < 0 || held.length < end + 4 + length) return;
        const request = held.slice(0, end + 4 + length);
        held = held.slice(end + 4 + length);
        requests.push(request);
        script(request, socket, requests.length);
      }
    });
  });
  server.listen(listen.path === undefined ? { port: listen.port ?? 0, host: "127.0.0.1" } : { path: listen.path });
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    requests,
    sockets,
    accepted: () => accepted,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** An answer with a length. */
export function answerOf(body: string, headers = ""): string {
  return `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n${headers}content-length: ${Buffer.byteLength(body, "latin1")}\r\n\r\n${body}`;
}
