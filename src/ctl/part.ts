/** A command without its help; loads nothing, so that the help of all commands can be had without their code. */
import type { Section } from "../base/settings.ts";
import type { Command } from "./command.ts";

export type Part = Pick<Command<Section>, "settings" | "run" | "operands" | "client">;

/** Settings differ from command to command; whoever runs one needs to know only that they fit it. */
export function part<S extends Section>(of: Pick<Command<S>, "settings" | "run" | "operands" | "client">): Part {
  return of;
}

/** One that asks a running process. */
export function asking<S extends Section>(of: Pick<Command<S>, "settings" | "run" | "operands">): Part {
  return part({ ...of, client: true });
}
