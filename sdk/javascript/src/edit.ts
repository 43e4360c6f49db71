/** Edits of a message, all against the message as the hook received it. Offsets are bytes of the UTF-8 of the decoded string. */
export type Edit = import('sluice:filter/payload@0.1.0').Edit;

export const edit = {
  /** Replaces the value at the pointer, or adds the member (its parent must exist; `/-` appends to an array). */
  set: (pointer: string, value: unknown): Edit => ({ tag: 'set', val: [pointer, JSON.stringify(value)] }),
  /** Removes the member or element. */
  remove: (pointer: string): Edit => ({ tag: 'remove', val: pointer }),
  /** Replaces bytes [start, end) of the string at the pointer. */
  splice: (pointer: string, start: number, end: number, text: string): Edit => ({ tag: 'splice', val: [pointer, start, end, text] }),
  /** Replaces bytes [start, end) of the member name that the pointer ends in. */
  spliceKey: (pointer: string, start: number, end: number, text: string): Edit => ({ tag: 'splice-key', val: [pointer, start, end, text] }),
};
