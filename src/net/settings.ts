/** How a router may end, or change while it runs, and what may then take how long. */
import { duration, flag, text } from "../base/settings.ts";

export const successionSettings = {
  drainTimeoutMs: duration({
    default: "30s",
    max: "24h",
    doc: "How long requests in flight may take to end after SIGTERM. 0 ends them at once.",
  }),
  drainDelayMs: duration({
    default: "0s",
    max: "1h",
    doc: "How long after SIGTERM requests are still taken, before the drain begins: whoever balances loads over routers (Kubernetes, a load balancer that asks /readyz) needs as long to send them elsewhere. Meanwhile /readyz answers 503, and connections are closed behind their next answer.",
  }),
  handoverTimeoutMs: duration({
    default: "15m",
    min: "1s",
    max: "24h",
    doc: "How long requests in flight may take to end at a worker that was replaced, or at a process after an upgrade. Long, since nothing presses: streams go on beside their successors.",
  }),
  upgradeTimeoutMs: duration({
    default: "30s",
    min: "1s",
    max: "1h",
    doc: "How long the process of an upgrade may take to start. One that takes longer is ended, and the present one goes on.",
  }),
  watchConfig: flag({
    default: true,
    doc: "Apply the --config file when it changes. SIGHUP and ctl reload do so at any time.",
  }),
  pidFile: text({
    default: "",
    placeholder: "FILE",
    lengthMax: 4096,
    doc: "A file to keep the process's id in, which an upgrade changes.",
  }),
};
