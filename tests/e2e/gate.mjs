// For scripts outside this repository, which import it from here.
export * from "./lib/gate.mjs";
