/** A relay of TCP that can be cut, and that can let requests through while it swallows what is answered. */
import { type Server, type Socket, connect, createServer } from "node:net";

export class Relay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;
  #isSwallowing = false;
  #swallowed = Promise.withResolvers<void>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static start(target: number): Promise<Relay> {
    return new Promise((resolve) => {
      const server = createServer();
      const relay = new Relay(server);
      server.on("connection", (socket) => relay.#accept(socket, target));
      server.listen(0, "127.0.0.1", () => resolve(relay));
    });
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Once something was swallowed since `swallowAnswers`. */
  get swallowed(): Promise<void> {
    return this.#swallowed.promise;
  }

  /** Connections are reset, and new ones at once. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#sockets.clear();
  }

  mend(): void {
    this.#isCut = false;
    this.#isSwallowing = false;
  }

  swallowAnswers(): void {
    this.#swallowed = Promise.withResolvers<void>();
    this.#isSwallowing = true;
  }

  stop(): void {
    this.cut();
    this.#server.close();
  }

  #accept(client: Socket, target: number): void {
    client.on("error", () => {});
    if (this.#isCut) return void client.resetAndDestroy();
    const server = connect(target, "127.0.0.1");
    server.on("error", () => {});
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        (socket === client ? server : client).destroy();
      });
    }
    client.on("data", (bytes) => server.write(bytes));
    server.on("data", (bytes) => {
      if (!this.#isSwallowing) client.write(bytes);
      else this.#swallowed.resolve();
    });
  }
}
