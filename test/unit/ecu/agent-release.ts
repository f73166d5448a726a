/** Stands for the build's `define`: imported before any module of agent/ecu is evaluated. */
(globalThis as unknown as { AGENT_RELEASE: number }).AGENT_RELEASE = 1;
