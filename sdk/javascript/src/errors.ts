/** The host says no. `word` is the contract's word for why: `denied`, `bad-pointer`, `too-large`, `unavailable`, … */
export class HostError extends Error {
  constructor(readonly word: string, readonly detail = '') {
    super(detail ? `${word}: ${detail}` : word);
    this.name = 'HostError';
  }
}

/** Runs a host call; an error of the contract comes out as `HostError`. */
export function told<T>(call: () => T): T {
  try {
    return call();
  } catch (thrown) {
    // What a component throws for the error of a `result` has the error as its `payload`.
    const payload = (thrown as { payload?: unknown }).payload;
    if (typeof payload === 'string') throw new HostError('failed', payload);
    const { tag, val } = (payload ?? {}) as { tag?: unknown; val?: unknown };
    if (typeof tag === 'string') throw new HostError(tag, typeof val === 'string' ? val : '');
    throw thrown;
  }
}
