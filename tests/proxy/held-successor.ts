/** The real worker, but that one under any other than the first two indexes begins only once the test lets it. */
import "../../src/proxy/worker.ts";
import type { ToWorker } from "../../src/proxy/protocol.ts";

declare const self: Worker;

const receive = self.onmessage!;
const held: MessageEvent<ToWorker>[] = [];
let isHeld = false;
self.onmessage = function (event: MessageEvent<ToWorker>): void {
  if (event.data.kind === "start" && event.data.index > 1) {
    isHeld = true;
    const gate = new BroadcastChannel("successors-begin");
    gate.onmessage = () => {
      gate.close();
      isHeld = false;
      for (const one of held.splice(0)) receive.call(self, one);
    };
  }
  if (isHeld) held.push(event);
  else receive.call(self, event);
};
