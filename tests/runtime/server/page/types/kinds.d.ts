// The module that the server writes (runtime/server/routes/kinds.py).
export const KINDS: Record<string, { title: string; critical: boolean; madeOf: string | null; wfdb: string | null; noBeats: boolean }>;
