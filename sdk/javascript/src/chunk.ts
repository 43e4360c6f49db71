import { told } from './errors.js';

type Raw = import('sluice:filter/chunks@0.1.0').Batch;
export type Chunk = import('sluice:filter/chunks@0.1.0').Chunk;
export type ChunkHit = import('sluice:filter/chunks@0.1.0').Hit;

/** Up to 64 KiB of an answer's strings and names. */
export class Batch {
  constructor(
    /** As the contract has it. */
    readonly raw: Raw,
  ) {}

  /** The texts in the order of the answer. Two are never of one string. Offsets and lengths are bytes of UTF-8. */
  chunks(): Chunk[] {
    return told(() => this.raw.chunks());
  }
  /** All hits of a defined set, each told once however the text is cut. */
  scan(set: string): ChunkHit[] {
    return told(() => this.raw.scan(set));
  }
  /** The answer ends here. */
  get ends(): boolean {
    return this.raw.ends();
  }
}
